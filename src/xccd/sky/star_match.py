"""Shifts between star lists: a vote of all pairs for whole pixels, then the centroids of the pairs that agree."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from xccd.sky.fixed import EXACT, WIDER, moving, still
from xccd.sky.stars import Stars, typical

Array = np.ndarray[Any, Any]
CELL = 3.0  # pixels: pairs that agree within it vote for one shift
VOTERS = 200  # the brightest stars of a frame vote
CHANCE = 1e-4  # that stars strewn at random give so many votes anywhere: more is no match
RIVAL = 0.75  # votes of the second best shift over those of the best: more is doubtful
FEWEST = 3  # pairs
FLOOR = 0.02  # pixels: what a centroid is off by however bright the star
LEAST_MOVED = 1.0  # pixels: faint stars that have not moved scatter by less, on average
CREPT = 0.2  # pixels: what has moved by more is not at the same place, if all that is still lies nearer
MINORITY = 3  # times as many may stay as have moved by little
LENGTHS = 0.7  # pixels: two segments between stars are one if their lengths agree so well
ANGLES = 720  # bins of half a turn
ANGLE = np.pi / ANGLES
WITHOUT, WITH_TURN = 2, 4  # numbers that are fitted: rows and columns, then turn and stretch
SIGNIFICANT = 5.0  # times its error: a turn, or a stretch
TURNERS = 40  # the brightest stars of each list tell the turn


class Match(NamedTuple):
    """How far the stars of a frame have to be moved onto those of another."""

    offset: Array  # y, x
    matched: int  # pairs of stars that agree
    rival: float  # votes of the second best shift over those of the best one
    error: float  # pixels, of the offset
    turn: float  # rad, of the frame against the other; what is not significant is 0
    stretch: float  # scale - 1, likewise
    pairs: tuple[Array, Array]  # the indices of the matched stars in both lists
    lists: tuple[Stars, Stars] | None = None  # these lists, if not those that were given


class _Votes(NamedTuple):
    offset: Array  # y, x
    pairs: int
    rival: float
    chance: float


def match(reference: Stars, frame: Stars, shape: tuple[int, ...]) -> Match | None:
    """Find the shift of a frame from all that is like a star; None if no shift has more votes than chance would give.

    What stays on its pixel in both frames, while others agree on another shift, is a pattern of the detector.
    """
    found = _moved(*moving(reference, frame), shape)
    if found is not None and np.hypot(*found.offset) > LEAST_MOVED:
        return found
    whole = _moved(typical(reference), typical(frame), shape)
    if whole is None or np.hypot(*whole.offset) > LEAST_MOVED:
        return whole
    crept = _moved(*moving(reference, frame, CREPT), shape)
    return whole if crept is None or not _is_sky(crept, whole) else crept


def _is_sky(crept: Match, whole: Match) -> bool:
    """Whether stars that have moved by little show the sky, and those that stay show the detector."""
    if np.hypot(*crept.offset) < max(CREPT, 5 * crept.error):
        return False
    widths = [np.median(m.lists[0].fwhm[m.pairs[0]]) for m in (crept, whole) if m.lists is not None]
    return crept.matched * MINORITY >= whole.matched or bool(widths[0] > WIDER * widths[-1])


def is_still(reference: Stars, frame: Stars, found: Match) -> tuple[Array, Array] | None:
    """Indices of what stays at its pixels, if a match is that; None if the frame has moved."""
    if found.turn or found.stretch or np.hypot(*found.offset) > max(2 * EXACT, 3 * found.error):
        return None
    return still(reference, frame)


def match_near(reference: Stars, frame: Stars, offset: Array, shape: tuple[int, ...]) -> Match | None:
    """Find the shift by stars near one that is known to some pixels; None if too few lie together there."""
    if min(len(reference), len(frame)) < FEWEST:
        return None
    return _refined(reference, frame, _Votes(offset, 0, 0.0, 0.0), shape)


def _moved(reference: Stars, frame: Stars, shape: tuple[int, ...]) -> Match | None:
    votes = _vote(reference, frame, shape)
    found = None if votes is None or _is_chance(votes) else _refined(reference, frame, votes, shape)
    return None if found is None else found._replace(lists=(reference, frame))


def share(found: Match, shape: tuple[int, ...]) -> float:
    """The matched stars over those that lie in both frames after the shift, of the shorter list."""
    counts: list[int] = []
    for stars, sign in zip(found.lists or (), (-1, 1), strict=False):
        y, x = stars.y + sign * found.offset[0], stars.x + sign * found.offset[1]
        counts.append(int(np.count_nonzero((y >= 0) & (x >= 0) & (y <= shape[0] - 1) & (x <= shape[1] - 1))))
    return found.matched / max(1, min(counts, default=1))


def agreeing(reference: Stars, frame: Stars, offset: Array) -> int:
    """How many stars lie together after a shift."""
    return len(_pairs(reference, frame, offset, CELL)[0]) if len(reference) and len(frame) else 0


def near(stars: Stars, others: Stars) -> Array:
    """Which stars lie on one of the others."""
    if not len(others):
        return np.zeros(len(stars), bool)
    return np.asarray(np.hypot(stars.y[:, None] - others.y, stars.x[:, None] - others.x).min(1) < CELL)


def match_turned(reference: Stars, frame: Stars, shape: tuple[int, ...]) -> Match | None:
    """Find the turn of a frame about its centre, and the shift after it; None if its stars match at no angle.

    Segments between bright stars keep their lengths when a frame turns: those of equal length vote for an angle.
    """
    if min(len(reference), len(frame)) < FEWEST:
        return None
    best: tuple[int, float, Match] | None = None
    for angle in _angles(reference, frame):
        turned = _turned(frame, -angle, shape)
        votes = _vote(reference, turned, shape)
        if votes is not None and not _is_chance(votes) and (best is None or votes.pairs > best[0]):
            found = _refined(reference, turned, votes, shape)
            best = best if found is None else (votes.pairs, angle, found)
    if best is None:
        return None
    _, angle, found = best
    turn = float(np.mod(angle + found.turn + np.pi, 2 * np.pi) - np.pi)
    return found._replace(turn=turn)


def _angles(reference: Stars, frame: Stars) -> list[float]:
    """The angles, in rad, for which most pairs of segments vote."""
    (length, angle), (other_length, other_angle) = (_segments(stars[:TURNERS]) for stars in (reference, frame))
    order = np.argsort(other_length)
    low, high = (np.searchsorted(other_length[order], length + d) for d in (-LENGTHS, LENGTHS))
    first = np.repeat(np.arange(len(length)), high - low)
    second = order[np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)]).astype(int)]
    turns = np.mod(other_angle[second] - angle[first], np.pi)
    votes = np.bincount(np.round(turns / ANGLE).astype(int) % ANGLES, minlength=ANGLES)
    votes = votes + np.roll(votes, 1) + np.roll(votes, -1)
    best = np.argsort(-votes, kind="stable")[:6] * ANGLE
    return [float(turn + half) for turn in best for half in (0, np.pi)]


def _vote(reference: Stars, frame: Stars, shape: tuple[int, ...]) -> _Votes | None:
    """The shift on which most pairs of stars agree."""
    if min(len(reference), len(frame)) < FEWEST:
        return None
    area = max(math.prod(shape), float(np.ptp(reference.y) * np.ptp(reference.x)))  # of several frames
    voters = round(VOTERS * area / math.prod(shape)), VOTERS
    one, other = (np.stack([s.y, s.x], axis=1)[:n] for s, n in zip((reference, frame), voters, strict=True))
    apart = (one[:, None] - other).reshape(-1, 2)
    best: tuple[int, Array, Array] | None = None
    for grid in ((0, 0), (0, 0.5), (0.5, 0), (0.5, 0.5)):  # whatever the shift, one of these has it away from an edge
        cells = np.floor(apart / CELL + grid).astype(np.int64)
        keys = cells[:, 0] * (1 << 32) + cells[:, 1]
        _, where, counts = np.unique(keys, return_inverse=True, return_counts=True)
        if best is None or counts.max() > best[0]:
            best = int(counts.max()), where == counts.argmax(), keys
    assert best is not None
    count, inside, keys = best
    offset = np.median(apart[inside], axis=0)
    far = np.abs(apart - offset).max(1) > CELL
    second = np.unique(keys[far], return_counts=True)[1].max(initial=0)
    density = len(one) * len(other) / area * CELL**2
    trials = 16 * area / CELL**2
    return _Votes(offset, count, float(second) / count, min(1.0, trials * _poisson(density, count)))


def _poisson(mean: float, least: int) -> float:
    """The probability of ``least`` events or more."""
    terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(least, least + 60))
    return sum(terms)


def _is_chance(votes: _Votes) -> bool:
    return votes.pairs < FEWEST or votes.chance > CHANCE or votes.rival > RIVAL


def _pairs(reference: Stars, frame: Stars, offset: Array, within: float) -> tuple[Array, Array]:
    """Stars that are each other's nearest after the shift."""
    dy = reference.y[:, None] - frame.y - offset[0]
    dx = reference.x[:, None] - frame.x - offset[1]
    apart = np.hypot(dy, dx)
    i = np.arange(len(reference))
    j = apart.argmin(1)
    mutual = (apart[:, j].argmin(0) == i) & (apart[i, j] < within)
    return i[mutual], j[mutual]


