"""The best lights of a product, by a rule as "fwhm<80%"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from xccd.labels.flags import with_maps
from xccd.night.reduce.work import Work
from xccd.verbs.channels import without_channels
from xccd.verbs.keep import keep, parsed
from xccd.verbs.stats import MEASURED, STARS, stats

NUMBER = "number of the frame"  # a label that tells which frames are left


def kept(
    frames: xr.Dataset, rule: str, weights: str, some: Callable[[Sequence[int]], xr.Dataset], work: Work
) -> tuple[xr.Dataset, list[int]]:  # fmt: skip
    """The frames that meet the rule, and their numbers; ``some`` gives frames by numbers, so that memory holds one.

    What the rule and the weights need is measured, and is a label of the frames.
    """
    count = frames.sizes["frame"]
    names = {condition.name for condition in parsed(rule)} if rule else set()
    names |= {name.strip() for name in weights.split("*")} & {*STARS}
    measured = sorted(names & {*MEASURED, *STARS} - set(frames.coords))
    if measured:
        tables = [stats(_look(some([i])), stars=bool(names & set(STARS))) for i in range(count)]
        if lacking := [name for name in measured if name not in tables[0]]:
            way = " give detector.saturation" if "saturated" in lacking else " name another"
            raise ValueError(f"light.keep={rule!r}: {lacking[0]} of these frames is not known:{way}")
        labels = {name: ("frame", np.array([float(t[name].values[0]) for t in tables])) for name in measured}
        frames = frames.assign_coords(labels)
    if not rule:
        return frames, list(range(count))
    left = keep(frames.assign_coords({NUMBER: ("frame", np.arange(count))}), rule)
    numbers = left[NUMBER].values.tolist()
    if len(numbers) < count:
        gone = [str(name) for i, name in enumerate(_names(frames)) if i not in numbers]
        more = f" and {len(gone) - 5} more" if gone[5:] else ""
        work.say(f"keep = {rule!r} leaves out {len(gone)} of {count} frames: {', '.join(gone[:5])}{more}")
    return left.drop_vars(NUMBER), numbers


def _names(frames: xr.Dataset) -> list[str]:
    return [str(file).replace("\\", "/").rpartition("/")[2] for file in frames["file"].values]


def _look(frame: xr.Dataset) -> xr.DataArray:
    """One frame as `stats` looks at it: colours as their mean."""
    return without_channels(with_maps(frame, "data"))
