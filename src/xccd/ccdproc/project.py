"""ccdproc's `wcs_project` on `xccd.align`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.align import align, is_per_area
from xccd.fits import cards
from xccd.grid import Grid
from xccd.interop import from_ccddata, to_ccddata

if TYPE_CHECKING:
    from astropy.nddata import CCDData

ORDERS = {"nearest-neighbor": "nearest", "bilinear": "bilinear", "biquadratic": "bicubic", "bicubic": "bicubic"}


def wcs_project(
    ccd: CCDData, target_wcs: Any, target_shape: Any = None, order: str = "bilinear", add_keyword: Any = None
) -> CCDData:  # fmt: skip
    """Put an image on another WCS, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        With a celestial WCS.
    target_wcs : astropy.wcs.WCS
        Celestial, too.
    target_shape : (int, int), optional
        Rows and columns. Default: those of the image.
    order : {"nearest-neighbor", "bilinear", "biquadratic", "bicubic"}, default: "bilinear"
        Biquadratic is bicubic here.
    add_keyword : object, optional
        Taken, and without effect.

    Returns
    -------
    CCDData
        Counts are multiplied by the local ratio of areas; masked samples take no part, and are missing where they have
        more than half of the weight. Uncertainties are propagated. The header is without the old WCS.

    Raises
    ------
    ValueError
        A WCS that is not celestial, an unknown order, an image that is not seen at all.
    TypeError
        Something else than CCDData.

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
    if not hasattr(ccd, "wcs"):
        raise TypeError(f"ccd is a {type(ccd).__name__}: give CCDData")
    for name, wcs in (("ccd.wcs", ccd.wcs), ("target_wcs", target_wcs)):
        if wcs is None or not getattr(wcs, "is_celestial", False):
            raise ValueError(f"{name} is not celestial: both must be")
    if order not in ORDERS:
        raise ValueError(f"order={order!r} is unknown: use one of {', '.join(ORDERS)}")
    shape = tuple(ccd.shape if target_shape is None else target_shape)
    stack = from_ccddata(ccd)
    flux = "surface brightness" if is_per_area(ccd.unit) else "total"
    made = align(stack, Grid.of(target_wcs, shape=(shape[0], shape[1])), order=ORDERS[order], flux=flux)
    (found,) = to_ccddata(made)
    meta = ccd.header.copy()
    for keyword in [k for k in meta if cards.WCS.fullmatch(str(k).upper())]:
        del meta[keyword]
    mask = found.mask | ~np.isfinite(found.data) if found.mask is not None else ~np.isfinite(found.data)
    return type(ccd)(
        np.where(mask, np.nan, found.data),
        unit=ccd.unit,
        mask=mask if mask.any() else None,
        uncertainty=found.uncertainty,
        wcs=target_wcs,
        header=meta,
    )
