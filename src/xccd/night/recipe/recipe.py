"""`Recipe`: every choice in the reduction of a night."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from xccd.kernels.table import METHODS
from xccd.night.recipe import recipe_text
from xccd.night.recipe.recipe_parts import Bias, Dark, Detector, Flat, Kinds, Light, Output
from xccd.night.recipe.recipe_section import SECTION, Section, by_name, check_keys, key
from xccd.night.recipe.recipe_values import number


@by_name
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
    xccd.errors.XccdValueError: light has no key 'methd'; did you mean 'method'? There are by, keep, ...
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
        self._check_errors()
        if self.light.weights and METHODS[self.light.method].weighted is None:
            able = ", ".join(name for name, row in METHODS.items() if row.weighted and name != "quantile")
            given = f"light.method={self.light.method!r} with light.weights={self.light.weights!r}"
            raise ValueError(f"{given}: only {able} take weights")

    def _check_errors(self) -> None:
        """Raise where uncertainties are needed and there are none."""
        if self.bias.method == "ivar":
            raise ValueError("bias.method='ivar' needs uncertainties, which frames with their bias level do not have")
        off = [f"detector.{name}" for name in ("gain", "readnoise") if getattr(self.detector, name) == "off"]
        for name in ("dark", "flat", "light") if off else ():
            if getattr(self, name).method == "ivar":
                raise ValueError(f"{name}.method='ivar' needs uncertainties, and {off[0]} is 'off': give a number")
        if off and "ivar" in [part.strip() for part in self.light.weights.split("*")]:
            raise ValueError(
                f"light.weights={self.light.weights!r} needs uncertainties, and {off[0]} is 'off': give a number"
            )

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
