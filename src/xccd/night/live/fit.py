"""Whether a new frame belongs to those that are stacked already; errors name it, and say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.settings import same_unit
from xccd.labels.joined import joined
from xccd.labels.mixed import check_rows, mixed
from xccd.night.live.frame import Identity, Record, axes_of
from xccd.night.live.register import ALIGN
from xccd.sky.grid import Grid

STEP = "xccd.LiveStack"  # begins the line of HISTORY of a product
SHAPES = "open its files by xccd.open_tree, which tells shapes apart, and stack one shape at a time"


def labelled(records: list[Record], sizes: dict[Any, int], dtype: Any) -> xr.DataArray:
    """A stack that has the labels of the frames, and no samples of its own: it takes no memory."""
    none = np.zeros((1,) * (1 + len(sizes)), dtype)
    data = np.broadcast_to(none, (len(records), *sizes.values()))
    shared = dict(records[0].attrs)
    for record in records[1:]:
        shared = {k: v for k, v in shared.items() if record.attrs.get(k) == v}
    unit = next((r.attrs["units"] for r in records if r.attrs.get("units")), None)
    steps = dict.fromkeys(step for record in records for step in record.steps)
    attrs = shared | ({"units": unit} if unit else {}) | ({common.HISTORY: "\n".join(steps)} if steps else {})
    coords = joined([record.labels for record in records])
    return xr.DataArray(data, dims=("frame", *sizes), coords=coords, attrs=attrs, name="data")


class Kinds:
    """The frames that differ in what must be equal, as kind or filter: one of each is enough to compare with."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, ...], Record] = {}

    def note(self, record: Record) -> None:
        """Remember a frame that was added."""
        names = ("IMAGETYP", "OBSTYPE", "FILTER", "NCOMBINE")
        coords, unit = record.labels.coords, str(record.attrs.get("units", ""))
        self.seen.setdefault((*(str(coords[k].values[0]) if k in coords else "" for k in names), unit), record)

    def check(self, new: Record, *, allow_mixed: bool) -> None:
        """Raise for another unit; for another kind or filter unless these are allowed."""
        before = list(self.seen.values())
        unit = str(new.attrs.get("units", ""))
        for other in before:
            known = str(other.attrs.get("units", ""))
            if unit and known and not same_unit(unit, known):
                raise ValueError(
                    f"{new.name} is in {unit!r}, the frames before it in {known!r} ({other.name}): convert it, or set "
                    "attrs['units'] if it is wrong"
                )
        pair = labelled([*before, new], {"x": 1}, np.float32)
        if not allow_mixed and (keywords := mixed(pair)):
            raise ValueError(
                f"{new.name} does not go with the frames before it: they differ in {keywords}. Stack it by itself, or "
                "allow it with mixed=True"
            )


def check_new(stack: xr.DataArray, who: Identity, keys: dict[str, str]) -> None:
    """Raise for a frame that is there already, or is made of others. ``keys`` are those of samples, with names."""
    if who.key and who.key in keys:
        raise ValueError(
            f"{who.name} is there already, as {keys[who.key]}: it has the same samples (again=True adds it once more)"
        )
    if any(step.startswith(f"HISTORY {STEP}(") for step in common.steps(common.texts(stack, "frame"))):
        raise ValueError(f"{who.name} is the product of a LiveStack, no new frame (again=True adds it)")


def check_first(new: Record, stack: xr.DataArray, align: str | None) -> None:
    """Raise if others cannot be brought onto this frame."""
    if align in ALIGN[2:]:
        _check_image(new, stack, align)
    if align == "wcs":
        try:
            Grid.of(stack)
        except ValueError as error:
            raise ValueError(f"{new.name}: align='wcs' needs the WCS of the first frame: {error}") from error


def _check_image(new: Record, stack: xr.DataArray, align: str | None) -> None:
    if set(stack.dims) != {"frame", "y", "x"}:
        raise ValueError(f"{new.name} has the dimensions {stack.dims[1:]}: align={align!r} takes images (y, x)")


def check_place(new: Record, stack: xr.DataArray, first: Record, start: xr.DataArray, align: str | None) -> None:
    """Raise for other pixels than those of the first frame, unless ``align`` brings them there.

    ``start`` is the first frame with its pixel coordinates.
    """
    if align not in ("wcs", "transforms"):
        if stack.dims != start.dims:
            one, other = (", ".join(map(str, s.dims[1:])) for s in (stack, start))
            raise ValueError(f"{new.name} has the dimensions {one}, the frames before it {other}: rename() them")
        if stack.shape != start.shape:
            one, other = (" x ".join(map(str, s.shape[1:])) for s in (stack, start))
            way = "align='wcs' or 'transforms' takes any shape" if align is None else SHAPES
            raise ValueError(f"{new.name} has {one} pixels, the frames before it {other}: {way}")
    else:
        _check_image(new, stack, align)
    if align in (None, "pixels"):
        _check_axes(new, stack, start)
    if align != "wcs":
        check_rows(labelled([first, new], {"x": 1}, np.float32), "frame")
    if align is None:
        _check_wcs(new, stack, start)


def _check_axes(new: Record, stack: xr.DataArray, start: xr.DataArray) -> None:
    """Raise if the frame is another part of the detector."""
    known = axes_of(start)
    for name, axis in axes_of(stack).items():
        if name in known and axis.dims == known[name].dims and not axis.equals(known[name]):
            own, other = (f"{v.values[0]} to {v.values[-1]}" for v in (axis, known[name]))
            raise ValueError(
                f"{new.name} has the pixels {own} along {name}, the frames before it {other}: it is another part of "
                f"the detector. Crop all alike, or stack by position with drop_vars({str(name)!r})"
            )


def _check_wcs(new: Record, stack: xr.DataArray, start: xr.DataArray) -> None:
    """Raise if the frame has another WCS than the first: its pixels would be other places of the sky."""
    texts = [*common.texts(start, "frame"), *common.texts(stack, "frame")]
    has = [cards.card_value(text, "CTYPE1") is not None for text in texts]
    if len(texts) == 2 and any(has) and not common.same_grid(texts):
        what = "has another WCS than" if all(has) else f"has {'a' if has[1] else 'no'} WCS, unlike"
        raise ValueError(
            f"{new.name} {what} the first frame: align='wcs' brings it there, align='pixels' stacks the pixels as they "
            "are"
        )
