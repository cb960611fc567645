"""Colours at each pixel of tiles of raw colour frames: values, their variances and their flags."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import options
from xccd.kernels.flags import Flag
from xccd.kernels.gradients import AT_CHROMA, AT_GREEN, weights
from xccd.kernels.limits import float_dtype

Array = Any
REACH = {"bilinear": 1, "superpixel": 0, "vng": 2}  # the neighbours that a value needs, in pixels
ROWS = 64  # of a tile: 64 rows of 6000 float32 samples and their colours fit an L3 cache
RED, GREEN, BLUE = 0, 1, 2


class Mosaic(NamedTuple):
    """How colours are made, and where the first red sample of a frame is: its row and column, 0 or 1."""

    method: str
    row: int
    column: int

    @property
    def reach(self) -> int:
        return REACH[self.method]

    @property
    def step(self) -> int:
        """The samples along an axis that become one pixel."""
        return 2 if self.method == "superpixel" else 1

    def at(self, row: int, column: int) -> Mosaic:
        """The same for a part of the frame that begins at a row and a column."""
        return self._replace(row=(self.row + row) % 2, column=(self.column + column) % 2)


def values_of(x: Array, flags: Array | None, how: Mosaic) -> Array:
    """Colours (3, rows, columns) of a tile with `Mosaic.reach` samples more on each side.

    Samples with a flag are left out; where no other is left, they are used.
    """
    good, dtype = _without(x, flags), float_dtype(x.dtype)
    out, _ = _made(good, how, dtype)
    if flags is not None and (bad := np.isnan(out)).any():
        return np.where(bad, _plain(x.astype(dtype, copy=False), how, dtype), out)
    return out


def variances_of(x: Array, flags: Array | None, variances: Array, how: Mosaic) -> Array:
    """The variances of `values_of`, float64, from those of the samples, whose errors are independent."""
    good = _without(x, flags)
    _, chosen = _made(good, how, float_dtype(x.dtype)) if how.method == "vng" else (None, None)
    out = _plain(good, how, np.float64, variances)
    if chosen is not None and chosen.any():
        _by_choice(variances, chosen, how, out)
    if flags is not None and (bad := np.isnan(out)).any():
        return np.where(bad, _plain(x, how, np.float64, variances), out)
    return out


def flags_of(x: Array, flags: Array, how: Mosaic) -> Array:
    """The flags of `values_of`: 0 where a sample without a flag was used, else those of all samples that could be."""
    is_good = (flags == 0) & np.isfinite(x)
    bits = np.where(np.isfinite(x) | (flags != 0), flags, np.uint8(Flag.NOT_FINITE))
    found = _joined(bits, how)
    found[_joined(is_good, how)] = 0
    return found


def _without(x: Array, flags: Array | None) -> Array:
    """The samples as floats, NaN where they have a flag."""
    values = x.astype(float_dtype(x.dtype), copy=False)
    return values if flags is None else np.where(flags == 0, values, np.nan).astype(values.dtype, copy=False)


def _shape(x: Array, how: Mosaic) -> tuple[int, int, int]:
    rows, columns = ((n - 2 * how.reach) // how.step for n in x.shape)
    return 3, rows, columns


def _made(x: Array, how: Mosaic, dtype: Any) -> tuple[Array, Array | None]:
    """Values, and for VNG the directions that each was made from."""
    out = _plain(x, how, dtype)
    if how.method != "vng":
        return out, None
    chosen = np.zeros(out.shape[1:], np.uint8)
    _call("vng", x, how.reach, how.row, how.column, out, chosen)
    return out, chosen


def _plain(x: Array, how: Mosaic, dtype: Any, variances: Array | None = None) -> Array:
    """Means of the samples of a colour that are there; of their variances if these are given."""
    out = np.empty(_shape(x, how), dtype)
    tile = x if variances is None else x.astype(np.float64, copy=False)
    values = tile if variances is None else variances
    rest = (how.row, how.column, variances is not None, out)
    if how.method == "superpixel":
        _call("superpixel", tile, values, *rest)
    else:
        _call("bilinear", tile, values, how.reach, *rest)
    return out


def _by_choice(variances: Array, chosen: Array, how: Mosaic, out: Array) -> None:
    """Write the variances of VNG's values where it chose directions."""
    rows, columns = chosen.shape
    for chroma, i, j in ((RED, how.row, how.column), (BLUE, 1 - how.row, 1 - how.column)):
        for table, one, first in ((_squares()[0], GREEN, j), (_squares()[1], chroma, 1 - j)):
            picked = chosen[i::2, first::2]
            totals = np.zeros((2, *picked.shape))
            for k in range(25):
                near = variances[i + k // 5 : rows + k // 5 : 2, first + k % 5 : columns + k % 5 : 2]
                for total, colour in zip(totals, (0, 1), strict=True):
                    weight = table[picked, colour, k]
                    total += np.where(weight == 0, 0.0, weight * near)
            for total, colour in zip(totals, (one, BLUE - chroma), strict=True):
                to = out[colour, i::2, first::2]
                to[...] = np.where(picked != 0, total, to)


@cache
def _squares() -> tuple[Array, Array]:
    return np.square(weights(AT_CHROMA)), np.square(weights(AT_GREEN))


def _joined(bits: Array, how: Mosaic) -> Array:
    """For each colour of each pixel the bits, or booleans, of the samples of that colour, joined by "or"."""
    out = np.empty(_shape(bits, how), bits.dtype)
    rows, columns = (n * how.step for n in out.shape[1:])
    edge = how.reach

    def near(y: int, x: int, i: int, j: int) -> Array:
        return bits[edge + i + y : edge + rows + y : 2, edge + j + x : edge + columns + x : 2]

    for chroma, i, j in ((RED, how.row, how.column), (BLUE, 1 - how.row, 1 - how.column)):
        if how.method == "superpixel":
            out[chroma] = near(0, 0, i, j)
            out[GREEN] = near(0, 0, i, 1 - j) | near(0, 0, 1 - i, j)
            continue
        to = out[:, i::2, j::2]
        to[chroma] = near(0, 0, i, j)
        to[GREEN] = (near(-1, 0, i, j) | near(1, 0, i, j)) | (near(0, -1, i, j) | near(0, 1, i, j))
        to[BLUE - chroma] = (near(-1, -1, i, j) | near(1, 1, i, j)) | (near(-1, 1, i, j) | near(1, -1, i, j))
        to, j = out[:, i::2, 1 - j :: 2], 1 - j
        to[GREEN] = near(0, 0, i, j)
        to[chroma] = near(0, -1, i, j) | near(0, 1, i, j)
        to[BLUE - chroma] = near(-1, 0, i, j) | near(1, 0, i, j)
    return out


def _call(name: str, *arguments: Any) -> None:
    """Call a kernel in the engine that is in use."""
    options.with_engine(lambda engine: getattr(_modules(engine.NAME == "numba")[name], name)(*arguments))


@cache
def _modules(compiled: bool) -> dict[str, ModuleType]:
    """The modules of an engine, imported when they are first used."""
    if compiled:
        from xccd.kernels.compiled import debayer, vng

        return {"bilinear": debayer, "superpixel": debayer, "vng": vng}
    from xccd.kernels.plain import debayer as plain_debayer
    from xccd.kernels.plain import vng as plain_vng

    return {"bilinear": plain_debayer, "superpixel": plain_debayer, "vng": plain_vng}
