"""Conversion to and from objects of other packages: CCDData and masked arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.headers import cards, units
from xccd.headers.uncertainties import KINDS
from xccd.labels.flags import check_uncertainty, flags_of, map_name, not_taken, science_variable, with_maps
from xccd.labels.header import header
from xccd.read.dataset import open_dataset
from xccd.sky.frame_wcs import wcs

if TYPE_CHECKING:
    from astropy.nddata import CCDData


def to_ccddata(obj: xr.DataArray | xr.Dataset) -> CCDData | list[CCDData]:
    """Convert an image to astropy's CCDData, or a stack to a list of them. Computes lazy data.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image or a stack. A Dataset must have one variable that is not a map.

    Returns
    -------
    CCDData, or a list of them for a stack
        The image with its unit (ADU and counts become adu, ELECTRONS and e- become electron; dimensionless without a
        unit), its WCS if there is one, and its header as ``meta``. Samples that are not finite are masked. From a
        flagged Dataset the flagged samples are masked, the flags become ``flags``, and ``data_uncertainty`` becomes the
        uncertainty, of its type. An NDCube is ``NDCube(ccd.data, ccd.wcs, ccd.uncertainty, ccd.mask, ccd.meta,
        ccd.unit)``.

    Raises
    ------
    TypeError
        ``obj`` is not a DataArray or a Dataset.
    ValueError
        The Dataset has no image or several, or astropy does not know the unit.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> image = xr.DataArray([[1.0, float("nan")]], dims=("y", "x"), attrs={"units": "adu"})
    >>> ccd = image.ccd.to_ccddata()
    >>> str(ccd.unit), ccd.mask.tolist()
    ('adu', [[False, True]])
    """
    image = _image_with_maps(obj, "to_ccddata")
    if "frame" not in image.dims:
        return _ccddata(image, None)
    stack = image.transpose("frame", ...).load()
    return [_ccddata(stack.isel(frame=i), i) for i in range(stack.sizes["frame"])]


def _image_with_maps(obj: Any, verb: str) -> xr.DataArray:
    """The image with its maps as coordinates."""
    if isinstance(obj, xr.DataArray):
        return obj
    if not isinstance(obj, xr.Dataset):
        raise not_taken(f"{verb}()", obj, f"{verb} takes a DataArray or a Dataset, not")
    return with_maps(obj, science_variable(obj))


def _ccddata(image: xr.DataArray, number: int | None) -> CCDData:
    from astropy import nddata

    unit = _understood_unit(str(image.attrs.get("units", "")), "this image" if number is None else f"frame {number}")
    flags, error = flags_of(image), image.coords.get(map_name(image.name, "uncertainty"))
    mask = ~np.isfinite(image.values) if flags is None else flags.values != 0
    if error is not None:
        check_uncertainty(error.values, ~mask)
        kind = getattr(nddata, KINDS[error.attrs.get("uncertainty_type", "std")].astropy)
    meta = header(image)
    for keyword in [k for k in meta if cards.STRUCTURAL.fullmatch(k)]:
        meta.remove(keyword, ignore_missing=True, remove_all=True)
    return nddata.CCDData(
        image.values,
        unit=unit,
        mask=mask if mask.any() else None,
        uncertainty=None if error is None else kind(error.values),
        flags=None if flags is None else flags.values,
        wcs=wcs(image) if "CTYPE1" in meta else None,
        meta=meta,
    )


def _understood_unit(text: str, name: str) -> Any:
    """The astropy unit of a text; spellings of cameras and squares are understood, too."""
    for spelling in (text, units.spelled(text)):
        try:
            return _unit_of_text(spelling)
        except ValueError as failed:
            error = failed
    raise ValueError(f"{name} has the unit {text!r}, which astropy does not know: set attrs['units']") from error


def _unit_of_text(text: str) -> Any:
    from astropy import units as u

    inner = units.root(text)
    return _unit_of_text(inner) ** 2 if inner else u.Unit(text)  # "" is no unit


def to_masked_array(obj: xr.DataArray | xr.Dataset) -> np.ma.MaskedArray[Any, Any]:
    """Convert samples to a NumPy masked array. Computes lazy data.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image or a stack. A Dataset must have one variable that is not a map.

    Returns
    -------
    numpy.ma.MaskedArray
        The samples, masked where they are not finite; from a flagged Dataset, where they are flagged.

    Raises
    ------
    TypeError, ValueError
        As for `to_ccddata`.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> float(xr.DataArray([1.0, float("inf"), 3.0], dims="x").ccd.to_masked_array().mean())
    2.0
    """
    image = _image_with_maps(obj, "to_masked_array")
    flags = flags_of(image)
    out = ~np.isfinite(image.values) if flags is None else flags.values != 0
    return np.ma.MaskedArray(image.values, mask=out)


def from_ccddata(ccds: CCDData | Iterable[CCDData]) -> xr.Dataset:
    """Convert CCDData to a flagged Dataset.

    Parameters
    ----------
    ccds : CCDData, or an iterable of them
        Images of one shape and one type of uncertainties.

    Returns
    -------
    Dataset
        The Dataset as from `open_dataset`, with data in memory. Masked pixels have the flag 1; flags of 8 bits are
        kept. `to_ccddata` is the inverse.

    Raises
    ------
    TypeError
        An object is not a CCDData.
    ValueError
        Shapes or types of uncertainties differ.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> import xccd
    >>> ds = xccd.from_ccddata([CCDData([[1.0, 2.0]], unit="adu", mask=[[True, False]])])
    >>> ds.data_flags.values.tolist(), ds.data.attrs["units"]
    ([[[1, 0]]], 'adu')
    """
    from astropy.nddata import CCDData

    if not isinstance(ccds, Iterable):  # CCDData is none either
        ccds = [ccds]
    found = [ccds] if isinstance(ccds, CCDData) else list(ccds)
    wrong = [ccd for ccd in found if not isinstance(ccd, CCDData)]
    if wrong:
        raise TypeError(f"from_ccddata takes CCDData, not {type(wrong[0]).__name__}: see open_dataset")
    return open_dataset(found, chunks=None)
