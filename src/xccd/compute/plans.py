"""Plans: the source of a lazy array and the steps since, noted on it, so that the next verb begins at the source."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from xccd.compute import notes
from xccd.compute.arrays import Array, is_lazy
from xccd.compute.steps import Step


class Plan(NamedTuple):
    """A calibrated or clipped stack: ``steps`` applied to ``source``, the first of them with ``inputs``."""

    source: Array
    steps: tuple[Step, ...]
    inputs: tuple[Array, ...] = ()


class FlagPlan(NamedTuple):
    """Flags: ``steps`` applied to the flags ``first``. They are valid for the samples ``of`` only.

    first=None: only non-finite samples were flagged.
    """

    of: Hashable
    first: Array | None
    steps: tuple[Step, ...]


def remember_steps(result: Array, source: Array, steps: tuple[Step, ...], inputs: tuple[Array, ...] = ()) -> None:
    """Note on a lazy array that it is ``steps`` applied to ``source``."""
    notes.note(result, notes.PLAN, Plan(notes.kept(source), steps, inputs))


def plan_of(x: Array) -> Plan:
    """The plan of an array; without one, no step applied to the array itself."""
    return notes.noted(x, notes.PLAN) or Plan(x, ())


def remember_flags(flags: Array, x: Array, first: Array | None, steps: tuple[Step, ...]) -> None:
    """Note on lazy flags of ``x`` that they are ``steps`` applied to ``first``: see `FlagPlan`."""
    if is_lazy(flags):
        first = None if first is None else notes.kept(first)
        notes.note(flags, notes.FLAG_PLAN, FlagPlan(notes.identity(x), first, steps))


def plan_of_flags(x: Array, flags: Array) -> tuple[Array | None, tuple[Step, ...]]:
    """The first flags of a plan, and its steps; ``flags`` and no steps without a plan for ``x``."""
    plan = notes.noted(flags, notes.FLAG_PLAN)
    if plan is None or not is_lazy(x) or notes.identity(x) != plan.of:
        return flags, ()
    return plan.first, plan.steps
