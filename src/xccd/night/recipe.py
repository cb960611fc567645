"""`Recipe`: every choice in the reduction of a night."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from xccd.kernels.table import METHODS
from xccd.night import recipe_text
from xccd.night.recipe_section import SECTION, Section, check_keys, key
from xccd.night.recipe_values import (
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

REJECT = "sigma 4 4 center=median deviation=mad_std maxiters=stable"
REJECTION = 'samples to reject, as in xccd combine --reject; "" rejects none'
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
        0.0,
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
        'how pixels of a colour camera become three colours; "auto" is "bilinear" where the header has BAYERPAT',
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


@dataclass(frozen=True, kw_only=True)
class Recipe(Section):
    """Every choice in the reduction of a night.

    A recipe is made in Python, or read from a TOML file. Each section is given as a dict; what is left out has its
    default. All values are checked at once. A recipe does not change: `replace` makes another one.

    Parameters
    ----------
    exposure_tolerance : float, default: 0.05
        Exposures within this share of one another belong together.
    temperature_tolerance : float, default: 2.0
        Degrees between a dark and its frames up to which they are of one temperature.
    kinds, detector, bias, dark, flat, light, output : dict
        The sections; :doc:`recipe` lists their keys.

    Raises
    ------
    ValueError, TypeError
        A key that is unknown, or a value that its key cannot have.

    Examples
    --------
    >>> import xccd
    >>> recipe = xccd.Recipe(light={"method": "median"}, kinds={"flat": ["Dome Flat*"]})
    >>> recipe.light.method, recipe.flat.normalize
    ('median', 'median')
    >>> xccd.Recipe(light={"methd": "median"})
    Traceback (most recent call last):
    ValueError: light has no key 'methd'; did you mean 'method'? There are by, keep, ...
    """

    exposure_tolerance: float = key(
        0.05,
        number("a number from 0 to below 1, as 0.05", lambda v: 0 <= v < 1),
        "exposures within this share of one another belong together",
    )
    temperature_tolerance: float = key(
        2.0,
        number("a number of 0 or more, as 2", lambda v: v >= 0),
        "degrees between a dark and its frames up to which they are of one temperature",
    )
    kinds: Kinds = field(default_factory=Kinds, metadata={SECTION: Kinds})
    detector: Detector = field(default_factory=Detector, metadata={SECTION: Detector})
    bias: Bias = field(default_factory=Bias, metadata={SECTION: Bias})
    dark: Dark = field(default_factory=Dark, metadata={SECTION: Dark})
    flat: Flat = field(default_factory=Flat, metadata={SECTION: Flat})
    light: Light = field(default_factory=Light, metadata={SECTION: Light})
    output: Output = field(default_factory=Output, metadata={SECTION: Output})

    @cached_property
    def sources(self) -> dict[str, str]:
        """Where values are from, as {"light.method": "night.toml"}; equal recipes may differ in it."""
        return {}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.light.method == "ivar" and self.detector.gain == "off":
            raise ValueError("light.method='ivar' needs uncertainties, and detector.gain is 'off': give a gain")
        if self.light.weights and METHODS[self.light.method].weighted is None:
            able = ", ".join(name for name, row in METHODS.items() if row.weighted and name != "quantile")
            given = f"light.method={self.light.method!r} with light.weights={self.light.weights!r}"
            raise ValueError(f"{given}: only {able} take weights")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Recipe:
        r"""Read a recipe from a TOML file.

        Parameters
        ----------
        path : path
            The file. What it leaves out has its default.

        Returns
        -------
        Recipe
            It remembers which values are from the file; `to_toml` says so.

        Raises
        ------
        OSError
            There is no such file, it cannot be read, or is no TOML: the line is told.
        ValueError, TypeError
            An unknown section or key, or a value that its key cannot have.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import xccd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "night.toml")
        ...     _ = path.write_text('[light]\nmethod = "median"\n')
        ...     recipe = xccd.Recipe.from_file(path)
        >>> recipe.light.method
        'median'
        """
        text, name = recipe_text.contents(path)
        try:
            return cls.from_text(text, name=name)
        except recipe_text.NotTOMLError as error:
            raise OSError(str(error)) from None

    @classmethod
    def from_text(cls, text: str, *, name: str = "the text") -> Recipe:
        r"""Read a recipe from a text in TOML.

        Parameters
        ----------
        text : str
            The text.
        name : str, default: "the text"
            What messages, and `to_toml`, call it.

        Returns
        -------
        Recipe
            As `from_file`.

        Raises
        ------
        ValueError, TypeError
            As `from_file`; also for a text that is no TOML.

        Examples
        --------
        >>> import xccd
        >>> xccd.Recipe.from_text("[dark]\nscale = false").dark.scale
        False
        """
        given = recipe_text.values(cls, text, name)
        made = cls(**given)
        made.sources.update(dict.fromkeys(recipe_text.dotted(given), name))
        return made

    def replace(self, *, source: str = "", **changes: Any) -> Recipe:
        """Make a recipe with other values.

        Parameters
        ----------
        source : str, optional
            Where the values are from, for `to_toml`.
        **changes
            As for `Recipe`. Keys of a section that its dict leaves out keep their values.

        Returns
        -------
        Recipe
            The new one.

        Raises
        ------
        ValueError, TypeError
            As for `Recipe`.

        Examples
        --------
        >>> import xccd
        >>> recipe = xccd.Recipe(light={"method": "median"})
        >>> other = recipe.replace(light={"keep": "fwhm<80%"})
        >>> other.light.method, other.light.keep
        ('median', 'fwhm<80%')
        """
        check_keys(changes, type(self), "the recipe")
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, change in changes.items():
            old = values[name]
            if isinstance(old, Section) and isinstance(change, Mapping):
                change = {f.name: getattr(old, f.name) for f in fields(old)} | dict(change)
            values[name] = change
        made = type(self)(**values)
        kept = {one: where for one, where in self.sources.items() if one not in recipe_text.dotted(changes)}
        made.sources.update(kept | dict.fromkeys(recipe_text.dotted(changes) if source else (), source))
        return made

    def with_text(self, assignment: str, *, source: str = "") -> Recipe:
        """Make a recipe with one other value, given as "section.key=value".

        Parameters
        ----------
        assignment : str
            As "light.method=median", "dark.scale=false" or "light.by=object,night".
        source : str, optional
            Where it is from, for `to_toml`.

        Returns
        -------
        Recipe
            The new one.

        Raises
        ------
        ValueError, TypeError
            A text of another form, an unknown key, or a value that its key cannot have.

        Examples
        --------
        >>> import xccd
        >>> xccd.Recipe().with_text("light.method=median").light.method
        'median'
        """
        return self.replace(source=source, **recipe_text.assigned(type(self), assignment))

    def to_toml(self) -> str:
        """Write the recipe as TOML, with what each key is, and where its value is from.

        Returns
        -------
        str
            A text that `from_text` reads as the same recipe.

        Examples
        --------
        >>> import xccd
        >>> recipe = xccd.Recipe().with_text("dark.scale=false", source="--set")
        >>> [line for line in recipe.to_toml().splitlines() if line.startswith(("scale", "by"))]
        ['scale = false  # --set', 'by = ["object", "filter"]  # default']
        """
        return recipe_text.written(self, self.sources)
