"""The kernel of `compiled.overlap` in NumPy: all pixels of a band at a time, with the same results."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.limits import HALF, OUTSIDE

FLAT, TOUCHED = 1e-7, 1e-9


def _rise(u: Any, i: Any) -> Any:
    d = u - i
    return np.where(d <= 0, 0.0, np.where(d < 1, 0.5 * d * d, d - 0.5))


def _under(u0: Any, v0: Any, u1: Any, v1: Any, i: Any, j: Any) -> Any:
    va, vb = (np.minimum(np.maximum(v, j), j + 1.0) for v in (v0, v1))
    slope = (u1 - u0) / (v1 - v0)
    ua, ub = u0 + slope * (va - v0), u0 + slope * (vb - v0)
    flat = np.minimum(np.maximum(0.5 * (ua + ub) - i, 0.0), 1.0)
    # a quotient of two small differences is inexact, so the mean of the edge is used there
    mean = np.where(np.abs(ub - ua) < FLAT, (vb - va) * flat, (vb - va) * (_rise(ub, i) - _rise(ua, i)) / (ub - ua))
    return np.where(va == vb, 0.0, mean)


def _summed(frame: Any, variance: Any, flags: Any, first: int, height: int, us: Any, vs: Any, area: Any) -> Any:
    """Over quadrilaterals: area of good pixels, sum, variance sum, area within the frame, flags, pixels not read."""
    rows, width = frame.shape
    sign = np.where(area > 0, 1.0, -1.0)
    i0, j0 = (np.floor(np.maximum(v.min(0), 0)).astype(int) for v in (us, vs))
    i1, j1 = (np.floor(np.minimum(v.max(0), n - 0.5)).astype(int) for v, n in ((us, width), (vs, height)))
    weight, sums, square, inside = np.zeros((4, len(i0)))
    bits, beyond = np.zeros(len(i0), np.uint8), 0
    for dj in range((j1 - j0).max() + 1):
        for di in range((i1 - i0).max() + 1):
            i, j = i0 + di, j0 + dj
            w = np.zeros(len(i0))
            for e in range(4):
                w += _under(us[e], vs[e], us[e + 1], vs[e + 1], i, j)
            w *= sign
            used = (w > 0) & (i <= i1) & (j <= j1)
            here = used & (j >= first) & (j < first + rows)
            beyond += int((used & ~here).sum())
            at = np.where(here, j - first, 0), np.where(here, i, 0)
            v = frame[at].astype(float)
            good = here & np.isfinite(v)
            inside += np.where(used, w, 0.0)
            bits |= np.where(here & ~good & (w > TOUCHED * np.abs(area)), flags[at], 0).astype(np.uint8)
            weight += np.where(good, w, 0.0)
            sums += np.where(good, w * np.where(good, v, 0.0), 0.0)
            square += np.where(good, w * w * variance[at].astype(float), 0.0)
    return weight, sums, square, inside, bits, beyond


@np.errstate(all="ignore")
def overlapped(
    frame: Any, variance: Any, flags: Any, first: int, height: int, corners: Any, total: bool,
    value: Any, error: Any, reasons: Any,
) -> int:  # fmt: skip
    """As `compiled.overlap.overlapped`."""
    width, carries = frame.shape[1], variance.size > 0
    if not carries:
        variance = flags = np.broadcast_to(np.zeros((1, 1), np.uint8), frame.shape)
    quads = [corners[:, :-1, :-1], corners[:, :-1, 1:], corners[:, 1:, 1:], corners[:, 1:, :-1]]
    us, vs = np.stack([*quads, quads[0]], axis=1) + 0.5
    near = (vs.max(0) > 0) & (vs.min(0) < height) & (us.max(0) > 0) & (us.min(0) < width)
    value[:] = np.nan
    if carries:
        error[:], reasons[:] = np.nan, OUTSIDE
    if not near.any():
        return 0
    us, vs = us[:, near], vs[:, near]
    area = np.zeros(us.shape[1])
    for e in range(4):
        # relative to the first corner: far from 0 the difference of large products loses digits
        area += 0.5 * ((us[e] - us[0]) + (us[e + 1] - us[0])) * (vs[e + 1] - vs[e])
    weight, sums, square, inside, bits, beyond = _summed(frame, variance, flags, first, height, us, vs, area)
    area = np.abs(area)
    usable = (weight > 0) & (weight >= HALF * area)
    scale = np.where(usable, (area if total else 1.0) / weight, np.nan)
    value[near] = sums * scale
    if carries:
        outside = np.where(inside >= area * (1.0 - FLAT), 0, OUTSIDE)
        error[near], reasons[near] = np.sqrt(square) * scale, np.where(usable, 0, bits | outside.astype(np.uint8))
    return int(beyond)