def _refined(reference: Stars, frame: Stars, votes: _Votes, shape: tuple[int, ...]) -> Match | None:
    """The mean shift of the pairs, weighted by their errors, without those that do not agree; and its turn."""
    offset = votes.offset
    for within in (CELL, CELL / 2):
        i, j = _pairs(reference, frame, offset, within)
        if len(i) < FEWEST:
            return None
        apart = np.stack([reference.y[i] - frame.y[j], reference.x[i] - frame.x[j]], axis=1)
        offset = np.median(apart, axis=0)
    sigma = np.hypot(_error(reference[i]), _error(frame[j]))
    y, x = frame.y[j] - (shape[0] - 1) / 2, frame.x[j] - (shape[1] - 1) / 2
    fit = _fitted(y, x, apart, sigma)
    if fit is None:
        return None
    offset, error, good, turn, stretch = fit
    return Match(offset, int(good.sum()), votes.rival, error, turn, stretch, (i[good], j[good]))


def _fitted(y: Array, x: Array, apart: Array, sigma: Array) -> tuple[Array, float, Array, float, float] | None:
    """The shift at the centre, its error, the pairs that agree, and a turn and a stretch if these are significant."""
    good = np.ones(len(y), bool)
    for _ in range(6):
        terms = WITH_TURN if np.count_nonzero(good) > FEWEST + 1 else WITHOUT
        offset, left, scatter, cover = _solved(y, x, apart, sigma, good, terms)
        again = left < 4 * scatter * sigma
        if np.count_nonzero(again) < FEWEST:
            return None
        if (again == good).all():
            break
        good = again
    if terms == WITH_TURN:
        turn, stretch = offset[2:]
        if max(abs(offset[2:]) / (scatter * np.sqrt(np.diag(cover)[2:]))) < SIGNIFICANT:
            turn = stretch = 0.0
            offset, _, scatter, cover = _solved(y, x, apart, sigma, good, WITHOUT)
    else:
        turn = stretch = 0.0
    count = np.count_nonzero(good)
    few = np.sqrt(count / (count - 2))  # the scatter of few is not well known
    error = float(few * scatter * np.sqrt(np.diag(cover)[:2].max()))
    return offset[:2], error, good, float(turn), float(stretch)


