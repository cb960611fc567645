"""Rejections by an error of each sample or frame: as `compiled.by_errors`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.flags import Flag
from xccd.kernels.plain.windows import means, medians

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)


def errors(values: Any, rows: Any, number: Any, options: Any, of_frames: Any, of_samples: Any, out: Any) -> None:
    """Samples further from the centre than their own deviations, until none is: as `compiled.by_errors.errors`."""
    low, high = options[:2]
    by_mean, least, nkeep = [*options[2:5].tolist(), 0.0, 0.0, 0.0][:3]
    fewest = max(2.0, least, nkeep + 1.0)
    a, b, q, z, g = of_frames[:, :, None]
    some, first = np.flatnonzero(number >= fewest), True
    x, left = values[:, some], number[some]
    e = np.broadcast_to(of_samples, values.shape)[:, some]
    while some.size:
        ordered = np.sort(x, axis=0) + 0.0
        zero, columns = np.zeros(some.size, np.int64), np.arange(some.size)
        if by_mean > 0.0:
            center = means(ordered, zero, left, columns, first or by_mean > 1.0)
        else:
            center = medians(ordered, zero, left, columns)
        v = np.where(center + z > 0.0, center + z, 0.0)
        s = np.sqrt((((e * e) * (1.0 + g * v) + a) + b * v) + (q * v) * v)
        r = x - center
        far = ((r < -low * s) | (r > high * s)) & (s > 0.0)
        if nkeep:
            far = _kept(far, np.abs(r) / s, nkeep - left)
        k, c = np.nonzero(far)
        out[k, some[c]] = np.where(r[k, c] < 0.0, LOW, HIGH)
        x[far] = np.nan
        left = left - far.sum(0)
        go = far.any(0) & (left >= fewest)
        some, x, e, left, first = some[go], x[:, go], e[:, go], left[go], False


def _kept(far: Any, ratio: Any, lacking: Any) -> Any:
    """``far`` without the nearest ones of columns that would lack samples; equal ones stay together."""
    lacking = (lacking + far.sum(0)).astype(np.int64)
    order = np.sort(np.where(far, ratio, np.inf), axis=0)
    edge = np.take_along_axis(order, np.clip(lacking - 1, 0, None)[None], 0)
    return far & ~((lacking > 0) & (ratio <= edge))


def swarp(values: Any, rows: Any, number: Any, options: Any, of_frames: Any, of_samples: Any, out: Any) -> None:
    """Samples further from the median than their noise and a part of the median; of two samples both or none."""
    low, high, amplitude = options[:3]
    center = np.where(number > 0, medians(rows, np.zeros_like(number), number), 0.0)
    light = np.abs(center)
    variance = (of_samples * of_samples + of_frames[1][:, None]) + light * of_frames[0][:, None]
    s, r = np.sqrt(variance), values - center
    lower, upper = r < -(low * s + amplitude * light), r > high * s + amplitude * light
    judged = (number >= 3) & (s > 0.0)
    out[:] = np.where(judged & lower, LOW, np.where(judged & upper, HIGH, np.uint8(0)))
    pairs = np.flatnonzero(number == 2)
    if pairs.size:
        x = values[:, pairs]
        here = ~np.isnan(x)
        total = np.zeros(pairs.size)
        for row, used in zip(np.broadcast_to(variance, values.shape)[:, pairs], here, strict=True):
            total += np.where(used, row, 0.0)
        s, part, distance = np.sqrt(total), amplitude * light[pairs], rows[1, pairs] - rows[0, pairs]
        lower, upper = (s > 0.0) & (distance > low * s + part), (s > 0.0) & (distance > high * s + part)
        out[:, pairs] = np.where(
            lower & (x == rows[0, pairs]), LOW, np.where(upper & (x == rows[1, pairs]), HIGH, np.uint8(0))
        )
