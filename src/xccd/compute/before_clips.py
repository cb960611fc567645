"""The samples before clips, and the flags of these, of every n-th row and column: read together, once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.compute import dask_joint
from xccd.compute.arrays import is_lazy
from xccd.compute.deferred import Deferred, MultiOutput
from xccd.compute.strided import Held, as_deferred, deferred_before_clips, every_nth, flags_as_deferred, rows_of

Array = Any


class BeforeClips(NamedTuple):
    """Samples as they were before clips, and why samples are out: arrays that may be lazy."""

    samples: Array
    flags: Array

    def every_nth(self, step: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Both in rows and columns 0, ``step``, 2 ``step``, ..."""
        x, flags = self
        if not (isinstance(x, Deferred) and isinstance(flags, Deferred)):
            return every_nth(x, step), every_nth(flags, step)
        samples, marks = rows_of([x, flags], step, step)
        return samples, marks


def before_clips(x: Array, flags: Array | None) -> BeforeClips | None:
    """The samples of ``x`` before its clips, and their flags; None if neither flags nor its steps tell them."""
    if flags is not None:
        lazy = is_lazy(x) and dask_joint.is_dask(flags)
        known = flags_as_deferred(x, flags) if lazy else None
        base = as_deferred(x) if known is not None else None
        return BeforeClips(x, flags) if known is None or base is None else _together(base, known)
    samples = deferred_before_clips(x) if is_lazy(x) else None
    marks = None if samples is None else flags_as_deferred(x, None)
    return None if samples is None or marks is None else _together(samples, marks)


def _together(samples: Deferred, flags: Deferred) -> BeforeClips:
    """Both, with one source: two wrappings of the same files would read them twice for each band."""
    seen: dict[int, Deferred] = {}
    samples, flags = _first(samples, seen), _first(flags, seen)
    rest, done = [samples, flags], set()
    while rest:
        array = rest.pop()
        if id(array) in done:
            continue
        done.add(id(array))
        own = array.several if hasattr(array, "several") else array
        if isinstance(own, MultiOutput | Deferred):
            own.inputs = tuple(_first(value, seen) for value in own.inputs)
            rest += [value for value in own.inputs if isinstance(value, Deferred)]
    return BeforeClips(samples, flags)


def _first(value: Any, seen: dict[int, Deferred]) -> Any:
    held = getattr(value.function, "__self__", None) if isinstance(value, Held) else None
    return value if held is None else seen.setdefault(id(held), value)
