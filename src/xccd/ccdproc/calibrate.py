"""ccdproc's calibration of one image: CCDData in and out, with the results of ccdproc's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.ccdproc.logged import logs_its_call
from xccd.ccdproc.sections import check_ccd

if TYPE_CHECKING:
    from astropy.nddata import CCDData


@logs_its_call("creatvar")
def create_deviation(
    ccd_data: CCDData, gain: Any = None, readnoise: Any = None, disregard_nan: bool = False, add_keyword: Any = True
) -> CCDData:  # fmt: skip
    """Give an image the uncertainty of its photons and of the readout, as ccdproc's function does.

    Parameters
    ----------
    ccd_data : CCDData
        An image without its bias.
    gain : Quantity, optional
        Electrons per unit of the image. Default: 1, for an image in the unit of ``readnoise``.
    readnoise : Quantity
        Electrons.
    disregard_nan : bool, default: False
        The uncertainty of negative values: False gives NaN, True that of 0.
    add_keyword : bool, str, Keyword or dict, default: True
        True adds a card with the arguments of this call, False nothing; else the cards to add.

    Returns
    -------
    CCDData
        The image with a StdDevUncertainty.

    Raises
    ------
    TypeError
        ``gain`` or ``readnoise`` is no Quantity.
    ValueError
        There is no ``readnoise``, or the units do not match (astropy's UnitsError).

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import create_deviation
    >>> ccd = CCDData([[100.0, 36.0]], unit="electron")
    >>> create_deviation(ccd, readnoise=8 * u.electron).uncertainty.array.round(2).tolist()
    [[12.81, 10.0]]
    """
    from astropy import units as u
    from astropy.nddata import StdDevUncertainty

    if readnoise is None:
        raise ValueError("create_deviation needs readnoise=, as 5 * u.electron")
    for name, value in (("gain", gain), ("readnoise", readnoise)):
        if value is not None and not isinstance(value, u.Quantity):
            raise TypeError(f"{name}={value!r} is no Quantity: give {name}=1.5 * u.electron / u.adu or the like")
    gain = 1.0 * u.dimensionless_unscaled if gain is None else gain
    if gain.unit * ccd_data.unit != readnoise.unit:
        raise u.UnitsError(
            f"gain ({gain.unit}) times the image ({ccd_data.unit}) is not in the unit of readnoise ({readnoise.unit})"
        )
    electrons = gain.value * ccd_data.data
    electrons[electrons < 0] = 0 if disregard_nan else np.nan
    made = ccd_data.copy()
    made.uncertainty = StdDevUncertainty((electrons + readnoise.value**2) ** 0.5 / gain.value)
    return made


@logs_its_call("subbias")
def subtract_bias(ccd: CCDData, master: CCDData, add_keyword: Any = True) -> CCDData:
    """Subtract a bias from an image, as ccdproc's function does.

    Parameters
    ----------
    ccd, master : CCDData
        The image and the bias, of one shape and one unit.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        The difference, with the header of ``ccd``, the uncertainty and the mask of both.

    Raises
    ------
    ValueError
        Shapes or units differ; for units it is astropy's UnitsError.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import subtract_bias
    >>> subtract_bias(CCDData([1100.0], unit="adu"), CCDData([1000.0], unit="adu")).data.tolist()
    [100.0]
    """
    return _of(ccd, _subtracted(ccd, master))


@logs_its_call("subdark")
def subtract_dark(
    ccd: CCDData, master: CCDData, dark_exposure: Any = None, data_exposure: Any = None, exposure_time: Any = None,
    exposure_unit: Any = None, scale: bool = False, add_keyword: Any = True,
) -> CCDData:  # fmt: skip
    """Subtract a dark from an image, as ccdproc's function does.

    Parameters
    ----------
    ccd, master : CCDData
        The image and the dark, of one shape and one unit.
    dark_exposure, data_exposure : Quantity, optional
        Exposure times of the dark and of the image; either these or ``exposure_time``.
    exposure_time : str or Keyword, optional
        The keyword of the exposure time in both headers.
    exposure_unit : Unit, optional
        Its unit.
    scale : bool, default: False
        Multiply the dark by the ratio of the exposure times.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        As from `subtract_bias`.

    Raises
    ------
    TypeError
        An argument is missing, or of another type.
    ValueError
        Shapes or units differ.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import subtract_dark
    >>> ccd = CCDData([100.0], unit="adu", meta={"EXPTIME": 60.0})
    >>> dark = CCDData([4.0], unit="adu", meta={"EXPTIME": 30.0})
    >>> subtract_dark(ccd, dark, exposure_time="EXPTIME", exposure_unit=u.second, scale=True).data.tolist()
    [92.0]
    """
    check_ccd("ccd", ccd)
    check_ccd("master", master)
    if ccd.shape != master.shape:
        raise ValueError(f"the image has the shape {ccd.shape}, the dark {master.shape}")
    times = _exposures(ccd, master, dark_exposure, data_exposure, exposure_time, exposure_unit)
    if scale:
        master = master.copy().multiply(times[0] / times[1])
    return _of(ccd, _subtracted(ccd, master))


def _exposures(ccd: Any, master: Any, of_dark: Any, of_data: Any, keyword: Any, unit: Any) -> tuple[Any, Any]:
    """The exposure times of the image and the dark."""
    from astropy import units as u

    if of_data is not None and of_dark is not None and keyword is not None:
        raise TypeError("give exposure_time=, or dark_exposure= and data_exposure=, not all three")
    if of_data is None and of_dark is None:
        if keyword is None:
            raise TypeError("give exposure_time=, or dark_exposure= and data_exposure=")
        read = getattr(keyword, "value_from", lambda header: header[keyword])
        of_data, of_dark = read(ccd.header), read(master.header)
    if isinstance(of_dark, u.Quantity) and isinstance(of_data, u.Quantity):
        return of_data, of_dark
    if not keyword:
        raise TypeError("dark_exposure= and data_exposure= are Quantities, as 30 * u.second")
    if unit is None:
        raise TypeError("exposure_time= needs exposure_unit=, as u.second")
    return of_data * unit, of_dark * unit


@logs_its_call("gaincor")
def gain_correct(ccd: CCDData, gain: Any, gain_unit: Any = None, add_keyword: Any = True) -> CCDData:
    """Multiply an image by a gain, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        An image.
    gain : Quantity, Keyword or number
        The gain.
    gain_unit : Unit, optional
        The unit of a gain that is a number.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        The product, in the product of the units.

    Raises
    ------
    ValueError, TypeError
        What astropy raises for units that it cannot multiply.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import gain_correct
    >>> made = gain_correct(CCDData([10.0], unit="adu"), 1.5 * u.electron / u.adu)
    >>> made.data.tolist(), made.unit.to_string()
    ([15.0], 'electron')
    """
    from numbers import Number

    from astropy import units as u

    if hasattr(gain, "value_from"):
        gain = gain.value_from(ccd.header)
    elif isinstance(gain, Number) and gain_unit is not None:
        gain = gain * u.Unit(gain_unit)
    return _of(ccd, ccd.multiply(gain))


@logs_its_call("flatcor")
def flat_correct(
    ccd: CCDData, flat: CCDData, min_value: float | None = None, norm_value: Any = None, add_keyword: Any = True
) -> CCDData:  # fmt: skip
    """Divide an image by a flat, as ccdproc's function does.

    Parameters
    ----------
    ccd, flat : CCDData
        The image and the flat, of one shape.
    min_value : float, optional
        Lower values of the flat are replaced by this one.
    norm_value : float, optional
        The flat is divided by it. Default: its mean, masked pixels included.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        The quotient, with the header of ``ccd``, the uncertainty and the mask of both. Masked pixels of the flat
        count as 1.

    Raises
    ------
    ValueError
        ``norm_value`` is not above 0, or shapes differ.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import flat_correct
    >>> flat_correct(CCDData([90.0, 110.0], unit="adu"), CCDData([3.0, 5.0], unit="adu")).data.tolist()
    [120.0, 88.0]
    """
    used = flat
    if min_value is not None:
        used = flat.copy()
        used.data[used.data < min_value] = min_value
    if norm_value is None:
        level = used.data.mean() * used.unit
    elif norm_value > 0:
        level = norm_value if hasattr(norm_value, "unit") else norm_value * used.unit
    else:
        raise ValueError(f"norm_value={norm_value!r} is not above 0")
    relative = used.divide(level)
    if relative.mask is not None and relative.mask.any():
        relative.data[relative.mask] = 1.0
    return _of(ccd, ccd.divide(relative))


def _subtracted(ccd: CCDData, master: CCDData) -> CCDData:
    try:
        return ccd.subtract(master)
    except ValueError as error:
        if ccd.unit == master.unit:
            raise
        from astropy import units as u

        raise u.UnitsError(
            f"Unit '{ccd.unit}' of the uncalibrated image does not match unit '{master.unit}' of the calibration image"
        ) from error


def _of(ccd: CCDData, made: CCDData) -> CCDData:
    """The result with the header of the image: arithmetic of CCDData has none."""
    made.meta = ccd.meta.copy()
    return made
