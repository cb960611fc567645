"""ccdproc's `ccd_process` and `cosmicray_lacosmic`: all steps in one call, and cosmic rays in one image."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.ccdproc.calibrate import (
    create_deviation,
    flat_correct,
    gain_correct,
    subtract_bias,
    subtract_dark,
)
from xccd.ccdproc.logged import logs_its_call
from xccd.ccdproc.sections import subtract_overscan, trim_image
from xccd.messages import a_type

if TYPE_CHECKING:
    from astropy.nddata import CCDData


@logs_its_call("ccdproc")
def ccd_process(
    ccd: CCDData, oscan: Any = None, trim: str | None = None, error: bool = False, master_bias: Any = None,
    dark_frame: Any = None, master_flat: Any = None, bad_pixel_mask: Any = None, gain: Any = None,
    readnoise: Any = None, oscan_median: bool = True, oscan_model: Any = None, min_value: float | None = None,
    dark_exposure: Any = None, data_exposure: Any = None, exposure_key: Any = None, exposure_unit: Any = None,
    dark_scale: bool = False, gain_corrected: bool = True, add_keyword: Any = True,
) -> CCDData:  # fmt: skip
    """Calibrate an image in one call, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        An image.
    oscan : str or CCDData, optional
        The overscan, as a section or an image.
    trim : str, optional
        The section that stays.
    error : bool, default: False
        Give it an uncertainty, from ``gain`` and ``readnoise``.
    master_bias, dark_frame, master_flat : CCDData, optional
        The masters.
    bad_pixel_mask : numpy.ndarray, optional
        The mask of the image.
    gain, readnoise : Quantity, optional
        Electrons per count, and electrons.
    oscan_median, oscan_model
        As ``median`` and ``model`` of `subtract_overscan`.
    min_value : float, optional
        As in `flat_correct`.
    dark_exposure, data_exposure, exposure_key, exposure_unit, dark_scale
        As in `subtract_dark`.
    gain_corrected : bool, default: True
        Multiply by the gain before the masters are used; False: after.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        The calibrated image.

    Raises
    ------
    TypeError
        An argument is of another type.
    ValueError
        ``error`` without ``gain`` and ``readnoise``; and what the steps raise.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import ccd_process
    >>> ccd = CCDData([[110.0, 120.0, 10.0]], unit="adu")
    >>> made = ccd_process(ccd, oscan="[3:3,1:1]", trim="[1:2,1:1]", gain=2 * u.electron / u.adu)
    >>> made.data.tolist(), made.unit.to_string()
    ([[200.0, 220.0]], 'electron')
    """
    from astropy import units as u
    from astropy.nddata import CCDData

    masters = {"master_bias": master_bias, "dark_frame": dark_frame, "master_flat": master_flat}
    _check_types(("oscan", oscan, (str, CCDData)), ("trim", trim, str), ("bad_pixel_mask", bad_pixel_mask, np.ndarray))
    _check_types(("gain", gain, u.Quantity), *((name, value, CCDData) for name, value in masters.items()))
    if error and (gain is None or readnoise is None):
        raise ValueError("error=True needs gain= and readnoise=")
    made = ccd.copy()
    if oscan is not None:
        where = {"fits_section": oscan} if isinstance(oscan, str) else {"overscan": oscan}
        made = subtract_overscan(made, **where, median=oscan_median, model=oscan_model)
    if trim is not None:
        made = trim_image(made, fits_section=trim)
    if error:
        made = create_deviation(made, gain=gain, readnoise=readnoise)
    if bad_pixel_mask is not None:
        made.mask = bad_pixel_mask
    if gain is not None and gain_corrected:
        made = gain_correct(made, gain)
    if master_bias is not None:
        made = subtract_bias(made, master_bias)
    if dark_frame is not None:
        made = subtract_dark(
            made, dark_frame, dark_exposure=dark_exposure, data_exposure=data_exposure, exposure_time=exposure_key,
            exposure_unit=exposure_unit, scale=dark_scale,
        )  # fmt: skip
    if master_flat is not None:
        made = flat_correct(made, master_flat, min_value=min_value)
    return gain_correct(made, gain) if gain is not None and not gain_corrected else made


def _check_types(*given: tuple[str, Any, Any]) -> None:
    for name, value, kind in given:
        if value is not None and not isinstance(value, kind):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise TypeError(f"{name}= is {a_type(value)}: give a {names}, or None")


def cosmicray_lacosmic(
    ccd: Any, sigclip: float = 4.5, sigfrac: float = 0.3, objlim: float = 5.0, gain: Any = 1.0, readnoise: Any = 6.5,
    satlevel: float = 65535.0, pssl: float = 0.0, niter: int = 4, sepmed: bool = True, cleantype: str = "meanmask",
    fsmode: str = "median", psfmodel: str = "gauss", psffwhm: float = 2.5, psfsize: int = 7, psfk: Any = None,
    psfbeta: float = 4.765, verbose: bool = False, gain_apply: bool = True, inbkg: Any = None, invar: Any = None,
) -> Any:  # fmt: skip
    """Find and replace cosmic rays by L.A.Cosmic, as ccdproc's function does. Needs astroscrappy 1.1 or newer.

    Parameters
    ----------
    ccd : CCDData or numpy.ndarray
        An image.
    gain, readnoise : float or Quantity
        Electrons per count, and electrons.
    pssl : float, default: 0
        A sky level that was subtracted; ``inbkg`` is better.
    gain_apply : bool, default: True
        Return the image in electrons.
    sigclip, sigfrac, objlim, satlevel, niter, sepmed, cleantype, fsmode, psfmodel, psffwhm, psfsize, psfk, psfbeta, \
