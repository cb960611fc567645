"""The kernel of `compiled.vng` in NumPy: all pixels of a tile at a time, with the same results."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.gradients import BETWEEN, LEAST

RED, GREEN, BLUE = 0, 1, 2
Array = Any


def vng(tile: Array, edge: int, row: int, column: int, out: Array, chosen: Array) -> None:
    """Replace values of ``out`` (3, rows, columns) where all 25 samples around a pixel are there."""
    for chroma, i, j in ((RED, row, column), (BLUE, 1 - row, 1 - column)):
        for is_chroma, first in ((True, j), (False, 1 - j)):
            to = out[:, i::2, first::2]
            if to.size:
                near = _Near(tile, edge, i, first, out.shape[1:])
                one = to[GREEN if is_chroma else chroma]
                _at(near, is_chroma, one, to[BLUE - chroma], chosen[i::2, first::2])


class _Near:
    """The 25 samples around every second pixel of every second row; ``d`` and ``p`` are distances and sums of two."""

    def __init__(self, tile: Array, edge: int, i: int, j: int, shape: tuple[int, int]) -> None:
        rows, columns = shape
        self.samples = [
            tile[edge + i + y : edge + rows + y : 2, edge + j + x : edge + columns + x : 2].astype(np.float64)
            for y in range(-2, 3) for x in range(-2, 3)
        ]  # fmt: skip

    def __getitem__(self, position: int) -> Array:
        return self.samples[position - 1]

    def d(self, a: int, b: int) -> Array:
        return np.abs(self[a] - self[b])

    def p(self, a: int, b: int) -> Array:
        return self[a] + self[b]


def _at(t: _Near, is_chroma: bool, one: Array, other: Array, chosen: Array) -> None:
    with np.errstate(all="ignore"):
        gradients = [*_straight(t), *(_slanted_at_chroma(t) if is_chroma else _slanted_at_green(t))]
        n, e, s, w, ne, se, nw, sw = gradients
        total = (n + e + s + w) + (ne + se + nw + sw)
        least, most = np.minimum.reduce(gradients), np.maximum.reduce(gradients)
        limit = LEAST * least + BETWEEN * (most - least)
        use = [(g <= limit).astype(np.float64) for g in gradients]
        n, e, s, w, ne, se, nw, sw = use
        own, first, second = (_means_at_chroma if is_chroma else _means_at_green)(t, *use)
        count, is_whole = (n + e + s + w) + (ne + se + nw + sw), total < np.inf
        one[:] = np.where(is_whole, t[13] + (first - own) / count, one)
        other[:] = np.where(is_whole, t[13] + (second - own) / count, other)
        bits = (n + 2 * e + 4 * s + 8 * w) + (16 * ne + 32 * se + 64 * nw + 128 * sw)
        chosen[:] = np.where(is_whole, bits, 0).astype(np.uint8)


def _straight(t: _Near) -> tuple[Array, ...]:
    above, aside = t.d(8, 18), t.d(12, 14)
    columns, rows = t.d(7, 17) + t.d(9, 19), t.d(7, 9) + t.d(17, 19)
    return (
        above + t.d(3, 13) + 0.5 * (columns + t.d(2, 12) + t.d(4, 14)),
        aside + t.d(13, 15) + 0.5 * (rows + t.d(8, 10) + t.d(18, 20)),
        above + t.d(13, 23) + 0.5 * (columns + t.d(12, 22) + t.d(14, 24)),
        aside + t.d(11, 13) + 0.5 * (rows + t.d(6, 8) + t.d(16, 18)),
    )


def _slanted(t: _Near) -> tuple[Array, ...]:
    rising, falling = t.d(9, 17), t.d(7, 19)
    return rising + t.d(5, 13), falling + t.d(13, 25), falling + t.d(1, 13), rising + t.d(13, 21)


def _slanted_at_chroma(t: _Near) -> tuple[Array, ...]:
    rising, falling = t.d(8, 12) + t.d(14, 18), t.d(8, 14) + t.d(12, 18)
    ne, se, nw, sw = _slanted(t)
    return (
        ne + 0.5 * (rising + t.d(4, 8) + t.d(10, 14)),
        se + 0.5 * (falling + t.d(14, 20) + t.d(18, 24)),
        nw + 0.5 * (falling + t.d(2, 8) + t.d(6, 12)),
        sw + 0.5 * (rising + t.d(12, 16) + t.d(18, 22)),
    )


def _slanted_at_green(t: _Near) -> tuple[Array, ...]:
    ne, se, nw, sw = _slanted(t)
    return (
        ne + (t.d(4, 12) + t.d(10, 18)),
        se + (t.d(8, 20) + t.d(12, 24)),
        nw + (t.d(6, 18) + t.d(2, 14)),
        sw + (t.d(14, 22) + t.d(8, 16)),
    )


def _means_at_chroma(
    t: _Near, n: Array, e: Array, s: Array, w: Array, ne: Array, se: Array, nw: Array, sw: Array
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Sums over the directions in use of the means of the sample's own colour, green, and the other one."""
    own = 0.5 * (n * t.p(3, 13) + e * t.p(13, 15) + s * t.p(13, 23) + w * t.p(11, 13))
    own = own + 0.5 * (ne * t.p(5, 13) + se * t.p(13, 25) + nw * t.p(1, 13) + sw * t.p(13, 21))
    green = n * t[8] + e * t[14] + s * t[18] + w * t[12]
    green = green + 0.25 * ne * (t.p(4, 8) + t.p(10, 14))
    green = green + 0.25 * se * (t.p(14, 18) + t.p(20, 24))
    green = green + 0.25 * nw * (t.p(2, 6) + t.p(8, 12))
    green = green + 0.25 * sw * (t.p(12, 16) + t.p(18, 22))
    other = 0.5 * (n * t.p(7, 9) + e * t.p(9, 19))
    other = other + 0.5 * (s * t.p(17, 19) + w * t.p(7, 17))
    other = other + (ne * t[9] + se * t[19] + nw * t[7] + sw * t[17])
    return own, green, other


def _means_at_green(
    t: _Near, n: Array, e: Array, s: Array, w: Array, ne: Array, se: Array, nw: Array, sw: Array
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The same for green, the colour of the neighbours in the row, and that of the neighbours in the column."""
    own = 0.5 * (n * t.p(3, 13) + e * t.p(13, 15) + s * t.p(13, 23) + w * t.p(11, 13))
    own = own + (ne * t[9] + se * t[19] + nw * t[7] + sw * t[17])
    aside = 0.25 * n * (t.p(2, 4) + t.p(12, 14))
    aside = aside + 0.25 * s * (t.p(12, 14) + t.p(22, 24))
    aside = aside + (e * t[14] + w * t[12])
    aside = aside + 0.5 * (ne * t.p(4, 14) + se * t.p(14, 24))
    aside = aside + 0.5 * (nw * t.p(2, 12) + sw * t.p(12, 22))
    above = 0.25 * e * (t.p(8, 10) + t.p(18, 20))
    above = above + 0.25 * w * (t.p(6, 8) + t.p(16, 18))
    above = above + (n * t[8] + s * t[18])
    above = above + 0.5 * (ne * t.p(8, 10) + se * t.p(18, 20))
    above = above + 0.5 * (nw * t.p(6, 8) + sw * t.p(16, 18))
    return own, aside, above
