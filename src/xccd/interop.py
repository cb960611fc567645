"""To the objects of other packages, and back: CCDData, masked arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.headers import cards, units
from xccd.labels.flags import ancillary, check_uncertainty, flags_of, map_name, not_taken, with_maps
from xccd.labels.header import header, wcs
from xccd.read.dataset import open_dataset

if TYPE_CHECKING:
    from astropy.nddata import CCDData


def to_ccddata(obj: xr.DataArray | xr.Dataset) -> CCDData | list[CCDData]:
    """An image as astropy's CCDData, a stack as a list of them; computes.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image or a stack. Of a Dataset the one variable that is not another's map.

    Returns
    -------
    CCDData, or a list of them for a stack
        With the unit (ADU and counts are adu, ELECTRONS and e- are electron; dimensionless where there is none), the
        WCS if there is one, and the header as ``meta``. The mask is what is not finite; of a Dataset what has a flag,
        and then the flags are ``flags`` and ``data_uncertainty`` is the uncertainty, of its type. What an NDCube is
        made of: ``NDCube(ccd.data, ccd.wcs, ccd.uncertainty, ccd.mask, ccd.meta, ccd.unit)``.

    Raises
    ------
    TypeError
        Something else than a DataArray or a Dataset.
    ValueError
        A Dataset with several images, a unit that astropy does not know.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> image = xr.DataArray([[1.0, float("nan")]], dims=("y", "x"), attrs={"units": "adu"})
    >>> ccd = image.ccd.to_ccddata()
    >>> str(ccd.unit), ccd.mask.tolist()
    ('adu', [[False, True]])
    """
    image = _image(obj, "to_ccddata")
    if "frame" not in image.dims:
        return _ccddata(image, None)
    stack = image.transpose("frame", ...).load()
    return [_ccddata(stack.isel(frame=i), i) for i in range(stack.sizes["frame"])]


def _image(obj: Any, verb: str) -> xr.DataArray:
    """The variable with its maps as coordinates."""
    if isinstance(obj, xr.DataArray):
        return obj
    if not isinstance(obj, xr.Dataset):
        raise not_taken(f"{verb}()", obj, f"{verb} takes a DataArray or a Dataset, not")
    helpers = ancillary(obj)
    names = [name for name in obj.data_vars if name not in helpers]
    if len(names) != 1:
        raise ValueError(f"this Dataset has {len(names)} images ({', '.join(map(str, names))}): pick one with its maps")
    return with_maps(obj, names[0])


def _ccddata(image: xr.DataArray, number: int | None) -> CCDData:
    from astropy import nddata

    kinds = {"std": nddata.StdDevUncertainty, "var": nddata.VarianceUncertainty, "ivar": nddata.InverseVariance}
    unit = _unit(str(image.attrs.get("units", "")), "this image" if number is None else f"frame {number}")
    flags, error = flags_of(image), image.coords.get(map_name(image.name, "uncertainty"))
    mask = ~np.isfinite(image.values) if flags is None else flags.values != 0
    if error is not None:
        check_uncertainty(error.values, ~mask)
    meta = header(image)
    for keyword in [k for k in meta if cards.STRUCTURAL.fullmatch(k)]:
        meta.remove(keyword, ignore_missing=True, remove_all=True)
    return nddata.CCDData(
        image.values,
        unit=unit,
        mask=mask if mask.any() else None,
        uncertainty=None if error is None else kinds[error.attrs.get("uncertainty_type", "std")](error.values),
        flags=None if flags is None else flags.values,
        wcs=wcs(image) if "CTYPE1" in meta else None,
        meta=meta,
    )


def _unit(text: str, name: str) -> Any:
    """A unit as astropy reads it, in the spellings of cameras too, and the square of one."""
    for spelling in (text, units.spelled(text)):
        try:
            return _parsed(spelling)
        except ValueError as failed:
            error = failed
    raise ValueError(f"{name} has the unit {text!r}, which astropy does not know: set attrs['units']") from error


def _parsed(text: str) -> Any:
    from astropy import units as u

    inner = units.root(text)
    return _parsed(inner) ** 2 if inner else u.Unit(text)  # of "" none


def to_masked_array(obj: xr.DataArray | xr.Dataset) -> np.ma.MaskedArray[Any, Any]:
    """The samples as a NumPy masked array; computes.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image or a stack; of a Dataset the one variable that is not another's map.

    Returns
    -------
    numpy.ma.MaskedArray
        Masked where the samples are not finite; of a Dataset where they have a flag.

    Raises
    ------
    TypeError, ValueError
        As `to_ccddata`.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> float(xr.DataArray([1.0, float("inf"), 3.0], dims="x").ccd.to_masked_array().mean())
    2.0
    """
    image = _image(obj, "to_masked_array")
    flags = flags_of(image)
    out = ~np.isfinite(image.values) if flags is None else flags.values != 0
    return np.ma.MaskedArray(image.values, mask=out)


def from_ccddata(ccds: CCDData | Iterable[CCDData]) -> xr.Dataset:
    """CCDData as the lossless form of a stack.

    Parameters
    ----------
    ccds : CCDData, or an iterable of them
        Of one shape, and one type of uncertainties.

    Returns
    -------
    Dataset
        What `open_dataset` gives of them, with data in memory: masked pixels have the flag 1, flags of 8 bits are taken
        over. ``to_ccddata`` gives them back.

    Raises
    ------
    TypeError
        Something else than CCDData.
    ValueError
        Shapes or types of uncertainties that differ.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> import xccd
    >>> ds = xccd.from_ccddata([CCDData([[1.0, 2.0]], unit="adu", mask=[[True, False]])])
    >>> ds.data_flags.values.tolist(), ds.data.attrs["units"]
    ([[[1, 0]]], 'adu')
    """
    from astropy.nddata import CCDData

    found = [ccds] if isinstance(ccds, CCDData) else list(ccds)
    wrong = [ccd for ccd in found if not isinstance(ccd, CCDData)]
    if wrong:
        raise TypeError(f"from_ccddata takes CCDData, not {type(wrong[0]).__name__}: see open_dataset")
    return open_dataset(found, chunks=None)
