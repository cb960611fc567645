"""What `simulate_night` takes and writes: arguments that make sense, and files that are whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xccd.messages import shown

Shape = tuple[int, int]
Card = tuple[str, str | float, str]


def checked_number(name: str, value: Any, least: int = 0, kind: type = int) -> Any:
    """A number of at least ``least``, whole if ``kind`` is int; raises for anything else."""
    abstract: Any = Integral if kind is int else Real
    if isinstance(value, bool) or not isinstance(value, abstract):
        raise TypeError(f"{name}={value!r} is not {'a whole' if kind is int else 'a'} number")
    if not least <= value < math.inf:
        raise ValueError(f"{name}={value!r} makes no sense: give {least} or more")
    return kind(value)


def pair(shape: object) -> Shape:
    """A shape (rows, columns) of 32 pixels or more along each side; raises for anything else."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"shape={shape!r} is not a pair (rows, columns)")
    return checked_number("shape[0]", shape[0], 32), checked_number("shape[1]", shape[1], 32)


def check_folder(folder: Path, frames: Set[str], overwrite: bool) -> None:
    """Raise if a night cannot go to the folder, or would replace another without ``overwrite``."""
    for place in (folder, folder / "truth"):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{shown(place)} is a file: a folder is needed there")
    taken = [*sorted(p for p in folder.glob("*.fits") if p.name in frames), *sorted((folder / "truth").glob("*.fits"))]
    if taken and not overwrite:
        raise FileExistsError(
            f"{shown(folder)} already holds a night, {taken[0].relative_to(folder)} for one: "
            "pass overwrite=True to replace it, or name an empty folder"
        )


def write_fits(path: Path, data: NDArray[np.generic], unit: str, cards: Iterable[Card]) -> None:
    """Write an image with its unit and cards, whole or not at all."""
    from astropy.io import fits

    hdu = fits.PrimaryHDU(data, fits.Header([*cards, ("BUNIT", unit, "unit of the pixels")]))
    write_safely(path, lambda part: hdu.writeto(part, overwrite=True))


def write_safely(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside `path`, then rename: no reader ever sees half a file."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:  # astropy names no file, and says three times that a disk is full
        text = f"{shown(path)} cannot be written: {error.strerror or str(error).partition('. ')[0]}"
        raise OSError(*((text,) if error.errno is None else (error.errno, text))) from error
    finally:
        part.unlink(missing_ok=True)
