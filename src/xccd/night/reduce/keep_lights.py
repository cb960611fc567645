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
    frames: xr.Dataset, rule: str, some: Callable[[Sequence[int]], xr.Dataset], work: Work
) -> tuple[xr.Dataset, list[int]]:  # fmt: skip
    """The frames that meet the rule, and their numbers; ``some`` gives frames by numbers, so that memory holds one."""
    count = frames.sizes["frame"]
    if not rule:
        return frames, list(range(count))
    names = {condition.name for condition in parsed(rule)}
    measured = sorted(names & {*MEASURED, *STARS} - set(frames.coords))
    if measured:
        tables = [stats(_look(some([i])), stars=bool(names & set(STARS))) for i in range(count)]
        labels = {name: ("frame", np.array([float(t[name].values[0]) for t in tables])) for name in measured}
        frames = frames.assign_coords(labels)
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
