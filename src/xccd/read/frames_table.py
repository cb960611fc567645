"""The extension FRAMES of a product, read back: its files, and the share of each that was rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xccd.messages import shown

FRAMES = "FRAMES"


def frames_table(path: Path) -> list[dict[str, Any]]:
    """A dict for each row, with its columns by name; [] for a file without the table. Raises OSError."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=True) as hdus:
            for hdu in hdus:
                if hdu.name == FRAMES and isinstance(hdu, fits.BinTableHDU):
                    return list(_rows(hdu))
    except OSError as error:
        raise OSError(f"{shown(str(path))} cannot be read as FITS: {error}") from error
    return []


def _rows(hdu: Any) -> Iterator[dict[str, Any]]:
    names = list(hdu.columns.names)
    for row in hdu.data:
        values = [row[name] for name in names]
        yield {k: v.item() if hasattr(v, "item") else v for k, v in zip(names, values, strict=True)}


def extension_names(path: Path) -> list[str]:
    """The names of the HDUs of a file, "" for those without one. Raises OSError."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=True) as hdus:
            return [str(hdu.name) for hdu in hdus]
    except OSError as error:
        raise OSError(f"{shown(str(path))} cannot be read as FITS: {error}") from error
