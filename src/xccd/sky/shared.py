"""How much of the error of their masters aligned frames still share: less the farther they are shifted apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from xccd.kernels.plain.resample import _taps
from xccd.sky.pixel_map import PixelMap

Array = np.ndarray[Any, Any]
SHARE = "share_after_align"  # the attribute of the map of what frames share
LATTICE = 5  # points of the target along each axis at which frames are compared


def share(
    maps: Sequence[PixelMap], shape: tuple[int, int], first: Sequence[tuple[float, float]], taps: int
) -> float:  # fmt: skip
    """The mean correlation of a master's error between two of the frames, 0 to 1, where both reach.

    Neighbouring pixels of a master have independent errors. So frames share the error where they bring the same pixels
    of the detector together. ``first`` is the detector's (y, x) of the first pixel of each frame, ``taps`` the count of
    pixels along an axis that a value is made of. With this part of the variance as common to all frames, their mean has
    the right error.
    """
    at = np.array([_positions(one, shape) + np.reshape(own, (2, 1)) for one, own in zip(maps, first, strict=True)])
    total = number = 0.0
    for i in range(len(at) - 1):
        alike = _overlap(at[i, 0], at[i + 1 :, 0], taps) * _overlap(at[i, 1], at[i + 1 :, 1], taps)
        both = np.isfinite(alike)
        total, number = total + float(alike[both].sum()), number + int(both.sum())
    return max(0.0, total / number) if number else 1.0


def _positions(one: PixelMap, shape: tuple[int, int]) -> Array:
    """The positions (y, x) in a frame of points all over the target, (2, points); NaN where the frame is not."""
    rows, columns = (((np.arange(LATTICE) + 0.5) * n / LATTICE).astype(int) for n in shape)
    found = np.full((2, LATTICE, LATTICE), np.nan)
    top, bottom, left, right = one.box
    some = (columns >= left) & (columns < right)
    for k, row in enumerate(rows.tolist()):
        if not top <= row < bottom:
            continue
        if one.shift is not None:
            found[:, k, some] = np.stack(np.broadcast_arrays(row + one.shift[0], columns[some] + one.shift[1]))
        else:
            found[:, k, some] = one.positions(row, row + 1)[::-1, 0, columns[some] - left]
    size = np.reshape(one.shape, (2, 1, 1))
    inside = ((found > -0.5) & (found < size - 0.5)).all(0)
    return np.where(inside, found, np.nan).reshape(2, -1)


def _overlap(one: Array, others: Array, taps: int) -> Array:
    """The correlation along one axis of values that are made of ``taps`` pixels at these positions."""
    known = np.isfinite(one + others)
    (first, of_one), (firsts, of_others) = (_taps(np.where(known, at, 0.0), taps) for at in (one + 0 * others, others))
    product = np.zeros(others.shape)
    for k, m in itertools.product(range(taps), repeat=2):
        product += np.where(first + k == firsts + m, of_one[k] * of_others[m], 0.0)
    squares = [sum(w**2 for w in weights) for weights in (of_one, of_others)]
    return np.where(known, product / np.sqrt(squares[0] * squares[1]), np.nan)
