"""ccdproc's overscan and trim of one image: CCDData in and out, parts of it as sections of FITS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.ccdproc.logged import logs_its_call
from xccd.messages import a_type

if TYPE_CHECKING:
    from astropy.nddata import CCDData


@logs_its_call("suboscan")
def subtract_overscan(
    ccd: CCDData, overscan: Any = None, overscan_axis: int | None = 1, fits_section: str | None = None,
    median: bool = False, model: Any = None, add_keyword: Any = True,
) -> CCDData:  # fmt: skip
    """Subtract the overscan from an image, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        An image.
    overscan : CCDData, optional
        The overscan; either this or ``fits_section``.
    overscan_axis : {0, 1, None}, default: 1
        The axis along which the overscan is combined: 1 gives a level for each row. None takes the shorter one.
    fits_section : str, optional
        The overscan as a section of the image, "[x1:x2,y1:y2]".
    median : bool, default: False
        Combine by the median instead of the mean.
    model : astropy.modeling.Model, optional
        A model that is fitted to the levels, and subtracted in their place.
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        The image less the levels. Its uncertainty is unchanged.

    Raises
    ------
    TypeError
        Not one of ``overscan`` and ``fits_section`` is given, or an argument is of another type.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import subtract_overscan
    >>> ccd = CCDData([[9.0, 3.0, 5.0], [9.0, 1.0, 1.0]], unit="adu")
    >>> subtract_overscan(ccd, fits_section="[2:3,:]").data.tolist()
    [[5.0, -1.0, 1.0], [8.0, 0.0, 0.0]]
    """
    check_ccd("ccd", ccd)
    if (overscan is None) == (fits_section is None):
        raise TypeError("give one of overscan= and fits_section=, not both and not none")
    if fits_section is not None:
        overscan = ccd[slices(fits_section)]
    check_ccd("overscan", overscan)
    if overscan_axis is None:
        overscan_axis = 0 if overscan.shape[1] > overscan.shape[0] else 1
    levels = (np.median if median else np.mean)(overscan.data, axis=overscan_axis)
    if model is not None:
        from astropy.modeling import fitting

        rows = np.arange(len(levels))
        levels = fitting.LinearLSQFitter()(model, rows, levels)(rows)
    made = ccd.copy()
    made.data = ccd.data - np.expand_dims(levels, overscan_axis)
    return made


@logs_its_call("trimim")
def trim_image(ccd: CCDData, fits_section: str | None = None, add_keyword: Any = True) -> CCDData:
    """Cut an image, as ccdproc's function does.

    Parameters
    ----------
    ccd : CCDData
        An image; slice it before for a part by position, as ``trim_image(ccd[:, :1024])``.
    fits_section : str, optional
        The part that stays, as a section "[x1:x2,y1:y2]".
    add_keyword : bool, str, Keyword or dict, default: True
        As in `create_deviation`.

    Returns
    -------
    CCDData
        A copy of the part, with its WCS.

    Raises
    ------
    TypeError
        ``fits_section`` is no text.
    ValueError
        ``fits_section`` is no section.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import trim_image
    >>> trim_image(CCDData([[9.0, 3.0, 5.0], [9.0, 1.0, 1.0]], unit="adu"), fits_section="[2:3,1:1]").data.tolist()
    [[3.0, 5.0]]
    """
    if fits_section is not None and not isinstance(fits_section, str):
        raise TypeError(f"fits_section={fits_section!r} is no text, as '[1:1024,1:1024]'")
    return ccd.copy()[slices(fits_section)] if fits_section else ccd.copy()


def slices(text: str) -> tuple[slice, ...]:
    """The slices of a section of FITS: pixels count from 1, both ends included, the axes in reverse order."""
    bare = "".join(text.split())
    wrong = f"fits_section={text!r} is no section of an image, as '[1:1024,1:1024]'"
    if not (bare.startswith("[") and bare.endswith("]")):
        raise ValueError(wrong)
    parts = bare[1:-1].replace("-*:", "::-").replace("-*", "::-1").replace("*", ":").split(",")
    try:
        given = [slice(*(int(number) if number else None for number in part.split(":"))) for part in parts]
    except (ValueError, TypeError):
        raise ValueError(wrong) from None
    if any(end is not None and end < least for s in given for end, least in ((s.start, 1), (s.stop, 0))):
        raise ValueError(f"{wrong}: the first pixel is 1")
    return tuple(map(_by_position, reversed(given)))


def _by_position(part: slice) -> slice:
    first = None if part.start is None else part.start - 1
    if part.start is None or part.stop is None or part.start <= part.stop:
        return slice(first, part.stop, part.step)
    # it runs downwards, and FITS writes the step without its sign
    return slice(first, None if part.stop == 1 else part.stop - 2, -1 if part.step is None else -part.step)


def check_ccd(name: str, given: Any) -> None:
    """Raise unless an argument is a CCDData."""
    from astropy.nddata import CCDData

    if not isinstance(given, CCDData):
        raise TypeError(f"{name} is {a_type(given)}, not a CCDData")
