"""Sigma clip of the NumPy engine: first all columns at once, then those with an outlier, as in `compiled.clip`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds
from xccd.kernels.limits import HUGE, MAD_TO_STD, TINY, limits
from xccd.kernels.plain.block import Block, middle, missing, sort
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions

MEAN, MAD_STD = CENTERS["mean"], DEVIATIONS["mad_std"]


@np.errstate(all="ignore")
def sigma(x: Any, start: int, stop: int, bounds: Bounds, options: ClipOptions, total: Any = None) -> Any:
    """Narrow the bounds by a clip; returns the per-pixel count of survivors, int32. ``total`` becomes NaN."""
    if total is not None:  # sums cost as much here as in `reduce`
        total[:] = np.nan
    least, most, bounded = bounds
    _, _, before, behind = limits(x.dtype)
    piece = x[:, start:stop]
    block = sort(piece, missing(piece, least, most, bounded))
    moments = first_moments(block, options)
    number = np.full(stop - start, block.count, np.int32)
    np.add(block.raw(0), 0, out=least)  # + 0: no -0.0
    np.add(block.raw(block.count - 1), 0, out=most)
    columns = np.flatnonzero(suspect(block, *moments, options))
    if columns.size:
        lo, hi = windows(block, columns, *moments[:3], options)
        least[columns], most[columns] = block.raw(lo, columns) + 0, block.raw(hi - 1, columns) + 0
        number[columns] = hi - lo
    none = number == 0
    if none.any():
        least[none], most[none] = behind, before
    return number


def first_moments(block: Block, options: ClipOptions) -> tuple[Any, Any, Any, Any]:
    """Median, sum and sum of squares about it for each column, and the residuals. Sums stay 0 if no option needs them.

    The residuals of all frames are kept only for a MAD, else of two. Sums are made two frames at a time, as in
    `compiled.clip.moments`.
    """
    frames, columns = block.starts.size, block.columns
    n, keep, sums = block.count, options.deviation == MAD_STD, takes_sums(options)
    full = n if np.ndim(n) == 0 else n.min(initial=frames)
    center = middle(block.row((n - 1) // 2), block.row(n // 2))
    rest, squares, total = np.empty((frames if keep else 2, columns)), np.empty((2, columns)), np.empty(columns)
    s1, s2 = np.zeros((2, columns))
    for i in range(0, frames, 2):
        pair = rest[i if keep else 0 :][: min(2, frames - i)]
        for k, y in enumerate(pair, i):
            np.copyto(y, block.raw(k))  # a copy to float64 first is 1.6 times faster than a subtraction of two dtypes
            np.subtract(y, center, out=y)
            if k >= full:
                y[n <= k] = 0.0
        if sums:
            square = np.multiply(pair, pair, out=squares[: len(pair)])
            s1 += np.add(pair[0], pair[1], out=total) if len(pair) > 1 else pair[0]
            s2 += np.add(square[0], square[1], out=total) if len(pair) > 1 else square[0]
    return center, s1, s2, rest


def nearest(rest: Any, m: int) -> Any:
    """Distance of the m-th nearest sample to the median, from sorted residuals: as `compiled.clip.nearest`."""
    distance = np.full(rest.shape[1], np.inf)
    farther = np.empty_like(distance)
    for below, above in zip(rest, rest[m - 1 :], strict=False):
        np.negative(below, out=farther)
        np.maximum(farther, above, out=farther)
        np.minimum(distance, farther, out=distance)
    return distance


def median_nearest(rest: Any) -> Any:
    """The median distance to the median (MAD) of full columns, from their sorted residuals."""
    frames = len(rest)
    outer = nearest(rest, frames // 2 + 1)
    return outer if frames % 2 else middle(nearest(rest, frames // 2), outer)


def limit(n: Any, s1: Any, s2: Any, mad: Any, unit: Any, options: ClipOptions, moved: Any = 0.0) -> tuple[Any, Any]:
    """Variance and factor of the test ``r^2 factor > k^2 variance`` in `compiled.window`, from the sums or the MAD.

    ``moved`` is the distance of the median from the origin of the sums.
    """
    by_mad, ddof, floor = options.deviation == MAD_STD, options.ddof, options.floor
    if by_mad:
        deviation = np.fmax(MAD_TO_STD * mad, floor) * unit * n
        return deviation * deviation, 1.0
    factor = n - ddof  # both sides times this: no division, whole counts stay exact
    deviation = floor * unit * n if floor else 0.0
    scatter = (n * s2 - s1 * s1) * n
    if options.about:
        scatter = scatter + n * np.square(s1 - moved * n)
    return np.fmax(scatter, deviation * deviation * factor), factor


def suspect(block: Block, center: Any, s1: Any, s2: Any, rest: Any, options: ClipOptions) -> Any:
    """Mask of columns whose lowest or highest sample is outside or may be outside: as `compiled.clip.suspect`."""
    by_mean, by_mad = options.center == MEAN, options.deviation == MAD_STD
    low, high, nkeep = options.low, options.high, options.nkeep
    n = np.asarray(block.count, np.float64)
    shift = s1 if by_mean else 0.0
    below = (block.row(0) - center) * n - shift
    above = (block.row(block.count - 1) - center) * n - shift
    variance, factor = limit(n, s1, s2, median_nearest(rest) if by_mad else 0.0, 1.0, options)
    far = (below * below * factor > low * low * variance) & (below < 0.0)
    far |= (above * above * factor > high * high * variance) & (above > 0.0)
    spread = above - below
    if not (spread.min() > TINY and spread.max() < HUGE):
        far |= (spread != 0.0) & ~((spread >= TINY) & (spread <= HUGE))
    if by_mad:
        far |= n < len(block.starts)  # `nearest` is right for full columns only
    return far & (n > nkeep) & (n >= options.minimum) & (factor > 0.0)


class Columns:
    """Columns that a clip goes on with: their samples one after another, windows (lo, hi), and sums as in `window`.

    Rows of ``places`` are index, lo, hi; of ``numbers`` origin, s1, s2, whole, unit. ``stale`` ones need new sums.
    """

    def __init__(self, samples: Any, places: Any, numbers: Any, stale: Any) -> None:
        self.samples, self.places, self.numbers, self.stale = samples, places, numbers, stale
        self.index, self.lo, self.hi = places
        self.origin, self.s1, self.s2, self.whole, self.unit = numbers

    def only(self, keep: Any) -> Columns:
        """The columns where ``keep`` is true."""
        if keep.all():
            return self
        return Columns(self.samples, self.places[:, keep], self.numbers[:, keep], self.stale[keep])


def gather(block: Block, columns: Any) -> tuple[Any, Any]:
    """Some columns one after another as one float64 array, and the index where each begins."""
    frames = block.starts.size
    samples = np.empty((columns.size, frames))
    for k in range(frames):
        samples[:, k] = block.raw(k, columns)
    return samples.ravel(), np.arange(columns.size) * frames


def windows(block: Block, columns: Any, center: Any, s1: Any, s2: Any, options: ClipOptions) -> tuple[Any, Any]:
    """The windows ``(lo, hi)`` that survive in some sorted columns, from the sums about their medians."""
    size = columns.size
    samples, first = gather(block, columns)
    count = np.full(size, block.count) if np.ndim(block.count) == 0 else block.count[columns]
    places = np.stack([np.arange(size), first, first + count])
    center, s1, s2 = center.take(columns), s1.take(columns), s2.take(columns)
    spread = np.abs(samples.take(first) - center) + np.abs(samples.take(first + count - 1) - center)
    stale = ~((spread > TINY) & (spread < HUGE))
    c = Columns(samples, places, np.stack([center, s1, s2, s2, np.ones(size)]), stale)
    lo, hi, passes = np.zeros(size, np.int64), count, 0
    # so few can lose none
    enough = max(0.0, options.nkeep, options.minimum - 1, 0.0 if options.deviation == MAD_STD else options.ddof)
    while c.index.size and passes != options.maxiters:
        c = c.only(c.hi - c.lo > enough)
        new_lo, new_hi = once(c, options)
        moved = (new_lo != c.lo) | (new_hi != c.hi)
        c = c.only(moved)
        leave(c, new_lo[moved], new_hi[moved], options)
        lo[c.index], hi[c.index] = c.lo - first[c.index], c.hi - first[c.index]
        passes += 1
    return lo, hi


def once(c: Columns, options: ClipOptions) -> tuple[Any, Any]:
    """One pass: the new ends of the windows, as indices of ``c.samples``."""
    by_mean, by_mad = options.center == MEAN, options.deviation == MAD_STD
    low, high, nkeep = options.low, options.high, options.nkeep
    size = c.hi - c.lo
    n = size.astype(np.float64)
    center = middle(c.samples.take(c.lo + (size - 1) // 2), c.samples.take(c.lo + size // 2))
    if c.stale.any():
        renew(c, np.flatnonzero(c.stale), center, takes_sums(options))
    mad = median_distance(c.samples, c.lo, c.hi, center) if by_mad else 0.0
    variance, factor = limit(n, c.s1, c.s2, mad, c.unit, options, center * c.unit - c.origin * c.unit)
    base, shift = (c.origin, c.s1) if by_mean else (center, 0.0)
    numbers = np.empty((6, 2, n.size))  # of both ends
    for row, value in zip(numbers, (c.unit, base * c.unit, n, shift, factor), strict=False):
        row[:] = value
    numbers[5] = low * low * variance, high * high * variance
    lo, hi = trim(c, numbers.reshape(6, -1))
    short = np.flatnonzero(hi - lo < nkeep)
    if short.size:
        put_back(c, short, lo, hi, base + shift / n / c.unit, nkeep)
    return lo, hi


def takes_sums(options: ClipOptions) -> bool:
    """Whether a clip needs sums."""
    return bool(options.center == MEAN or options.deviation != MAD_STD)


def trim(c: Columns, numbers: Any) -> tuple[Any, Any]:
    """Move the ends past rejected samples; ``numbers`` has the columns of the lower ends, then of the upper ends.

    Both ends move at the same time. They cannot meet: a lower end passes samples below the centre only, an upper end
    samples above it.
    """
    size = c.lo.size
    edge, end = np.concatenate([c.lo, c.hi - 1]), np.concatenate([c.hi, c.lo - 1])
    alive, place = np.arange(2 * size), edge
    while alive.size:
        unit, base, n, shift, factor, least = numbers
        r = (c.samples.take(place) * unit - base) * n - shift
        out = np.flatnonzero(((r < 0.0) ^ (alive >= size)) & (r * r * factor > least))
        alive = alive.take(out)
        place = place.take(out) + np.where(alive < size, 1, -1)
        edge[alive] = place
        more = place != end.take(alive)
        if not more.all():
            alive, place, out = alive[more], place[more], out[more]
        numbers = numbers[:, out]
    return edge[:size], edge[size:] + 1


def put_back(c: Columns, some: Any, lo: Any, hi: Any, center: Any, nkeep: float) -> None:
    """Put rejected samples back in place, smallest residual first, until ``nkeep`` are left; equal ones together."""
    edge = np.full(lo.size, -1.0)
    while some.size:
        a, b, middles = lo[some], hi[some], center[some]
        left, right = a > c.lo[some], b < c.hi[some]
        below = np.where(left, middles - c.samples[a - left], np.inf)
        above = np.where(right, c.samples[b - ~right] - middles, np.inf)
        near = np.minimum(below, above)
        go = (left | right) & ((b - a < nkeep) | (near == edge[some]))
        down = left & ((below <= above) | ~right)
        edge[some] = near
        lo[some] -= go & down
        hi[some] += go & ~down
        some = some[go]


def leave(c: Columns, lo: Any, hi: Any, options: ClipOptions) -> None:
    """Set the windows and subtract rejected samples from the sums. A column is stale if little of its sums is left."""
    below = lo - c.lo
    out = below + c.hi - hi
    for i in range(out.max(initial=0) if takes_sums(options) else 0):
        some = np.flatnonzero(out > i)
        under = below[some]
        unit = c.unit[some]
        y = c.samples.take(np.where(i < under, c.lo[some] + i, hi[some] + i - under)) * unit - c.origin[some] * unit
        c.s1[some] -= y
        c.s2[some] -= y * y
    c.lo[:], c.hi[:] = lo, hi
    n = (hi - lo).astype(np.float64)
    c.stale[:] = ~((64.0 * c.s2 > c.whole) & (64.0 * (n * c.s2 - c.s1 * c.s1) > n * c.s2)) | (not takes_sums(options))


def renew(c: Columns, some: Any, center: Any, sums: bool) -> None:
    """Compute the sums of some columns again about new centres, in units as of `compiled.window.scaled_moments`."""
    lo, hi, center = c.lo[some], c.hi[some], center[some]
    first, last = c.samples[lo], c.samples[hi - 1]
    spread = np.maximum(center - first, last - center)
    safe = (spread == 0.0) | ((spread > TINY) & (spread < HUGE))
    unit = np.ones(some.size)
    if not safe.all():
        size = np.where(spread == np.inf, np.abs(first) + np.abs(last), spread)
        exponent = np.where(size == np.inf, -1000, -np.frexp(size)[1])
        unit = np.where(safe, unit, np.ldexp(1.0, (np.minimum(exponent, 1000) - 3).astype(np.intc)))
    s1 = s2 = np.zeros(some.size)
    if sums:
        rows = lo + np.arange((hi - lo).max(initial=0))[:, None]
        y = c.samples.take(np.minimum(rows, hi - 1)) * unit - center * unit
        y[rows >= hi] = 0.0
        s1, s2 = added(y), added(y * y)
    c.numbers[:, some] = center, s1, s2, s2, unit


def added(rows: Any) -> Any:
    """The sum of rows in their order. `accumulate` is needed for one column, which NumPy would sum pairwise."""
    return np.add.reduce(rows, axis=0) if rows.shape[1] > 1 else np.add.accumulate(rows, axis=0)[-1]


def median_distance(samples: Any, lo: Any, hi: Any, center: Any) -> Any:
    """The median distance of windows to their medians (MAD): as `compiled.window.median_distance`."""
    n = hi - lo
    m = n // 2 + 1
    a, b = lo, hi - m
    while (a < b).any():
        i = (a + b) // 2
        right = (a < b) & (center - samples.take(i) > samples.take(i + m - 1) - center)
        a, b = np.where(right, i + 1, a), np.where(right, b, i)
    before = center - samples.take(np.maximum(a - 1, lo))
    a = a - ((a > lo) & (before < samples.take(a + m - 1) - center))
    left, right = center - samples.take(a), samples.take(a + m - 1) - center
    farthest = np.maximum(left, right)
    a = a + (left > right)  # without its farther end the window holds the m - 1 nearest
    inner = np.maximum(center - samples.take(a), samples.take(a + np.maximum(m - 2, 0)) - center)
    return np.where(n % 2 == 0, middle(inner, farthest), farthest)
