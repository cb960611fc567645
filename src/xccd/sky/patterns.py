"""Star patterns: the shift, turn, scale and flip between two lists of stars, without a first guess."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Any

import numpy as np

from xccd.sky.similarity import Fit, inverse, of_complex, pairs, settled

Array = np.ndarray[Any, Any]
BRIGHTEST = 30, 50  # stars of each list that are asked first, and again if their patterns are not alike
WIDELY = (20,)  # the same for a wide range of scales, which allows many more guesses
NARROW = 1.2  # ratio of the largest scale to the least in a range that is not wide
MOST = 120  # stars of an image that shows much more sky
APART = 0.08  # of the longer side of the list: pairs of stars that are closer tell little of a turn
REACH = 0.004, 2.5  # of the reference's longer side, and least pixels: how far a star may be from its place at first
TRIED = 24  # of the best guesses are fitted
FAR = 1e6  # cells of the map: places beyond are as far
CHUNK = 1 << 18  # stars that are looked up together
CHANCE = 1e-3  # how many patterns as good as the one found may be expected by chance
LEAST = 6  # stars in common
FIXED = 0.3  # pixels: what stays so near to its pixel may be a fault of the camera
Shape = tuple[int, int]
Variances = tuple[Array, Array] | None


@dataclass(frozen=True)
class Match:
    """A fit of one list of stars to another, and how many as good ones chance would give."""

    fit: Fit
    chance: float

    @property
    def sure(self) -> bool:
        """Whether there are stars enough, and not by chance."""
        return len(self.fit) >= LEAST and self.chance < CHANCE


def match(
    first: Array, other: Array, shapes: tuple[Shape, Shape], *, scales: Sequence[tuple[float, float]], model: str,
    weights: Variances = None,
) -> Match | None:  # fmt: skip
    """The best fit of the places ``other`` to the places ``first``; None if no pattern is alike.

    Each pair of bright stars of one list with each pair of the other gives a shift, a turn and a scale, with and
    without a flip. The one that puts most stars on stars is fitted to all stars. What stays at its pixels in both
    lists may be faults of a camera: if the other stars have a pattern in common, that one counts.

    Parameters
    ----------
    first, other : ndarray of complex
        Places x + iy, brightest first.
    shapes : pair of (int, int)
        Rows and columns of both images.
    scales : pairs of float
        Ranges of the scale, tried in this order until a match is sure.
    model : {"similarity", "affine"}
        What is fitted.
    weights : pair of ndarray, optional
        Variances of the places in both lists. Default: all alike.
    """
    best = _tried(first, other, shapes, scales, model, weights)
    if best is None or not best.sure or np.abs(best.fit.matrix - np.eye(2, 3)).max() > FIXED:
        return best
    i, j = pairs(first, other, FIXED)
    moves, moved = (np.setdiff1d(np.arange(len(every)), some) for every, some in ((first, i), (other, j)))
    if min(len(moves), len(moved)) < LEAST:
        return best
    rest = None if weights is None else (weights[0][moves], weights[1][moved])
    again = _search(first[moves], other[moved], shapes, scales[0], BRIGHTEST[0], model, rest)
    return again if again is not None and again.sure else best


def _tried(
    first: Array, other: Array, shapes: tuple[Shape, Shape], scales: Sequence[tuple[float, float]], model: str,
    weights: Variances,
) -> Match | None:  # fmt: skip
    """The best match of all ranges of scales, up to the first that is sure."""
    best: Match | None = None
    for low, high in scales:
        for most in BRIGHTEST if high / low < NARROW else WIDELY:
            found = _search(first, other, shapes, (low, high), most, model, weights)
            if found is not None and (best is None or found.chance < best.chance):
                best = found
            if best is not None and best.sure:
                return best
            if most >= max(len(first), len(other)):
                break
    return best


def _search(
    first: Array, other: Array, shapes: tuple[Shape, Shape], scales: tuple[float, float], most: int, model: str,
    weights: Variances,
) -> Match | None:  # fmt: skip
    """The best match within one range of scales, from the brightest stars."""
    if min(len(first), len(other)) < 3:
        return None
    wider = scales[0] * scales[1] * np.prod(shapes[1]) / np.prod(shapes[0])  # how much more sky the other image shows
    one, two = (x[: int(min(most * max(1, by), MOST))] for x, by in ((first, 1 / wider), (other, wider)))
    reach = max(REACH[0] * max(shapes[0]), REACH[1])
    starts, tried = _starts(one, two, shapes, reach, scales)
    fits = [settled(one, two, start, reach) for start in starts]
    good = [fit for fit in fits if fit is not None and scales[0] <= fit.scale <= scales[1]]
    if not good:
        return None
    best = max(good, key=lambda fit: (len(fit), -fit.residual))
    final = settled(first, other, best.matrix, max(best.reach, 1.0), model=model, weights=weights) or best
    chances = (chance_of(f, o, fit, shapes[0], tried) for f, o, fit in ((first, other, final), (one, two, best)))
    return Match(final, min(chances))


def _starts(
    one: Array, two: Array, shapes: tuple[Shape, Shape], reach: float, scales: tuple[float, float]
) -> tuple[list[Array], int]:  # fmt: skip
    """The matrices that put most stars on stars, and how many guesses there were. The shorter list is looked up."""
    if len(two) > len(one):
        back = float(np.sqrt(scales[0] * scales[1]))
        ranges = 1 / scales[1], 1 / scales[0]
        starts, tried = _starts(two, one, shapes[::-1], max(reach / back, REACH[1]), ranges)
        return [inverse(start) for start in starts], tried
    table, tried = _Places(one, shapes[0], reach), 0
    kept: list[tuple[Array, Array, Array]] = []
    for mirrored in (False, True):
        places = two.conj() if mirrored else two
        for a, t in _guesses(one, places, scales):
            tried += len(a)
            hits = table.hits(a, t, places)
            top = np.argsort(-hits, kind="stable")[:TRIED]
            kept.append((hits[top], np.stack([a[top], t[top]]), np.full(len(top), mirrored)))
    if not kept:
        return [], 0
    hits, guesses, flips = (np.concatenate([some[k] for some in kept], axis=-1) for k in range(3))
    best = np.argsort(-hits, kind="stable")[:TRIED]
    return [of_complex(guesses[0, k], guesses[1, k], bool(flips[k])) for k in best], tried


def _guesses(first: Array, other: Array, scales: tuple[float, float]) -> Iterator[tuple[Array, Array]]:
    """Factors a and shifts t with first = a other + t, from each pair of one list with each of the other."""
    i, j = np.triu_indices(len(first), 1)
    k, m = np.nonzero(~np.eye(len(other), dtype=bool))
    long, short = first[j] - first[i], other[m] - other[k]
    far = np.abs(long) > APART * _side(first)
    i, long = i[far], long[far]
    order = np.argsort(np.abs(short), kind="stable")
    order = order[np.abs(short[order]) > APART * _side(other)]
    k, short = k[order], short[order]
    lengths = np.abs(short)
    starts = np.searchsorted(lengths, np.abs(long) / scales[1])
    ends = np.searchsorted(lengths, np.abs(long) / scales[0], side="right")
    step = max(1, CHUNK // max(1, len(other) * max(1, int((ends - starts).max(initial=1)))))
    for at in range(0, len(long), step):
        counts = (ends - starts)[at : at + step]
        if not counts.sum():
            continue
        pair = np.repeat(np.arange(at, at + len(counts)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + starts[pair]
        a = long[pair] / short[within]
        yield a, first[i[pair]] - a * other[k[within]]


def _side(places: Array) -> float:
    return float(max(np.ptp(places.real), np.ptp(places.imag), 1e-9))


class _Places:
    """A map of the number of the star near each place, counted from 1; 0 where there is none."""

    def __init__(self, places: Array, shape: tuple[int, int], reach: float) -> None:
        self.cell = reach / 2
        self.shape = int(shape[0] / self.cell) + 2, int(shape[1] / self.cell) + 2
        self.map = np.zeros(self.shape[0] * self.shape[1] + 1, np.uint8)  # the last one is outside
        r = int(reach / self.cell) + 1
        v, u = np.mgrid[-r : r + 1, -r : r + 1]
        near = np.hypot(u, v) * self.cell <= reach
        for number, place in zip(range(len(places), 0, -1), places[::-1], strict=True):  # the brightest last, on top
            x = (u[near] + round(place.real / self.cell)).astype(int)
            y = (v[near] + round(place.imag / self.cell)).astype(int)
            self.map[self._at(x, y)] = number

    def _at(self, x: Array, y: Array) -> Array:
        inside = (x >= 0) & (x < self.shape[1]) & (y >= 0) & (y < self.shape[0])
        return np.asarray(np.where(inside, y * self.shape[1] + x, self.map.size - 1))

    def hits(self, a: Array, t: Array, other: Array) -> Array:
        """How many stars of this map are hit by stars of the other list, for each guess."""
        a, t, other = (v.astype(np.complex64) for v in (a / self.cell, t / self.cell, other))
        places = a[:, None] * other
        places += t[:, None]
        x, y = (np.rint(np.clip(v, -FAR, FAR)).astype(np.int32) for v in (places.real, places.imag))
        near = self.map[self._at(x, y)]
        found: Array = (near > 0).sum(axis=1)
        many = np.flatnonzero(found >= LEAST - 2)  # one star may be hit twice
        found[many] = (np.diff(np.sort(near[many], axis=1), axis=1, prepend=0) > 0).sum(axis=1)
        return found


def chance_of(first: Array, other: Array, fit: Fit, shape: tuple[int, int], tried: int) -> float:
    """How many fits with as many stars are expected by chance, among ``tried`` guesses.

    A guess takes two stars; each of the others meets a star by chance as often as stars with their reach cover the
    image (a binomial sum).
    """
    at = fit.apply(other)
    inside = (at.real > -1) & (at.real < shape[1]) & (at.imag > -1) & (at.imag < shape[0])
    k = len(fit) - 2
    n = max(int(inside.sum()) - 2, k)  # a star on the edge may be matched, and lie outside
    share = min(0.999, len(first) * np.pi * fit.reach**2 / (shape[0] * shape[1]))
    if k < 1:
        return float("inf")
    return tried * sum(exp(_log_binomial(n, i, share)) for i in range(k, n + 1))


def _log_binomial(n: int, k: int, p: float) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p)