verbose, inbkg, invar
        As in ``astroscrappy.detect_cosmics``.

    Returns
    -------
    CCDData, or a tuple of two arrays
        The image without cosmic rays, which are masked, in its unit times that of the gain. Of an array: the image and
        the mask of cosmic rays.

    Raises
    ------
    ImportError
        There is no astroscrappy.
    TypeError
        ``ccd`` is neither a CCDData nor an array.
    ValueError
        Units do not match, or ``pssl`` and ``inbkg`` are both given.

    Warns
    -----
    UserWarning
        The image is in electrons, and the gain is not 1.

    Examples
    --------
    >>> import numpy as np
    >>> from xccd.ccdproc import cosmicray_lacosmic
    >>> image = np.random.default_rng(0).normal(100, 5, (40, 40))
    >>> image[20, 20] += 900
    >>> clean, found = cosmicray_lacosmic(image, gain=1.0, readnoise=5.0)
    >>> int(found.sum()), round(float(clean[20, 20]), -2)
    (1, 100.0)
    """
    try:
        from astroscrappy import detect_cosmics
    except ImportError as error:
        lacking = "cosmicray_lacosmic needs astroscrappy: pip install 'xccd[cosmics]' or conda install astroscrappy"
        raise ImportError(lacking) from error
    from astropy import units as u
    from astropy.nddata import CCDData

    if pssl != 0 and (inbkg is not None or invar is not None):
        raise ValueError(f"pssl={pssl!r} with inbkg= or invar=: give the background alone")
    if not isinstance(ccd, CCDData | np.ndarray):
        raise TypeError(f"ccd is {a_type(ccd)}, neither a CCDData nor an array")
    given: Any = ccd
    gain = gain if isinstance(gain, u.Quantity) else gain * u.electron / u.adu
    readnoise = readnoise if isinstance(readnoise, u.Quantity) else readnoise * u.electron
    image = isinstance(given, CCDData)
    if image:
        gain = _gain_for(given, gain, readnoise)
    mask, clean = detect_cosmics(
        (given.data if image else given) + pssl, inmask=given.mask if image else None, sigclip=sigclip, sigfrac=sigfrac,
        objlim=objlim, gain=gain.value, readnoise=readnoise.value, satlevel=satlevel, niter=niter, sepmed=sepmed,
        cleantype=cleantype, fsmode=fsmode, psfmodel=psfmodel, psffwhm=psffwhm, psfsize=psfsize, psfk=psfk,
        psfbeta=psfbeta, verbose=verbose, inbkg=inbkg, invar=invar,
    )  # fmt: skip
    clean = clean - pssl
    if gain.value != 1.0 and gain_apply:
        clean = clean * gain.value
    if not image:
        return clean, mask
    made = given.copy()
    made.unit = given.unit * gain.unit
    made.data = clean
    made.mask = mask if made.mask is None else made.mask + mask
    return made


def _gain_for(ccd: Any, gain: Any, readnoise: Any) -> Any:
    """The gain, without a unit for an image in electrons. Raises if the units do not match."""
    from astropy import units as u

    if ccd.unit.is_equivalent(u.electron) and gain.value != 1.0:
        warnings.warn(
            "the image is in electron, and the gain is not 1: it may be multiplied by the gain twice", stacklevel=3
        )
        return gain
    if readnoise.unit == u.electron and ccd.unit == u.electron:
        gain = gain.value * u.one
    if not (gain * ccd).unit.is_equivalent(readnoise.unit):
        raise ValueError(f"units do not match: gain {gain.unit}, image {ccd.unit}, readnoise {readnoise.unit}")
    return gain
