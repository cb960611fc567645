"""Samples and flags for `stats`: of a flagged stack, of the chain behind a lazy clip, or beside the original."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.run import before_clips, flags_after
from xccd.kernels.flags import Flag
from xccd.labels.flags import flags_of
from xccd.labels.frames import frames_first
from xccd.verbs.weights import matched

MARKS = np.dtype(np.uint8)


def samples_and_flags(stack: xr.DataArray, dim: Hashable, original: Any) -> tuple[Any, Any]:
    """Samples and flags with frames first. No flags (None) where nobody knows why a sample is missing."""
    x, own = frames_first(stack, dim), flags_of(stack)
    if original is not None:
        return _beside(stack, dim, original, own)
    if own is not None:
        return x, frames_first(own, dim)
    samples, steps = before_clips(x)
    if not steps:
        return x, None
    return samples, flags_after(steps, samples, np.zeros((1,) * samples.ndim, MARKS))


def _beside(stack: xr.DataArray, dim: Hashable, original: Any, own: Any) -> tuple[Any, Any]:
    if not isinstance(original, xr.DataArray):
        raise TypeError(f"original= is {type(original).__name__}: give the stack before the clip, a DataArray")
    if own is not None:
        raise ValueError("original= goes with a stack whose mask is NaN: a flagged Dataset knows what was rejected")
    if dict(original.sizes) != dict(stack.sizes):
        raise ValueError(f"original= has {dict(original.sizes)}, the stack {dict(stack.sizes)}: give the same frames")
    before = frames_first(matched("original", original, stack, dim).transpose(*stack.dims), dim)
    return before, arrays.map_over_frames(_since, before, frames_first(stack, dim), reduce=False, dtype=MARKS)


def _since(before: Any, now: Any) -> Any:
    """Flags of what is missing now: not finite before, else rejected, low or high by the median of what is left."""
    flags = np.where(np.isfinite(before), np.uint8(0), np.uint8(Flag.NOT_FINITE))
    out = (flags == 0) & ~np.isfinite(now)
    some = out.any(0)
    if some.any():
        old, new = before[:, some].astype(np.float64), now[:, some].astype(np.float64)
        left = np.where(np.isfinite(new).any(0), new, np.where(np.isfinite(old), old, np.nan))
        middle = np.nanmedian(np.where(np.isfinite(left), left, np.nan), axis=0)
        sides = np.where(old < middle, np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH))
        flags[:, some] |= np.where(out[:, some], sides, np.uint8(0))
    return flags
