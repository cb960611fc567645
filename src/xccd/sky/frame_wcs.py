"""`wcs` of a frame or an image, for the pixels that are left after crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from xccd.headers import common
from xccd.labels.header import header, name_of, one_frame
from xccd.sky.grid import distorted

if TYPE_CHECKING:
    from astropy.wcs import WCS


def wcs(obj: xr.DataArray, i: int | None = None) -> WCS:
    """Return the WCS of a frame, or of an image, for its current pixels.

    Parameters
    ----------
    obj : DataArray
        A stack from `open_stack`, one frame of it, or a combined image.
    i : int, optional
        The index of the frame, for a stack. Default: the WCS that all frames must share.

    Returns
    -------
    astropy.wcs.WCS
        The WCS for the current pixels: it follows crops and strides of ``y`` and ``x``. Tables of distortion are read
        from the file.

    Raises
    ------
    IndexError, ValueError
        As for `header`; also ValueError if there is no WCS, or an absurd one.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 3.0, "CRPIX2": 2.0,
    ...          "CRVAL1": 10.0, "CRVAL2": 20.0, "CDELT1": -0.001, "CDELT2": 0.001}
    >>> stack = xccd.open_stack([(np.zeros((4, 5)), cards)])
    >>> stack[:, 1:, 2:].ccd.wcs(0).wcs.crpix.tolist()
    [1.0, 1.0]
    """
    frame = one_frame(obj, i, "wcs")
    made, name = header(obj, i), name_of(frame)
    if "CTYPE1" not in made:
        raise ValueError(f"{name} has no WCS: {common.why_no_wcs(obj)}")
    try:
        grid = distorted(frame)
        return common.read_wcs(made, min(made["NAXIS"], 2)) if grid is None else grid.wcs.deepcopy()
    except ValueError as error:
        raise ValueError(f"the WCS of {name} cannot be used: {error}") from error
