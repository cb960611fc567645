"""`make_bad_pixel_map`: hot, dead and odd pixels, from darks and flats."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.labels.flags import science_variable, with_maps
from xccd.labels.frames import unflagged
from xccd.messages import a_type
from xccd.verbs.combine import combine
from xccd.verbs.normalize import normalize

BITS = {"hot": 1, "dead": 2, "odd": 4, "missing": 8}
CELL = 32  # pixels of a cell whose median is the local level
LEAST = 5  # frames from which the noise of a pixel is judged


def make_bad_pixel_map(
    darks: Any = None, flats: Any = None, *, sigma: float = 8.0, dim: Hashable = "frame"
) -> xr.DataArray:  # fmt: skip
    """Find bad pixels in darks and flats. The frames are read now.

    Parameters
    ----------
    darks, flats : DataArray or Dataset, optional
        Stacks along ``dim``, or single images. At least one of them. Darks are as long as each other.
    sigma : float, default: 8
        How many robust deviations a pixel may be off.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray
        uint8 (y, x), 0 for good pixels, for `mask_where`. Bits: 1 hot, 2 dead, 4 odd, 8 missing in all frames; the
        attributes ``flag_masks`` and ``flag_meanings`` say so.

    Raises
    ------
    TypeError
        Darks or flats are no DataArray and no Dataset.
    ValueError
        None is given, they have different pixels, have no y and x, or ``sigma`` is not above 0.

    Notes
    -----
    The median of the frames is compared with the local level, which is interpolated between medians of cells of 32
    pixels, and extrapolated at the edges. The deviation is 1.4826 times the median of the absolute differences from it.
    A pixel is hot if it is above the level of the darks by more than ``sigma`` deviations; dead if it is off the level
    of the flats, on either side, each flat over its median. A pixel is odd if its own scatter from frame to frame
    (between the quartiles of 5 darks or more, else of 5 flats) is above that of the others by ``sigma`` deviations.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> values = np.random.default_rng(0).normal(10, 1, (6, 40, 40))
    >>> values[:, 3, 4] += 50
    >>> bad = xccd.make_bad_pixel_map(xr.DataArray(values, dims=("frame", "y", "x")))
    >>> np.argwhere(bad.values).tolist(), int(bad[3, 4])
    ([[3, 4]], 1)
    """
    if not (isinstance(sigma, int | float | np.number) and 0 < sigma < np.inf):
        raise ValueError(f"sigma={sigma!r} is no finite number above 0")
    given = {"darks": _stack("darks", darks, dim), "flats": _stack("flats", flats, dim)}
    known = {name: stack for name, stack in given.items() if stack is not None}
    if not known:
        raise ValueError("make_bad_pixel_map: give darks=, flats= or both")
    images: dict[str, xr.DataArray] = {}
    for name, stack in known.items():
        level = normalize(stack, scale="median", dim=dim) if name == "flats" and dim in stack.dims else stack
        known[name] = level
        images[name] = combine(level, "median", dim=dim).load() if dim in level.dims else level.load()
    first = next(iter(images.values()))
    for name, image in images.items():
        if image.shape != first.shape or not all(np.array_equal(image[d].values, first[d].values) for d in ("y", "x")):
            raise ValueError(
                f"{name} have {dict(image.sizes)}, darks {dict(first.sizes)}: cut both alike, as with trim()"
            )
    found = np.zeros(first.shape, np.uint8)
    for name, image in images.items():
        found |= _off(image.values.astype(np.float64), name, sigma)
    noisy = next((s for s in known.values() if s.sizes.get(dim, 0) >= LEAST), None)
    if noisy is not None:
        low, high = (combine(noisy, "quantile", q=q, dim=dim).values.astype(np.float64) for q in (0.25, 0.75))
        noise = high - low  # a pixel that jumps has a small MAD if it is high in most frames; one cosmic ray counts not
        found[noise - np.nanmedian(noise) > sigma * _deviation(noise - np.nanmedian(noise))] |= BITS["odd"]
    coords = {d: first.coords[d].variable for d in ("y", "x") if d in first.coords}
    attrs = {
        "long_name": "why a pixel is bad",
        "flag_masks": np.array(list(BITS.values()), np.uint8),
        "flag_meanings": " ".join(BITS),
    }
    return xr.DataArray(found, dims=("y", "x"), coords=coords, attrs=attrs, name="bad_pixels")


def _stack(argument: str, given: Any, dim: Hashable) -> xr.DataArray | None:
    """A stack or an image with y and x last, NaN where it is masked."""
    if given is None:
        return None
    if isinstance(given, xr.Dataset):
        given = with_maps(given, science_variable(given))
    if not isinstance(given, xr.DataArray):
        raise TypeError(f"{argument}= is {a_type(given)}: give a DataArray or a Dataset, as open_stack() does")
    if set(given.dims) - {dim} != {"y", "x"}:
        raise ValueError(f"{argument}= has {dict(given.sizes)}: give frames ({dim}, y, x) or an image (y, x)")
    stack: xr.DataArray = unflagged(given).transpose(..., "y", "x")
    return stack


def _off(image: Any, name: str, sigma: float) -> Any:
    """The bits of pixels that are off the local level."""
    level = _local_level(image)
    with np.errstate(all="ignore"):
        residual = image - level if name == "darks" else image / level - 1
    limit = sigma * _deviation(residual)
    high = residual > limit
    bad = np.where(high, BITS["hot"], 0) if name == "darks" else np.where(high | (residual < -limit), BITS["dead"], 0)
    return np.where(np.isfinite(image), bad, BITS["missing"]).astype(np.uint8)


def _deviation(residual: Any) -> float:
    """1.4826 MAD; where more than half of the pixels are equal, from the mean of the absolute values."""
    size = np.abs(residual[np.isfinite(residual)])
    if not size.size:
        return 0.0
    return float(1.4826 * np.median(size) or 1.2533 * size.mean())


def _local_level(image: Any) -> Any:
    """Medians of cells, interpolated between their centres, and extrapolated to the edges: flats slope there, too."""
    counts = [max(2, round(n / CELL)) if n >= CELL // 2 else 1 for n in image.shape]
    edges = [np.linspace(0, n, count + 1).astype(int) for n, count in zip(image.shape, counts, strict=True)]
    whole = image[np.isfinite(image)]
    default = float(np.median(whole)) if whole.size else float("nan")
    cells = np.full([len(e) - 1 for e in edges], default)
    for i, j in np.ndindex(*cells.shape):
        cell = image[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]]
        good = cell[np.isfinite(cell)]
        cells[i, j] = np.median(good) if good.size else default
    middles = [(e[:-1] + e[1:] - 1) / 2 for e in edges]
    columns = _interpolated(cells, middles[1], image.shape[1])
    return _interpolated(columns.T, middles[0], image.shape[0]).T


def _interpolated(values: Any, places: Any, size: int) -> Any:
    """``values`` (rows, places) at 0 to ``size`` - 1, by straight lines."""
    if places.size == 1:
        return np.repeat(values, size, axis=1)
    at = np.arange(size)
    left = np.clip(np.searchsorted(places, at) - 1, 0, places.size - 2)
    share = (at - places[left]) / (places[left + 1] - places[left])
    return values[:, left] * (1 - share) + values[:, left + 1] * share
