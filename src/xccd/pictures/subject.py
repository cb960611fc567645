"""What a picture is made of: a stack or an image, looked at by every n-th row and column."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute.strided import every_nth, flags_every_nth
from xccd.headers.colour_axis import CHANNEL, RGB
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import flags_of, image_names, not_taken, with_maps
from xccd.labels.frames import check_array, check_stack
from xccd.labels.lazy import array_of
from xccd.messages import did_you_mean

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Subject:
    """A stack (frame, y, x), with a ``channel`` behind the frames if it has colours, or one image."""

    stack: xr.DataArray
    dim: Hashable
    has_frames: bool
    has_colours: bool

    @property
    def count(self) -> int:
        return int(self.stack.shape[0]) if self.has_frames else 1

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.stack.shape[-2:]
        return height, width

    def look(self, step: int = 1, numbers: Sequence[int] | None = None, columns: int | None = None) -> Array:
        """Every n-th row and column of some frames, (frame, y, x) or (frame, y, x, channel).

        Floats, NaN where a sample is not in use. Samples with a flag are not.
        """
        x, flags = array_of(self.stack), flags_of(self.stack)
        numbers = numbers if self.has_frames else None
        values = every_nth(x, step, numbers, columns=columns)
        values = values.astype(float_dtype(values.dtype), copy=False)
        bad = ~np.isfinite(values)
        if flags is not None:
            bad |= flags_every_nth(x, array_of(flags), step, numbers, columns=columns) != 0
        values = np.where(bad, np.nan, values)
        values = values if self.has_frames else values[None]
        return np.moveaxis(values, 1, -1) if self.has_colours else values

    def flags(self, step: int) -> Array | None:
        """The flags of the same samples of all frames, those of a Dataset or of a lazy clip; None if none are known."""
        flags = flags_of(self.stack)
        return flags_every_nth(array_of(self.stack), None if flags is None else array_of(flags), step)

    def edges(self, step: int) -> tuple[float, float, float, float]:
        """Where a picture of every n-th pixel begins and ends, in pixel numbers: left, right, bottom, top."""
        found: list[float] = []
        for name, n in zip(self.stack.dims[-1:-3:-1], self.stack.shape[-1:-3:-1], strict=True):
            first, pitch = numbering(self.stack, name)
            found += [first - pitch / 2, first - pitch / 2 + pitch * step * -(-n // step)]
        left, right, bottom, top = found
        return left, right, bottom, top


def numbering(stack: xr.DataArray, name: Hashable) -> tuple[float, float]:
    """The number of the first pixel along an axis, and the difference to the next one; 0 and 1 if it has no numbers."""
    label = stack.coords.get(name)
    if label is None or label.dims != (name,) or label.dtype.kind not in "iuf":
        return 0.0, 1.0
    values = label.values.astype(float)
    pitch = (values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
    even = np.allclose(np.diff(values), pitch, rtol=1e-3) and pitch != 0
    return (float(values[0]), float(pitch)) if even else (0.0, 1.0)


def subject(verb: str, obj: Any, dim: Hashable = "frame", *, argument: str = "", colours: bool = True) -> Subject:
    """The stack or the image of ``obj``, in the order of axes of a picture. Nothing is read.

    ``argument`` is named in errors if ``obj`` was not given first. Without ``colours`` a stack of these is refused.
    """
    said = f"{argument}: " if argument else ""
    stack = _only(verb, obj, said)
    has_frames = dim in stack.dims
    if has_frames:
        check_stack(stack, dim)
    else:
        float_dtype(stack.dtype)
        check_array(argument or "the image", array_of(stack))
    lead = [dim] * has_frames + [CHANNEL] * (CHANNEL in stack.dims)
    rest = [d for d in stack.dims if d not in lead]
    rest = ["y", "x"] if {"y", "x"} <= set(rest) and len(rest) == 2 else rest
    if len(rest) != 2:
        way = _way(stack, rest, has_frames)
        raise ValueError(f"{said}{verb} shows images (y, x), or a stack of them, not {dict(stack.sizes)}{way}")
    has_colours = CHANNEL in stack.dims
    if has_colours and not colours:
        one = f"stack.sel({CHANNEL}={_first_colour(stack)!r})"
        raise ValueError(f"{said}{verb} takes one colour: pick it, as {one}, before a clip")
    if has_colours and stack.sizes[CHANNEL] != len(RGB):
        raise ValueError(
            f"{said}colours are {len(RGB)} planes along {CHANNEL!r}, these are {stack.sizes[CHANNEL]}: "
            f"pick one, as stack.isel({CHANNEL}=0)"
        )
    if 0 in stack.shape:
        raise ValueError(f"{said}there is no pixel: the sizes are {dict(stack.sizes)}")
    return Subject(stack.transpose(*lead, *rest), dim, has_frames, has_colours)


def _only(verb: str, obj: Any, said: str) -> xr.DataArray:
    """The DataArray itself, or the only image of a Dataset with its maps."""
    if isinstance(obj, xr.Dataset):
        names = image_names(obj)
        if len(names) != 1:
            which = f": pick one with its maps, as ds[{names[0]!r}].ccd.{verb}()" if names else ""
            raise ValueError(
                f"{said}{verb} takes one stack, this Dataset has {', '.join(map(str, names)) or 'none'}{which}"
            )
        return with_maps(obj, names[0])
    if not isinstance(obj, xr.DataArray):
        raise not_taken(f"{verb}()", obj, f"{said}{verb} takes a DataArray or a Dataset, not")
    return obj


def _way(stack: xr.DataArray, rest: list[Hashable], has_frames: bool) -> str:
    more = [d for d in rest if d not in ("y", "x")]
    if {"y", "x"} < set(rest):
        frames = "" if has_frames else f", or name the dimension of the frames, as dim={more[0]!r}"
        return f": pick a plane, as isel({more[0]}=0){frames}"
    return f": rename two axes to y and x{did_you_mean('y', stack.dims)}"


def _first_colour(stack: xr.DataArray) -> Any:
    label = stack.coords.get(CHANNEL)
    return RGB[0] if label is None else label.values.tolist()[0]


def step_for(size: tuple[int, int], most: int) -> int:
    """The step between rows and columns at which a picture has at most so many pixels along a side."""
    return max(1, -(-max(size) // most))
