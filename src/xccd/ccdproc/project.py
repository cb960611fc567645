"""ccdproc's `wcs_project`: positions from `xccd.align`, values as ccdproc computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.ccdproc import splines
from xccd.ccdproc.logged import check_keyword, logs_its_call
from xccd.ccdproc.values import check_numpy
from xccd.compute import options
from xccd.compute.pool import run_all
from xccd.headers import cards
from xccd.messages import a_type
from xccd.sky.gather import FROM_STD, PIXELS, VARIANCE
from xccd.sky.grid import Grid
from xccd.sky.pixel_map import PixelMap, pixel_map
from xccd.verbs.align_units import is_per_area

if TYPE_CHECKING:
    from astropy.nddata import CCDData

Array = np.ndarray[Any, Any]
DEGREES = {"nearest-neighbor": 0, "bilinear": 1, "biquadratic": 2, "bicubic": 3}
TOUCHED = 1e-8  # a larger share of a masked pixel masks the result
ROWS = ("rows", "columns")
OF_WCS = ("MJDREF", "MJDREFI", "MJDREFF", "DATEREF")  # other cards that a WCS writes


@logs_its_call("wcsproj")
def wcs_project(
    ccd: CCDData, target_wcs: Any, target_shape: Any = None, order: str = "bilinear", add_keyword: Any = True,
    xp: Any = None,
) -> CCDData:  # fmt: skip
    """Resample an image to another WCS, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        An image with a celestial WCS.
    target_wcs : astropy.wcs.WCS
        The WCS of the result, celestial too.
    target_shape : (int, int), optional
        Rows and columns; for a cube all axes. Default: the shape of the image.
    order : {"nearest-neighbor", "bilinear", "biquadratic", "bicubic"}, default: "bilinear"
        The spline of degree 0 to 3 that goes through the pixels.
    add_keyword : bool, str, Keyword or dict, default: True
        True adds a card with the arguments of this call, False nothing; else the cards to add.
    xp : array namespace, optional
        NumPy, or None.

    Returns
    -------
    CCDData
        The image as float64. Values are multiplied by the ratio of the pixel areas at the reference points, except
        values per area. Pixels that a masked pixel touches are masked, and so are pixels outside of the image; without
        any the mask is None. Uncertainties are propagated. The header has no cards of the old WCS.

    Raises
    ------
    ValueError
        A WCS is not celestial, the order is unknown, or the shape is unusable.
    TypeError
        ``ccd`` is not a CCDData, or ``xp`` is not NumPy.

    Notes
    -----
    Masked pixels contribute to the spline. As in ccdproc, a result is masked where the spline of the mask is more than
    1e-8. Splines of degree 2 and 3 are negative in places; those places are not masked.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy.wcs import WCS
    >>> from xccd.ccdproc import wcs_project
    >>> wcs = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0,
    ...            "CDELT1": -1e-4, "CDELT2": 1e-4})
    >>> ccd = CCDData(np.array([[1.0, 2.0, 3.0]]), unit="adu", wcs=wcs)
    >>> moved = wcs.deepcopy()
    >>> moved.wcs.crpix = [2.0, 1.0]
    >>> wcs_project(ccd, moved).data.tolist()
    [[nan, 1.0, 2.0]]
    """
    check_numpy("xp", xp)
    check_keyword(add_keyword)
    shape = _checked_shape(ccd, target_wcs, target_shape, order)
    here, there = (
        Grid.of(wcs, shape=(size[-2], size[-1])) for wcs, size in ((ccd.wcs, ccd.shape), (target_wcs, shape))
    )
    at, degree = pixel_map(here, there), DEGREES[order]
    bad = ~np.isfinite(ccd.data)
    data = _projected(np.where(bad, 0, ccd.data) if bad.any() else ccd.data, at, shape, degree)
    mask = np.isnan(data)
    if ccd.mask is not None and np.any(ccd.mask):
        masked = np.broadcast_to(np.asarray(ccd.mask, bool), ccd.shape)
        mask |= _projected(masked, at, shape, degree) > TOUCHED
    if bad.any():
        mask |= np.abs(_projected(bad, at, shape, degree)) > TOUCHED
    ratio = _ratio(ccd, target_wcs)
    data *= ratio
    data[mask] = np.nan
    return type(ccd)(
        data,
        unit=ccd.unit,
        mask=mask if mask.any() else None,
        uncertainty=_projected_uncertainty(ccd, at, shape, degree, ratio),
        wcs=target_wcs,
        header=_header(ccd),
    )


def _checked_shape(ccd: Any, target_wcs: Any, target_shape: Any, order: str) -> tuple[int, ...]:
    """The shape of the result; raises for arguments that do not go together."""
    if not hasattr(ccd, "wcs"):
        raise TypeError(f"ccd is {a_type(ccd)}: give CCDData")
    for name, wcs in (("ccd.wcs", ccd.wcs), ("target_wcs", target_wcs)):
        if wcs is None or not getattr(wcs, "is_celestial", False):
            raise ValueError(f"{name} is not celestial: both must be")
    if order not in DEGREES:
        raise ValueError(f"order={order!r} is unknown: use one of {', '.join(DEGREES)}")
    if ccd.ndim < 2:
        raise ValueError(f"ccd has shape {ccd.shape}: an image on the sky has two axes")
    if target_shape is None:
        return tuple(ccd.shape)
    shape = tuple(np.ravel(target_shape).tolist())
    if len(shape) != ccd.ndim or shape[:-2] != ccd.shape[:-2] or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            f"target_shape={target_shape!r}: give whole numbers, ({', '.join(map(str, ccd.shape[:-2] + ROWS))})"
        )
    return shape


def _projected(image: Array, at: PixelMap, shape: tuple[int, ...], degree: int, *, variance: bool = False) -> Array:
    """The values of an image, or of each plane of a cube, at the positions of a map; NaN outside of the image."""
    made = np.full(shape, np.nan)
    call = splines.spline_variances if variance else splines.spline_values
    left, right = at.box[2:]
    step = max(1, PIXELS // max(1, right - left))
    rows = range(at.box[0], at.box[1], step)
    for plane, out in zip(image.reshape(-1, *image.shape[-2:]), made.reshape(-1, *shape[-2:]), strict=True):
        whole = np.asarray(plane, np.float64) if variance else splines.coefficients(plane, degree)

        def piece(n: int, whole: Array = whole, out: Array = out) -> None:
            start, stop = rows[n], min(rows[n] + step, at.box[1])
            out[start:stop, left:right] = call(whole, *_positions_in_image(at, start, stop), degree)

        run_all(piece, len(rows), options.threads())
    return made


def _positions_in_image(at: PixelMap, start: int, stop: int) -> tuple[Array, Array]:
    """Row and column positions in the image, for some rows of the target."""
    if at.shift is not None:
        y, x = np.mgrid[start:stop, at.box[2] : at.box[3]] + np.reshape(at.shift, (2, 1, 1))
        return y.astype(float), x.astype(float)
    x, y = at.positions(start, stop)
    return y, x


def _ratio(ccd: Any, target_wcs: Any) -> float:
    """The factor for values: the ratio of the pixel areas at the reference points, 1 for values per area."""
    from astropy.wcs.utils import proj_plane_pixel_area

    if is_per_area(ccd.unit):
        return 1.0
    return float(proj_plane_pixel_area(target_wcs) / proj_plane_pixel_area(ccd.wcs))


def _projected_uncertainty(ccd: Any, at: PixelMap, shape: tuple[int, ...], degree: int, ratio: float) -> Any:
    """The uncertainty of the result, of the image's type; None for a type that has no variance."""
    given = ccd.uncertainty
    kind = getattr(given, "uncertainty_type", None)
    if kind not in VARIANCE or given.array is None:
        return None
    with np.errstate(divide="ignore"):
        variance = VARIANCE[kind](np.broadcast_to(np.asarray(given.array, np.float64), ccd.shape))
        error = np.sqrt(_projected(variance, at, shape, degree, variance=True)) * ratio
        return type(given)(FROM_STD[kind](error), unit=given.unit, copy=False)


def _header(ccd: Any) -> Any:
    """The header without WCS cards: the result has its own WCS."""
    meta = ccd.header.copy()
    for keyword in dict.fromkeys(map(str, meta)):
        if keyword in OF_WCS or cards.WCS.fullmatch(keyword.upper()):
            del meta[keyword]
    return meta
