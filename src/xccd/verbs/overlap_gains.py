"""Gains of aligned frames from the fluxes of the sources that pairs of frames have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xccd.compute.patches import Patch
from xccd.labels.warn import warn
from xccd.verbs.local_sky import above_sky
from xccd.verbs.overlap_samples import NOWHERE, groups, overlapping, some_of

Array = np.ndarray[Any, Any]
BRIGHT, WIDER = 8.0, 5  # a source: pixels above 8 times the noise, and the pixels around them
LEAST, BEST = 10.0, 100.0  # S/N of a source that is used, and from which its weight grows no more
ENOUGH = 5  # sources of a pair
HALO = 64  # pixels around the core of a patch: a source that reaches farther is left out
# A saturated star has a flat top: more pixels near its maximum than a star would have for its pixels above the half.
FLAT, TOP, OF_HALF = 4, 0.97, 0.12
# The brightest pixel of a frame is its limit if a star with a flat top has this share of it. Stars that reach the limit
# in one pixel have this share of it where they lie between four pixels of the grid.
NEAR, FULL = 0.9, 0.75


class Sources(NamedTuple):
    """Sources that pairs of frames have in common, an array of each."""

    pair: Array  # (2, sources): the indices of the two frames
    flux: Array  # (2, sources), in the two frames
    certainty: Array  # the lower S/N of the two
    peak: Array  # (2, sources): the highest pixel above the sky
    flat: Array  # (2, sources): whether the top is flat

    @classmethod
    def of_all(cls, parts: Sequence[Sources]) -> Sources:
        two = np.empty((2, 0))
        none = cls(two.astype(int), two, np.empty(0), two, two.astype(bool))
        return cls(*(np.concatenate(column, axis=-1) for column in zip(*parts, none, strict=True)))


class Seen(NamedTuple):
    """A frame in the box of its good pixels."""

    start: Array  # the first row and column of the box in the patch
    above: Array  # the samples above the sky, NaN where missing
    bright: Array  # whether a bright pixel is near
    noise: float

    @classmethod
    def of(cls, frame: Array, box: Array) -> Seen:
        above, noise = above_sky(frame[_slices(box[::2], box[1::2] + 1)])
        return cls(box[::2], above, widened(above > (BRIGHT * noise or np.inf), WIDER), noise)


def sources(values: Array, good: Array, patch: Patch) -> Sources:
    """The sources of all pairs of frames whose brightest pixel is in the core of a patch; ``good`` are finite."""
    boxes = np.array([_box(mask) for mask in good])
    here = np.flatnonzero(boxes[:, 0] != NOWHERE).tolist()
    frames = {k: Seen.of(values[k], boxes[k]) for k in here}
    core = np.array([(c.start, c.stop) for c in patch.core])
    found: list[Sources] = []
    for pair in some_of(overlapping(boxes)):
        own = boxes[list(pair)]
        first, last = own[:, ::2].max(0), own[:, 1::2].min(0) + 1
        if all(frames[k].noise for k in pair):
            found += _of_pair(pair, [frames[k] for k in pair], first, last, core)
    return Sources.of_all(found)


def _slices(start: Array, stop: Array) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))


def _box(good: Array) -> list[int]:
    """The first and last row and column with good pixels; an empty box without any."""
    lines = [np.flatnonzero(good.any(axis=1 - axis)) for axis in (0, 1)]
    return [int(at[k]) for at in lines for k in (0, -1)] if lines[0].size else [NOWHERE, -NOWHERE] * 2


def _of_pair(pair: tuple[int, int], frames: Sequence[Seen], first: Array, last: Array, core: Array) -> list[Sources]:
    """The sources of a pair in the box from ``first`` to ``last`` that both frames share."""
    one, other = (f.bright[_slices(first - f.start, last - f.start)] for f in frames)
    pixels, label = connected(one | other)
    places = np.stack(np.divmod(pixels, int(last[1] - first[1]))) + first[:, None]
    above = np.stack([f.above[tuple(places - f.start[:, None])] for f in frames])
    edge = np.any((places == first[:, None]) | (places == last[:, None] - 1), axis=0)
    keep = ~np.isin(label, np.unique(label[edge | np.isnan(above).any(0)]))
    order = np.flatnonzero(keep)[np.argsort(label[keep], kind="stable")]
    if not order.size:
        return []
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    inside: Array = np.all((places >= core[:, :1]) & (places < core[:, 1:]), axis=0)
    noise = np.array([[f.noise] for f in frames])
    return [_measured(pair, above[:, order], starts, noise, inside[order])]


def _measured(pair: tuple[int, int], each: Array, starts: Array, noise: Array, inside: Array) -> Sources:
    """Fluxes and tops from the pixels of sources, one source after the other from ``starts`` on."""
    sizes = np.diff(starts, append=each.shape[1])
    flux = np.add.reduceat(each, starts, axis=1)
    certainty = (flux / (noise * np.sqrt(sizes))).min(0)
    peak = np.maximum.reduceat(each, starts, axis=1)
    share = each / np.repeat(np.maximum(peak, noise), sizes, axis=1)
    top, half = (np.add.reduceat((share > level).astype(int), starts, axis=1) for level in (TOP, 0.5))
    flat = (top >= FLAT) & (top > OF_HALF * half)
    height = (each / noise).sum(0)
    brightest = np.flatnonzero(height == np.repeat(np.maximum.reduceat(height, starts), sizes))
    at = brightest[np.searchsorted(brightest, starts)]  # of equal ones the first
    use = inside[at] & (certainty > LEAST)
    both = np.repeat(np.array(pair)[:, None], int(use.sum()), axis=1)
    return Sources(both, flux[:, use], certainty[use], peak[:, use], flat[:, use])


def widened(mask: Array, by: int) -> Array:
    """A mask with all pixels up to ``by`` rows and columns from one of its pixels."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (by + 1, by)
        sums = np.cumsum(np.pad(mask, padding), axis=axis, dtype=np.int32)
        n = mask.shape[axis]
        high, low = ([slice(None)] * 2 for _ in range(2))
        high[axis], low[axis] = slice(2 * by + 1, 2 * by + 1 + n), slice(0, n)
        mask = sums[tuple(high)] > sums[tuple(low)]
    return mask


