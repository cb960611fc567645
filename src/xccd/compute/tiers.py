"""Tiers: where a pixel has no sample without a flag, the least bad of its flagged samples are used."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from xccd.compute.arrays import Array, is_dask, map_elementwise, map_over_frames

FLAG = np.dtype(np.uint8)
NEVER = 255  # the rank of flags that no tier takes


def spared(x: Array, flags: Array, tiers: tuple[int, ...]) -> Array:
    """Flags of which those of the samples in use are 0, frames on axis 0; lazy if an input is.

    ``tiers`` are the flags that each tier takes, those of the tiers before it among them.
    """
    samples = () if x.dtype.kind in "iub" else (x,)  # an integer is finite
    function = partial(_spared, ranks=_ranks(tiers))
    found = map_over_frames(function, flags, *samples, reduce=False, dtype=FLAG)
    return found.rechunk(flags.chunks) if is_dask(flags) and is_dask(found) else found


def with_flags_in_use(image: Array, flags: Array, left: Array) -> Array:
    """The flags of an image, also those of the samples that `spared` took; ``left`` are its flags."""
    taken = map_over_frames(_taken, flags, left, reduce=True, dtype=FLAG)
    return map_elementwise(np.bitwise_or, image, taken, dtype=FLAG)


def _ranks(tiers: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """For all flags that a sample may have: 0 for none, the number of the first tier that takes them all, or NEVER."""
    flags = np.arange(256)
    ranks = np.full(256, NEVER, np.uint8)
    for number, taken in reversed(list(enumerate(tiers, 1))):
        ranks[flags & ~taken == 0] = number
    ranks[0] = 0
    return ranks


def _spared(flags: Any, *samples: Any, ranks: Any) -> Any:
    good = flags == 0
    if samples:
        good &= np.isfinite(samples[0])
    some = ~good.any(axis=0)  # most pixels have a good sample
    if not some.any():
        return flags
    found, own = flags.copy(), flags[:, some]
    rank = ranks[own]
    if samples:
        rank[~np.isfinite(samples[0][:, some])] = NEVER
    best = rank.min(axis=0)
    found[:, some] = np.where((rank == best) & (best < NEVER), np.uint8(0), own)
    return found


def _taken(flags: Any, left: Any) -> Any:
    return np.bitwise_or.reduce(np.where(left == 0, flags, np.uint8(0)), axis=0)
