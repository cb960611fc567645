"""The kernel of `compiled.drizzle` in NumPy: all pixels of a band at a time, with the same results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xccd.kernels.drops import FAR, FWHM, GAUSSIAN, HALVINGS, LEAST, POINT, SERIES, SIGMAS, SQUARE, TOUCHED
from xccd.kernels.limits import OUTSIDE
from xccd.kernels.plain.overlap import _under


def _square(us: Any, vs: Any, i: Any, j: Any, sign: Any, pixfrac: float) -> Any:
    share = np.zeros(us.shape[1])
    u, v = ((p - n - 0.5) * (1.0 / pixfrac) + 0.5 for p, n in ((us, i), (vs, j)))
    for e in range(4):
        share += _under(u[e], v[e], u[e + 1], v[e + 1], 0.0, 0.0)
    return share * sign


def _point(us: Any, vs: Any, i: Any, j: Any) -> Any:
    u, v, inside = i + 0.5, j + 0.5, np.zeros(us.shape[1], bool)
    for e in range(4):
        rises = vs[e] < vs[e + 1]
        # from the lower end of the edge, so that its other side gets the same bits
        u0, u1, v0, v1 = (np.where(rises, a, b) for p in (us, vs) for a, b in ((p[e], p[e + 1]), (p[e + 1], p[e])))
        crosses = (vs[e] > v) != (vs[e + 1] > v)
        inside ^= crosses & (u < u0 + (v - v0) * (u1 - u0) / (v1 - v0))
    return np.where(inside, 1.0, 0.0)


def _decay(t: Any) -> Any:
    z, total = -t / 2.0**HALVINGS, np.zeros(t.shape)
    for factor in SERIES:
        total = total * z + factor
    for _ in range(HALVINGS):
        total *= total
    return np.where(t < FAR, total, 0.0)


def _axes(us: Any, vs: Any, pixfrac: float) -> Any:
    ux, uy = 0.5 * (us[1] - us[0] + us[2] - us[3]), 0.5 * (us[3] - us[0] + us[2] - us[1])
    vx, vy = 0.5 * (vs[1] - vs[0] + vs[2] - vs[3]), 0.5 * (vs[3] - vs[0] + vs[2] - vs[1])
    det = ux * vy - uy * vx
    side = np.sqrt(np.abs(det))
    reach = max(SIGMAS / FWHM * pixfrac, LEAST) / side + 0.5
    return [
        0.25 * (us[0] + us[1] + us[2] + us[3]), 0.25 * (vs[0] + vs[1] + vs[2] + vs[3]),
        vy / det, -uy / det, -vx / det, ux / det,
        reach * (np.abs(ux) + np.abs(uy)), reach * (np.abs(vx) + np.abs(vy)),
        reach, 0.5 * (FWHM * side / pixfrac) ** 2,
    ]  # fmt: skip


def _gaussian(axes: Any, i: Any, j: Any) -> Any:
    u, v = i + 0.5 - axes[0], j + 0.5 - axes[1]
    x, y = axes[2] * u + axes[3] * v, axes[4] * u + axes[5] * v
    reached = (np.abs(x) <= axes[8]) & (np.abs(y) <= axes[8])
    return np.where(reached, axes[9] / math.pi * _decay((x * x + y * y) * axes[9]), 0.0)


def _fallen(frame: Any, variance: Any, flags: Any, first: int, us: Any, vs: Any, box: Any, share: Any) -> Any:
    """Over pixels of the grid: the sums of shares, of values and of variances, flags, and pixels not read."""
    rows = frame.shape[0]
    i0, i1, j0, j1 = box
    weight, sums, spread = np.zeros((3, len(i0)))
    bits, beyond = np.zeros(len(i0), np.uint8), 0
    for dj in range(max((j1 - j0).max(), -1) + 1):
        for di in range(max((i1 - i0).max(), -1) + 1):
            i, j = i0 + di, j0 + dj
            w = share(i, j)
            used = (w > TOUCHED) & (i <= i1) & (j <= j1)
            here = used & (j >= first) & (j < first + rows)
            beyond += int((used & ~here).sum())
            at = np.where(here, j - first, 0), np.where(here, i, 0)
            v = frame[at].astype(float)
            good = here & np.isfinite(v)
            weight += np.where(good, w, 0.0)
            sums += np.where(good, w * np.where(good, v, 0.0), 0.0)
            spread += np.where(good, w * w * variance[at].astype(float), 0.0)
            bits |= np.where(here & ~good, flags[at], 0).astype(np.uint8)
    return weight, sums, spread, bits, beyond


@np.errstate(all="ignore")
def dropped(
    frame: Any, variance: Any, flags: Any, first: int, height: int, corners: Any, total: bool, kind: int,
    pixfrac: float, shares: Any, value: Any, error: Any, reasons: Any,
) -> int:  # fmt: skip
    """As `compiled.drizzle.dropped`."""
    width, carries = frame.shape[1], variance.size > 0
    if not carries:
        variance = flags = np.broadcast_to(np.zeros((1, 1), np.uint8), frame.shape)
    quads = [corners[:, :-1, :-1], corners[:, :-1, 1:], corners[:, 1:, 1:], corners[:, 1:, :-1]]
    us, vs = np.stack([*quads, quads[0]], axis=1).reshape(2, 5, -1) + 0.5
    left, right, top, bottom = us.min(0), us.max(0), vs.min(0), vs.max(0)
    if kind == GAUSSIAN:
        axes = _axes(us, vs, pixfrac)
        left, right, top, bottom = axes[0] - axes[6], axes[0] + axes[6], axes[1] - axes[7], axes[1] + axes[7]
    area = np.zeros(us.shape[1])
    for e in range(4):
        # relative to the first corner: far from 0 the difference of large products loses digits
        area += 0.5 * ((us[e] - us[0]) + (us[e + 1] - us[0])) * (vs[e + 1] - vs[e])
    near = (bottom > 0) & (top < height) & (right > 0) & (left < width) & np.isfinite(area) & (area != 0)
    value[:], shares[:] = np.nan, 0.0
    if carries:
        error[:], reasons[:] = np.nan, OUTSIDE
    if not near.any():
        return 0
    us, vs, left, right, top, bottom = us[:, near], vs[:, near], left[near], right[near], top[near], bottom[near]
    area = area[near]
    sign = np.where(area > 0, 1.0, -1.0)
    if kind == GAUSSIAN:
        axes = [a[near] for a in axes]
    share = {
        GAUSSIAN: lambda i, j: _gaussian(axes, i, j),
        POINT: lambda i, j: _point(us, vs, i, j),
    }.get(kind, lambda i, j: _square(us, vs, i, j, sign, pixfrac))
    half = 0.5 + (0.5 * pixfrac if kind == SQUARE else 0.0)
    lows = (np.ceil(np.maximum(p - half, 0)).astype(int) for p in (left, top))
    highs = (np.floor(np.minimum(p - 1 + half, n - 1)).astype(int) for p, n in ((right, width), (bottom, height)))
    (i0, j0), (i1, j1) = lows, highs
    weight, sums, spread, bits, beyond = _fallen(frame, variance, flags, first, us, vs, (i0, i1, j0, j1), share)
    near = near.reshape(value.shape)
    scale = np.where(weight > 0, (np.abs(area) if total else 1.0) / weight, np.nan)
    value[near], shares[near] = sums * scale, weight
    if carries:
        error[near] = np.sqrt(spread) * scale
        reasons[near] = np.where(weight > 0, 0, np.where(bits > 0, bits, OUTSIDE))
    return int(beyond)
