"""The kernels of `compiled.resample` in NumPy: all pixels of a band at a time, with the same results."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.limits import HALF, ON_PIXEL, OUTSIDE, SINE, THIRD


def interpolated_nodes(nodes: Any, table: Any, first: int, out: Any) -> None:
    """As `compiled.resample.interpolated_nodes`."""
    step, (_, rows, width) = table.shape[1], out.shape
    j, t = np.divmod(first + np.arange(rows), step)
    i, s = np.divmod(np.arange(width), step)
    w, u = table[:, t, None], table[:, s]
    line = w[0] * nodes[:, j] + w[1] * nodes[:, j + 1] + w[2] * nodes[:, j + 2] + w[3] * nodes[:, j + 3]
    out[:] = u[0] * line[..., i] + u[1] * line[..., i + 1] + u[2] * line[..., i + 2] + u[3] * line[..., i + 3]


def _taps(x: Any, taps: int) -> tuple[Any, list[Any]]:
    """The first of the ``taps`` pixels that are used for each position, and the weights of all of them."""
    if taps == 1:
        return np.floor(x + 0.5).astype(int), [np.ones_like(x)]
    i = np.floor(x).astype(int)
    t = x - i
    if taps == 2:
        weights = [1.0 - t, t]
    elif taps == 4:
        weights = [
            t * (t * (1.0 - 0.5 * t) - 0.5),
            t * t * (1.5 * t - 2.5) + 1.0,
            t * (t * (2.0 - 1.5 * t) + 0.5),
            t * t * (0.5 * t - 0.5),
        ]
    else:
        on = t < ON_PIXEL
        weights = [np.where(on, float(k == 2), w) for k, w in enumerate(_lanczos(np.where(on, 0.5, t)))]
    return i - taps // 2 + 1, weights


def _lanczos(t: Any) -> list[Any]:
    """As `compiled.resample.lanczos`."""
    u = 1.0 - t
    s, r = _short_sine(THIRD * t), _short_sine(THIRD * u)
    p, q = (t + 1.0) * (t + 2.0), (u + 1.0) * (u + 2.0)
    both = 1.0 / (t * u * p * q)
    near, far = both * p * q, both * t * u
    a, b = near * u, near * t
    p, q = far * q, far * p
    c, d, e, f = p * (t + 1.0), p * (t + 2.0), q * (u + 2.0), q * (u + 1.0)
    lobes = [r * c * c, -(s + r) * d * d, s * a * a, r * b * b, -(s + r) * e * e, s * f * f]
    # in the order of the compiled kernel: other orders round differently
    scale = 1.0 / (lobes[0] + lobes[1] + lobes[2] + lobes[3] + lobes[4] + lobes[5])
    return [lobe * scale for lobe in lobes]


def _short_sine(z: Any) -> Any:
    """As `compiled.resample.short_sine`."""
    q = z * z
    p = q * q
    low = (SINE[0] + SINE[1] * q) + p * (SINE[2] + SINE[3] * q)
    high = (SINE[4] + SINE[5] * q) + p * (SINE[6] + SINE[7] * q)
    return z + z * q * (low + p * p * high)


def _gathered(frame: Any, variance: Any, flags: Any, first: int, height: int, x: Any, y: Any, taps: int) -> Any:
    """For each position: sum and weight of good pixels, whether all are good, pixels not read, variance sum, flags."""
    rows, width = frame.shape
    (i, wx), (j, wy) = _taps(x, taps), _taps(y, taps)
    total, weight, square = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    whole, beyond, bits = np.ones(x.shape, bool), np.zeros(x.shape, int), np.zeros(x.shape, np.uint8)
    for a in range(taps):
        along, beside = np.zeros(x.shape), np.zeros(x.shape)
        for b in range(taps):
            w, r, c = wy[a] * wx[b], j + a, i + b
            used = w != 0
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            here = inside & (r >= first) & (r < first + rows)
            beyond += used & inside & ~here
            at = np.where(here, r - first, 0), np.where(here, c, 0)
            v = frame[at].astype(float)
            good = used & here & np.isfinite(v)
            whole &= good | ~used | (inside & ~here)
            bits |= np.where(used & ~inside, OUTSIDE, 0).astype(np.uint8)
            bits |= np.where(used & here & ~good, flags[at], 0).astype(np.uint8)
            along += np.where(good, wx[b] * np.where(good, v, 0.0), 0.0)
            weight += np.where(good, w, 0.0)
            beside += np.where(good, wx[b] * wx[b] * variance[at].astype(float), 0.0)
        total += wy[a] * along
        square += wy[a] * wy[a] * beside
    return total, weight, whole, beyond, square, bits


@np.errstate(all="ignore")
def resampled(
    frame: Any, variance: Any, flags: Any, first: int, height: int, at: Any, taps: int,
    value: Any, error: Any, reasons: Any,
) -> int:  # fmt: skip
    """As `compiled.resample.resampled`."""
    carries = variance.size > 0
    if not carries:
        variance = flags = np.broadcast_to(np.zeros((1, 1), np.uint8), frame.shape)
    x, y = at[0], at[1]
    width = frame.shape[1]
    # false for NaN, which has no place in an array of indices
    near = (x > -taps) & (x < width + taps) & (y > -taps) & (y < height + taps)
    found = _gathered(frame, variance, flags, first, height, x[near], y[near], taps)
    if taps > 2:
        # wide kernels have negative lobes, and ring if a pixel is left out
        again = ~found[2]
        two = _gathered(frame, variance, flags, first, height, x[near][again], y[near][again], 2)
        for mine, other in zip(found, two, strict=True):
            mine[again] = other
    total, weight, whole, beyond, square, bits = found
    usable = whole | (weight >= HALF)
    divisor = np.where(whole, 1.0, np.where(usable, weight, np.nan))
    value[:] = np.nan
    value[near] = total / divisor
    if carries:
        error[:], reasons[:] = np.nan, OUTSIDE
        error[near], reasons[near] = np.sqrt(square) / divisor, np.where(usable, 0, bits)
    return int(beyond.sum())
