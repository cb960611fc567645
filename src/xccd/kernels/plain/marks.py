"""Rejections whose survivors are no window of the sorted column: as `compiled.marks`.

A rule is given ``values`` (frames, pixels) of float64, NaN where missing, the sorted ``rows`` of the same pixels, the
count of samples of each pixel, the numbers of the rejection's options (low and high first), numbers for each frame
(kinds, frames), numbers for each sample (frames or 1, pixels or 1), and ``out`` (frames, pixels), which is 0 before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.flags import Flag
from xccd.kernels.plain.windows import medians

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
STRAIGHT = 1e-12  # as in `compiled.lines`
FEWEST = 5
PART = 0.001


def mark_ranks(values: Any, columns: Any, found: Any, out: Any) -> None:
    """Write marks by rank (frames, some columns) to the samples of these columns; equal samples go in frame order."""
    order = np.argsort(values[:, columns], axis=0, kind="stable")
    marks = np.zeros(found.shape, np.uint8)
    np.put_along_axis(marks, order, found, 0)
    out[:, columns] = marks


def linear_fit(
    values: Any, rows: Any, number: Any, options: Any, of_frames: Any, of_samples: Any, out: Any
) -> None:  # fmt: skip
    """Samples far from a straight line through the sorted column, in mean absolute residuals."""
    low, high = options[:2]
    columns = np.flatnonzero(number >= FEWEST)
    left, y = number[columns], rows[:, columns]
    found = np.zeros(y.shape, np.uint8)
    rank = np.broadcast_to(np.arange(len(rows))[:, None], y.shape)
    where = np.arange(columns.size)  # the columns of ``found`` that go on
    while where.size:
        side = sides_of_line(y, left, low, high)
        out_now = side != 0
        go = np.flatnonzero(out_now.any(0))
        where, y, rank, side, out_now = where[go], y[:, go], rank[:, go], side[:, go], out_now[:, go]
        k, c = np.nonzero(out_now)
        found[rank[k, c], where[c]] = side[k, c]
        order = np.argsort(out_now, axis=0, kind="stable")
        y, rank = np.take_along_axis(y, order, 0), np.take_along_axis(rank, order, 0)
        left = left[go] - out_now.sum(0)
        enough = left >= FEWEST
        where, y, rank, left = where[enough], y[:, enough], rank[:, enough], left[enough]
    some = np.flatnonzero(found.any(0))
    if some.size:
        mark_ranks(values, columns[some], found[:, some], out)


def sides_of_line(y: Any, number: Any, low: float, high: float) -> Any:
    """One pass: 0 or the flag of its side for each of the first ``number`` samples of the sorted columns ``y``."""
    k = np.arange(len(y))[:, None]
    here = k < number
    zero = np.zeros(number.size, np.int64)
    m = number.astype(np.float64)
    half = 0.5 * (m - 1.0)
    distance = np.where(here, y - medians(y, zero, number), 0.0)
    s1, t1 = np.zeros((2, number.size))
    for i, row in enumerate(distance):
        s1 += row
        t1 += float(i) * row
    slope = (t1 - half * s1) * 12.0 / (m * (m * m - 1.0))
    residual = np.where(here, distance - (s1 / m - slope * half + k * slope), 0.0)
    total = np.zeros(number.size)
    for row in np.abs(residual):
        total += row
    mean = total / m
    spread = y[number - 1, np.arange(number.size)] - y[0]
    judged = here & (mean > STRAIGHT * spread)
    side = np.where(residual < -low * mean, LOW, np.where(residual > high * mean, HIGH, np.uint8(0)))
    return np.where(judged, side, np.uint8(0))


def ranks(values: Any, rows: Any, number: Any, options: Any, of_frames: Any, of_samples: Any, out: Any) -> None:
    """The lowest and the highest samples, in proportion to the count of samples that a pixel has."""
    low, high = (np.floor(number * share / len(rows) + PART).astype(np.int64) for share in options[:2])
    low = np.minimum(number, low)
    high = np.minimum(number - low, high)
    k = np.arange(len(rows))[:, None]
    found = np.where(k < low, LOW, np.where((k >= number - high) & (k < number), HIGH, np.uint8(0)))
    some = np.flatnonzero(found.any(0))
    if some.size:
        mark_ranks(values, some, found[:, some], out)
