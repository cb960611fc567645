"""The sections of a recipe: each key with its default, its check, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xccd.night.recipe.recipe_section import Section, key
from xccd.night.recipe.recipe_values import (
    keep,
    level,
    method,
    number,
    number_or,
    one_of,
    region,
    rejection,
    texts,
    truth,
    weights,
)

REJECT = "auto 4 4"
REJECTION = (
    'samples to reject, as in xccd combine --reject; "auto" goes by the number of frames, not by uncertainties; '
    '"" rejects none'
)
METHOD = "how the frames are combined, as in xccd combine --method"


@dataclass(frozen=True, kw_only=True)
class Kinds(Section):
    """Frames whose header tells another kind."""

    called: ClassVar[str] = "kinds"
    bias: tuple[str, ...] = key(
        (),
        texts('["zero*"]'),
        "these are biases: patterns of file names, with folders if they have a /, of OBJECT, or of the word for the "
        "kind; * stands for any text, and capitals do not matter",
    )
    dark: tuple[str, ...] = key((), texts('["dark*"]'), "these are darks")
    flat: tuple[str, ...] = key((), texts('["Dome Flat*"]'), "these are flats")
    light: tuple[str, ...] = key((), texts('["*"]'), "these are lights")
    ignore: tuple[str, ...] = key((), texts('["focus*"]'), "these are left out")


@dataclass(frozen=True, kw_only=True)
class Detector(Section):
    """What is done with each raw frame first."""

    called: ClassVar[str] = "detector"
    overscan: str = key(
        "auto",
        region,
        'the overscan whose level is subtracted: a section "[2049:2080,1:2048]", a keyword, "auto" where the header '
        'has BIASSEC, "off"',
    )
    trim: str = key(
        "auto",
        region,
        'the part that is kept: a section, a keyword, "auto" where the header has TRIMSEC or DATASEC, "off"',
    )
    saturation: str | float = key(
        "auto",
        number_or(60000, "auto", "off"),
        'samples as read that are saturated, there and above: a number, a keyword, "auto" where the header has '
        'SATURATE, "off"',
    )
    gain: str | float = key(
        "auto",
        number_or(1.5, "auto", "off"),
        'e- in a count, for uncertainties: a number, a keyword, "auto" where the header has GAIN, "off" for no '
        "uncertainties",
    )
    readnoise: str | float = key(
        "auto",
        number_or(7, "auto", "off", zero=True),
        'e-, for uncertainties: a number, a keyword, "auto" where the header has RDNOISE, "off" for no uncertainties',
    )
    master_scale: float = key(
        1.0,
        number("a number above 0, as 65535", lambda v: v > 0),
        "what biases and darks that are combined already are multiplied by: 65535 for those of Siril, which lie within "
        "0 to 1",
    )


@dataclass(frozen=True, kw_only=True)
class Bias(Section):
    """Masters of bias frames."""

    called: ClassVar[str] = "bias"
    reject: str = key(REJECT, rejection, REJECTION)
    method: str = key("mean", method, METHOD)


@dataclass(frozen=True, kw_only=True)
class Dark(Section):
    """Masters of darks, one for each exposure."""

    called: ClassVar[str] = "dark"
    reject: str = key(REJECT, rejection, REJECTION)
    method: str = key("mean", method, METHOD)
    scale: bool = key(
        True,
        truth,
        "whether a dark whose bias is subtracted is scaled by the exposure time; if not, only darks of the same "
        "exposure are taken",
    )


@dataclass(frozen=True, kw_only=True)
class Flat(Section):
    """Masters of flats, one for each filter."""

    called: ClassVar[str] = "flat"
    reject: str = key(REJECT, rejection, REJECTION)
    method: str = key("mean", method, METHOD)
    normalize: str = key(
        "median", level("off"), 'the level that is made equal in all flats before they are combined, or "off"'
    )
    norm: str = key(
        "auto",
        one_of("auto", "mean", "median", "cfa"),
        'the level of a master that is 1 when frames are divided by it; "auto" is "cfa", a level for each colour, for '
        'a colour camera, else "mean"',
    )
    min_value: float = key(
        0.01,  # dead pixels have noise there, sometimes above 0: what is divided by it has values without a meaning
        number("a number of 0 or more, as 0.1", lambda v: v >= 0),
        "pixels where a flat, after norm, is not above this are missing",
    )


@dataclass(frozen=True, kw_only=True)
class Light(Section):
    """Images of the sky."""

    called: ClassVar[str] = "light"
    by: tuple[str, ...] = key(
        ("object", "filter"),
        texts('["object", "filter"]'),
        'columns of the table whose values part the images, also "night"; exposures and detectors always part them',
    )
    keep: str = key("", keep, 'the frames that are combined, as "fwhm<80%" for the sharpest; "" takes all')
    debayer: str = key(
        "auto",
        one_of("auto", "bilinear", "superpixel", "vng", "off"),
        'how pixels of a colour camera become three colours; "auto" is "bilinear" for frames with BAYERPAT that are '
        "not binned",
    )
    register: str = key(
        "auto",
        one_of("auto", "wcs", "stars", "off"),
        'how frames are brought to one grid; "auto" is by their WCS, else by stars, else as they lie',
    )
    normalize: str = key(
        "auto", one_of("auto", "off"), "whether the sky levels of frames are made equal before samples are rejected"
    )
    reject: str = key(REJECT, rejection, REJECTION)
    method: str = key("mean", method, METHOD)
    weights: str = key("", weights, 'weights of frames, as "noise", "EXPTIME" or "noise*feather"; "" weights all alike')


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """What is written."""

    called: ClassVar[str] = "output"
    maps: bool = key(True, truth, "whether uncertainty, count and flags are written beside each image")
    picture: bool = key(True, truth, "whether each light gets a PNG")
    frames: bool = key(False, truth, "whether each calibrated frame is written, too")
    report: bool = key(True, truth, "whether a page, report.html, shows the products, their frames and the choices")
