"""The samples before clips, and the flags of these, of every n-th row and column: read together, once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.compute import dask_joint, options
from xccd.compute.arrays import is_lazy
from xccd.compute.deferred import Deferred, MultiOutput, evaluate
from xccd.compute.pool import run_all
from xccd.compute.strided import _as_deferred, _before_clips, _flags_as_deferred, _Held, every_nth

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
        rows = np.arange(0, x.pixels[-2], step)
        height = x.unit if x.unit > step else 1  # rows that are unpacked together
        groups = np.split(rows, np.flatnonzero(np.diff(rows // height)) + 1) if step > 1 else [rows]
        parts: list[Any] = [None] * len(groups)

        def some(k: int) -> None:
            own = (slice(groups[k][0], groups[k][-1] + 1), slice(0, x.pixels[-1]))
            both = evaluate([x, flags], (*(slice(0, n) for n in x.pixels[:-2]), *own))
            parts[k] = [np.array(one[..., ::step, ::step]) for one in both]

        run_all(some, len(groups), options.threads())
        samples, marks = (np.concatenate(part, axis=-2) for part in zip(*parts, strict=True))
        return samples, marks


def before_clips(x: Array, flags: Array | None) -> BeforeClips | None:
    """The samples of ``x`` before its clips, and their flags; None if neither flags nor its steps tell them."""
    if flags is not None:
        lazy = is_lazy(x) and dask_joint.is_dask(flags)
        known = _flags_as_deferred(x, flags) if lazy else None
        base = _as_deferred(x) if known is not None else None
        return BeforeClips(x, flags) if known is None or base is None else _together(base, known)
    samples = _before_clips(x) if is_lazy(x) else None
    marks = None if samples is None else _flags_as_deferred(x, None)
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
    held = getattr(value.function, "__self__", None) if isinstance(value, _Held) else None
    return value if held is None else seen.setdefault(id(held), value)
