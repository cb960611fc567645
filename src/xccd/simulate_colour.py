"""The colours of a simulated night: what each pixel of a colour camera sees of lamp, sky and stars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xccd.messages import called, did_you_mean

Image = NDArray[np.float64]
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
LAMP = {"R": 1.25, "G": 1.0, "B": 0.6}  # a flat's lamp is yellow
SKY = {"R": 1.2, "G": 1.0, "B": 0.8}
WHITE = 4  # one of so many stars is white
GOLDEN = 0.618033988749895  # its multiples fill an interval evenly


@dataclass(frozen=True)
class Mosaic:
    """The filters over the pixels, by the first 2 x 2 of them, row by row."""

    pattern: str
    lamp: Mapping[str, float]
    sky: Mapping[str, float]
    tints: Callable[[int], dict[str, Image]]

    def letters(self, shape: tuple[int, int]) -> NDArray[np.str_]:
        square = np.array(list(self.pattern)).reshape(2, 2)
        return square[np.ix_(np.arange(shape[0]) % 2, np.arange(shape[1]) % 2)]

    def seen(self, shape: tuple[int, int], part: Mapping[str, Any]) -> Image:
        """What the pixels see of ``part``, light by colour."""
        letters = self.letters(shape)
        return np.select([letters == letter for letter in "RGB"], [part[letter] for letter in "RGB"])

    def starlight(self, draw: Callable[[Image], Image], stars: Image) -> Image:
        """Stars in their colours; ``draw`` gives the image of white ones."""
        x, y, flux = stars
        part = {letter: draw(np.stack([x, y, flux * tint])) for letter, tint in self.tints(flux.size).items()}
        return self.seen(part["R"].shape, part)

    def cards(self) -> Iterator[tuple[str, str | float, str]]:
        yield "BAYERPAT", self.pattern, "colours of the first 2 x 2 pixels"
        yield "XBAYROFF", 0, "columns from the pattern to the first pixel"
        yield "YBAYROFF", 0, "rows from the pattern to the first pixel"


def mosaic_of(pattern: object) -> Mosaic | None:
    """The mosaic of a pattern; None for a camera without colours."""
    if pattern is None:
        return None
    if not isinstance(pattern, str) or pattern not in PATTERNS:
        near = did_you_mean(pattern, PATTERNS)
        raise ValueError(f"bayer={called(pattern)} is unknown: use one of {', '.join(PATTERNS)}, or None{near}")
    return Mosaic(pattern, LAMP, SKY, colours)


def colours(count: int) -> dict[str, Image]:
    """The light of stars in red, green and blue over that in green, from blue (-1) to red (1); some are white."""
    number = np.arange(count)
    index = np.where(number % WHITE == 0, 0.0, 2 * (number * GOLDEN % 1) - 1)
    return {"R": 10 ** (0.15 * index), "G": np.ones(count), "B": 10 ** (-0.25 * index)}