def _solved(
    y: Array, x: Array, apart: Array, sigma: Array, good: Array, terms: int
) -> tuple[Array, Array, float, Array]:
    """Least squares of rows, columns, turn and stretch; how far each pair is off; their scatter; the covariance."""
    one, zero = np.ones_like(y), np.zeros_like(y)
    rows, columns = np.stack([one, zero, -x, y], axis=1), np.stack([zero, one, y, x], axis=1)
    matrix = np.concatenate([rows, columns])[:, :terms]
    weight = np.concatenate([good, good]) / np.concatenate([sigma, sigma])
    cover = np.linalg.pinv((matrix * weight[:, None] ** 2).T @ matrix)
    found = cover @ (matrix * weight[:, None] ** 2).T @ apart.T.ravel()
    left = np.abs(apart.T.ravel() - matrix @ found).reshape(2, -1)
    scatter = max(1.0, 1.4826 * float(np.median((left / sigma)[:, good])))
    return found, left.max(0), scatter, cover


def _error(stars: Stars) -> Array:
    """The error of a centroid along an axis: King 1983, PASP 95, 163, for a Gaussian on noise of the sky."""
    return np.hypot(1.3 * stars.fwhm / 2.355 / stars.snr, FLOOR)


def _segments(stars: Stars) -> tuple[Array, Array]:
    """Lengths and angles of the lines between all pairs of stars."""
    i, j = np.triu_indices(len(stars), 1)
    dy, dx = stars.y[j] - stars.y[i], stars.x[j] - stars.x[i]
    return np.hypot(dy, dx), np.arctan2(dy, dx)


def _turned(stars: Stars, angle: float, shape: tuple[int, ...]) -> Stars:
    """The stars turned about the centre of the frame."""
    cy, cx = ((n - 1) / 2 for n in shape)
    y, x = stars.y - cy, stars.x - cx
    s, c = math.sin(angle), math.cos(angle)
    return replace(stars, x=cx + c * x - s * y, y=cy + s * x + c * y)
