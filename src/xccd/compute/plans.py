"""What a lazy array is made from, and by which steps: noted on it, so that the next verb begins there."""

from __future__ import annotations

from xccd.compute import notes
from xccd.compute.arrays import Array, is_lazy
from xccd.compute.steps import Step


def remember(result: Array, source: Array, steps: tuple[Step, ...]) -> None:
    """Note on a lazy array that it is ``steps`` after ``source``."""
    notes.note(result, notes.PLAN, (notes.kept(source), steps))


def remember_flags(flags: Array, x: Array, first: Array | None, steps: tuple[Step, ...]) -> None:
    """Note on lazy flags of ``x`` that they are ``steps`` after ``first``; None: what is not finite had one."""
    if is_lazy(flags):
        first = None if first is None else notes.kept(first)
        notes.note(flags, notes.PLAN, (notes.identity(x), first, steps))


def _plan_of_flags(x: Array, flags: Array) -> tuple[Array | None, tuple[Step, ...]]:
    """Flags from which those of ``x`` come, and the steps from there."""
    found = notes.noted(flags, notes.PLAN)
    if found is None or not is_lazy(x) or notes.identity(x) != found[0]:
        return flags, ()
    _, first, steps = found
    return first, steps