def connected(mask: Array) -> tuple[Array, Array]:
    """The flat indices of the pixels of a mask, and the number of the source of each, from 0.

    Pixels that touch by a side or a corner are one source. A source joins runs of pixels in rows that follow each
    other; written here because SciPy is no dependency.
    """
    columns, width = mask.shape[1], mask.shape[1] + 2  # runs of different rows stay apart by more than a corner
    apart = np.zeros((mask.shape[0], width), bool)
    apart[:, 1:-1] = mask
    turns = np.flatnonzero(apart.ravel()[1:] != apart.ravel()[:-1])  # before a run, and its last pixel
    row, start = np.divmod(turns[::2], width)
    stop = turns[1::2] - row * width
    first = np.searchsorted(row * width + stop, (row - 1) * width + start, side="left")
    last = np.searchsorted(row * width + start, (row - 1) * width + stop, side="right")
    number = np.maximum(last - first, 0)  # of the runs in the row before that touch each run
    this = np.repeat(np.arange(len(row)), number)
    before = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    name = _joined(len(row), this, before)
    length = stop - start
    pixels = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    pixels += np.repeat(row * columns + start, length)
    return pixels, np.repeat(np.unique(name, return_inverse=True)[1], length)


def _joined(size: int, one: Array, other: Array) -> Array:
    """For each of ``size`` items the least item that links join it to."""
    name = np.arange(size)
    while True:
        least = np.minimum(name[one], name[other])
        before = name.copy()
        np.minimum.at(name, before[one], least)
        np.minimum.at(name, before[other], least)
        while not np.array_equal(name, shorter := name[name]):
            name = shorter
        if np.array_equal(name, before):
            return name


