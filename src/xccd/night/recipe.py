"""`Recipe`: every choice in the reduction of a night."""

from __future__ import annotations

from dataclasses import dataclass, field

REJECT = "sigma 4 4 center=median deviation=mad_std maxiters=stable"


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What is done with each raw frame first."""

    overscan: str = "auto"  # "auto": where the header has BIASSEC; a section; "off"
    trim: str = "auto"  # "auto": where the header has TRIMSEC or DATASEC; a section; "off"
    saturation: str | float = "auto"  # "auto": SATURATE where the header has it; a number; "off"
    gain: str | float = "auto"  # "auto": GAIN where the header has it; a number; "off": no uncertainties
    readnoise: str | float = "auto"
    master_scale: float = 1.0  # of biases and darks that are there already; 65535 for Siril's, which lie within 0..1


@dataclass(frozen=True, kw_only=True)
class Bias:
    """Masters of bias frames."""

    reject: str = REJECT  # as `xccd combine --reject`; "" for none
    method: str = "mean"


@dataclass(frozen=True, kw_only=True)
class Dark:
    """Masters of darks, one for each exposure."""

    reject: str = REJECT
    method: str = "mean"
    scale: bool = True  # a dark of another exposure is scaled by EXPTIME


@dataclass(frozen=True, kw_only=True)
class Flat:
    """Masters of flats, one for each filter."""

    reject: str = REJECT
    method: str = "mean"
    normalize: str = "median"  # frames are brought to one level before they are combined
    norm: str = "auto"  # "mean", "median", "cfa"; "auto": "cfa" for a colour camera, else "mean"
    min_value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Light:
    """Images of the sky."""

    by: tuple[str, ...] = ("object", "filter")  # columns of the table whose values part the images
    keep: str = ""  # as "fwhm<80%": the best frames only
    debayer: str = "auto"  # "auto": "bilinear" where the header has BAYERPAT; "superpixel", "vng", "off"
    register: str = "auto"  # "auto": by the WCS, else by stars, else as they lie; "wcs", "stars", "off"
    normalize: str = "auto"  # levels brought together before the clip; "off"
    reject: str = REJECT
    method: str = "mean"
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is written."""

    maps: bool = True  # uncertainty, count and flags beside each image
    picture: bool = True  # a PNG of each light
    frames: bool = False  # each calibrated frame, too


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Frames whose header tells another kind: patterns of file names, of OBJECT, or of the word for the kind."""

    bias: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()
    light: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice in the reduction of a night, with its default."""

    exposure_tolerance: float = 0.05  # exposures within this share of one another belong together
    temperature_tolerance: float = 2.0  # degrees between darks, or a dark and its frames, that are of one temperature
    kinds: Kinds = field(default_factory=Kinds)
    detector: Detector = field(default_factory=Detector)
    bias: Bias = field(default_factory=Bias)
    dark: Dark = field(default_factory=Dark)
    flat: Flat = field(default_factory=Flat)
    light: Light = field(default_factory=Light)
    output: Output = field(default_factory=Output)
