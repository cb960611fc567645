"""The argument ``tiers`` of `combine`: the flags of samples that serve where a pixel has no better one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from xccd.labels.flag_names import NAMES, NO_VALUE, USABLE, flag_of


def tiers_of(given: Any, flagged: bool) -> tuple[int, ...]:
    """The flags that each tier takes, with those of the tiers before it; raises for what cannot be a tier."""
    if not flagged:
        raise ValueError("tiers= goes with a flagged Dataset: use open_dataset, or stack.ccd.to_dataset() first")
    if isinstance(given, (str, int)) or not isinstance(given, Iterable):
        raise ValueError(f"tiers={given!r} is no list of tiers: give one, as tiers=[{given!r}]")
    taken, found = 0, []
    for tier in given:
        several = isinstance(tier, Iterable) and not isinstance(tier, str)
        own = reduce(or_, (flag_of("tiers", one) for one in (tier if several else [tier])), 0)
        if own & NO_VALUE:
            raise ValueError(f"tiers: {tier!r} has a sample without a value: use {', '.join(USABLE)}")
        if not own & ~taken:
            raise ValueError(f"tiers={given!r}: {tier!r} adds nothing to the tiers before it")
        taken |= own
        found.append(taken)
    if not found:
        raise ValueError(f"tiers={given!r} names no flag: leave it out, or use {', '.join(USABLE)}")
    return tuple(found)


def names_of(tiers: tuple[int, ...]) -> list[Any]:
    """The tiers by the names of their flags, as `tiers_of` takes them."""
    own = (taken & ~before for before, taken in zip((0, *tiers), tiers, strict=False))
    names = [[name for name, flag in NAMES.items() if flag & new] for new in own]
    return [tier[0] if len(tier) == 1 else tier for tier in names]
