"""Every n-th row and column of some frames, read or computed without the rows between them where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xccd.compute import dask_joint, options
from xccd.compute.arrays import is_lazy
from xccd.compute.chain import Chain
from xccd.compute.deferred import Box, Deferred, evaluate, view
from xccd.compute.flagged import Reasons
from xccd.compute.plans import plan_of, plan_of_flags
from xccd.compute.pool import run_all
from xccd.compute.run import _deferred_results, _nothing, before_clips, flags_after
from xccd.compute.steps import First

Array = Any


def every_nth(
    x: Array, step: int, frames: Sequence[int] | None = None, *, columns: int | None = None
) -> np.ndarray[Any, Any]:  # fmt: skip
    """Rows and columns 0, ``step``, 2 ``step``, ... of an array (..., y, x): of some frames along axis 0, or of all.

    Of files only these rows are read, and of deferred arrays only these rows are computed. So are clips and
    calibrations of a dask array of files. Any other dask array is computed chunk by chunk. ``columns`` is the step
    along x, if it is another one.
    """
    columns = step if columns is None else columns
    known = as_deferred(x) if dask_joint.is_dask(x) and x.ndim > 2 else x
    if isinstance(known, Deferred):
        return _of_deferred(known, step, frames, columns)
    return np.array((x if frames is None else x[list(frames)])[..., ::step, ::columns])


def flags_every_nth(
    x: Array, flags: Array | None, step: int, frames: Sequence[int] | None = None, *, columns: int | None = None
) -> np.ndarray[Any, Any] | None:  # fmt: skip
    """The same of the flags of ``x``. Flags of clips are found again on these rows.

    Without flags they are found from the clips that a lazy ``x`` is known to come from; None if none are known.
    """
    known = flags_as_deferred(x, flags) if is_lazy(x) and (flags is None or dask_joint.is_dask(flags)) else None
    if known is None:
        flags = _clips_of(x)[1] if flags is None else flags
        return None if flags is None else every_nth(flags, step, frames, columns=columns)
    return _of_deferred(known, step, frames, step if columns is None else columns)


def at_pixel(
    x: Array, flags: Array | None, y: int, x_: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """The samples of a pixel as they were before clips, if that is known, and their flags; (frame,) each."""
    lazy = is_lazy(x)
    before = deferred_before_clips(x) if lazy and flags is None else None
    marks: Array = flags
    if lazy and (flags is None or dask_joint.is_dask(flags)):
        found = flags_as_deferred(x, flags)
        marks = flags if found is None else found
        if marks is None:
            before, marks = _clips_of(x)
    values = _pixel((as_deferred(x) if dask_joint.is_dask(x) else None) or x if before is None else before, y, x_)
    return values, None if marks is None else _pixel(marks, y, x_)


def _clips_of(x: Array) -> tuple[Array | None, Array | None]:
    """The samples before the clips that a lazy array notes, and its flags, lazy; None if it notes no clip.

    Of arrays that were made of files by other work than steps of a plan, as that of `align`.
    """
    samples, steps = before_clips(x) if is_lazy(x) else (x, ())
    return (samples, flags_after(steps, samples, _nothing(x, np.uint8))) if steps else (None, None)


def _pixel(x: Array, y: int, x_: int) -> np.ndarray[Any, Any]:
    if isinstance(x, Deferred):
        return np.asarray(evaluate([x], (slice(y, y + 1), slice(x_, x_ + 1)))[0][:, 0, 0])
    return np.array(x[:, y, x_])


def _of_deferred(x: Deferred, step: int, frames: Sequence[int] | None, columns: int) -> np.ndarray[Any, Any]:
    rest = (slice(None),) * (x.ndim - 1)
    some = view(x, (np.array(frames, int), *rest)) if frames is not None else None
    if some is not None:
        x, frames = some, None
    (found,) = rows_of([x], step, columns, frames)
    return found


def rows_of(
    arrays: Sequence[Deferred], step: int, columns: int, frames: Sequence[int] | None = None
) -> list[np.ndarray[Any, Any]]:  # fmt: skip
    """Every n-th row and column of arrays with the same pixels, made together: row after row, in the pool of threads.

    Rows that are unpacked together come together. Of all frames of these rows, ``frames`` are kept.
    """
    kept = slice(None) if frames is None else list(frames)
    x = arrays[0]
    height = x.unit if x.unit > step and len(x.pixels) == 2 else 1
    numbers = np.arange(0, x.pixels[-2], step)
    # without gaps `evaluate` cuts the rows into bands itself
    groups = np.split(numbers, np.flatnonzero(np.diff(numbers // height)) + 1) if step > 1 else [numbers]
    parts: list[Any] = [None] * len(groups)

    def some_rows(k: int) -> None:
        rows = slice(groups[k][0], groups[k][-1] + 1)
        made = evaluate(arrays, (*(slice(0, n) for n in x.pixels[:-2]), rows, slice(0, x.pixels[-1])))
        parts[k] = [np.array(values[kept][..., ::step, ::columns]) for values in made]

    run_all(some_rows, len(groups), options.threads())
    return [np.concatenate(part, axis=-2) for part in zip(*parts, strict=True)]


def as_deferred(x: Array) -> Deferred | None:
    """A dask array of one array-like object, as files, or the steps of a plan on one; None for any other."""
    own = Held.of(x)  # files: any frame alone
    source, steps, inputs = plan_of(x)
    base = _base(source)
    if own is not None or base is None or not steps:
        return own or base
    return _done_again(Chain(steps), base, _nothing(x, np.uint8), inputs, x.dtype)


def deferred_before_clips(x: Array) -> Deferred | None:
    """The samples of a lazy array before the clips of its plan, calibrated; None if it has no clip, or no plan."""
    source, steps, inputs = plan_of(x)
    base, first = _base(source), tuple(step for step in steps if isinstance(step, First))
    if base is None or len(first) == len(steps):
        return None
    return _done_again(Chain(first), base, _nothing(x, np.uint8), inputs, x.dtype)


def flags_as_deferred(x: Array, flags: Array | None) -> Deferred | None:
    """The steps of a plan, and of a plan of flags, as flags; None if there is none."""
    source, steps, inputs = plan_of(x)
    first, after = (None, ()) if flags is None else plan_of_flags(x, flags)
    base = _base(source)
    given: Array = _nothing(x, np.uint8) if first is None else _base(first) if dask_joint.is_dask(first) else first
    if base is None or given is None or not (after or (flags is None and steps)):
        return None
    return _done_again(Reasons(steps + after), base, given, inputs, np.dtype(np.uint8))


def _base(source: Array) -> Deferred | None:
    return source if isinstance(source, Deferred) else Held.of(source)


def _done_again(chain: Chain | Reasons, base: Deferred, flags: Array, inputs: Sequence[Array], dtype: Any) -> Deferred:
    one = _nothing(base, np.float64) + 1
    given = [(Held.of(v) or v.compute()) if dask_joint.is_dask(v) else v for v in inputs]
    made: Deferred = _deferred_results(chain, base, [flags, one, one, *given], [dtype])[0]
    return made


class Held(Deferred):
    """An array-like object, of which slices are read."""

    def __init__(self, held: Any, shape: tuple[int, ...], dtype: Any, numbers: Any = None) -> None:
        super().__init__(held.__getitem__, (), shape, dtype, frames=len(shape) > 2)
        self.held, self.numbers, self.unit = held, slice(None) if numbers is None else numbers, getattr(held, "unit", 1)

    @classmethod
    def of(cls, x: Array) -> Held | None:
        held = dask_joint.held(x)
        return None if held is None or x.ndim < 2 else cls(held, x.shape, x.dtype)

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            lead = (self.numbers,) * (self.ndim - len(box))
            made[id(self)] = np.asarray(self.function((*lead, *box)))
        return made[id(self)]

    def of_frames(self, numbers: Any, *_: Any) -> Held:
        """Some frames alone, by a list of numbers."""
        every = np.arange(self.held.shape[0])[self.numbers]
        return Held(self.held, (len(numbers), *self.shape[1:]), self.dtype, every[np.asarray(numbers)].tolist())