def gains(found: Sources, enough: Array, names: Sequence[str]) -> Array:
    """The gain of each frame, that of the first 1: the levels that ``normalize(scale=)`` divides by.

    ``enough`` says for each two frames whether they have enough common pixels.
    """
    n = len(enough)
    use = ~_saturated(found, n).any(0) & enough[tuple(found.pair)]
    of_pair, flux, certainty = found.pair[0, use] * n + found.pair[1, use], found.flux[:, use], found.certainty[use]
    order = np.argsort(of_pair, kind="stable")
    ratio, weight = np.zeros((n, n)), np.zeros((n, n))
    for part in np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1):
        if part.size >= ENOUGH:
            i, j = divmod(int(of_pair[part[0]]), n)
            w = np.minimum(certainty[part], BEST) ** 2
            ratio[i, j] = _weighted_median(np.log(flux[0, part] / flux[1, part]), w)
            ratio[j, i], weight[i, j], weight[j, i] = -ratio[i, j], w.sum(), w.sum()
    return np.exp(_fit(ratio, weight, names))


def _saturated(found: Sources, frames: int) -> Array:
    """Whether each source is saturated in either frame of its pair (2, sources).

    A flat top says so. Where one is near the brightest pixel of a frame, that is the frame's limit, and the other
    sources near it are saturated, too.
    """
    most, full = np.zeros(frames), np.full(frames, np.inf)
    np.maximum.at(most, found.pair, found.peak)
    near = found.flat & (found.peak >= NEAR * most[found.pair])
    full[found.pair[near]] = FULL * most[found.pair[near]]
    saturated: Array = found.flat | (found.peak >= full[found.pair])
    return saturated


def _weighted_median(values: Array, weights: Array) -> float:
    """The value at which half of the weight is reached; the mean with the next one if it is reached exactly."""
    order = np.argsort(values, kind="stable")
    v, reached = values[order], np.cumsum(weights[order])
    half = reached[-1] / 2
    k = int(np.searchsorted(reached, half * (1 - 1e-12)))
    exact = k + 1 < len(v) and abs(reached[k] - half) <= 1e-12 * half
    return float((v[k] + v[k + 1]) / 2 if exact else v[k])


def _fit(ratio: Array, weight: Array, names: Sequence[str]) -> Array:
    """Log gains by weighted least squares, the first 0. Warns of frames that no chain of pairs joins to the first."""
    found = np.zeros(len(weight))
    parts = groups(weight > 0)
    for part in parts:
        inside = np.ix_(part, part)
        w, right = weight[inside], (weight[inside] * ratio[inside]).sum(1)
        laplace = np.diag(w.sum(1)) - w
        found[part[1:]] = np.linalg.solve(laplace[1:, 1:], right[1:])
        if part[0] != 0:
            found[part] -= found[part].mean()
    _tell([part for part in parts if len(parts) > 1], names)
    return found


def _tell(parts: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Warn of frames without a gain, and of groups of frames whose gains are relative to each other only."""
    alone = [part[0] for part in parts if len(part) == 1]
    rest = [part for part in parts if len(part) > 1 and part[0] != 0]
    if alone[:1] == [0]:
        rest = rest[1:]  # the first frame is told of already
    why = (
        f"fewer than {ENOUGH} sources of S/N > {LEAST:.0f} in common with any other frame (not saturated, not masked, "
        "not at an edge)"
    )
    if alone:
        more = f" (and {len(alone) - 1} more)" if alone[1:] else ""
        warn(f"scale='overlap': {names[alone[0]]}{more} has {why}: its gain is taken as 1")
    if rest:
        listed = ", ".join(names[i] for i in rest[0][:3]) + (", ..." if rest[0][3:] else "")
        more = f", and {len(rest) - 1} more group(s)" if rest[1:] else ""
        warn(
            f"scale='overlap': {listed}{more}: too few sources in common with {names[0]}, so their gains are relative "
            "to each other, with a mean of 1"
        )
