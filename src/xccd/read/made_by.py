"""The extension RECIPE of a product, read back."""

from __future__ import annotations

from pathlib import Path

from xccd.messages import shown

RECIPE = "RECIPE"


def recipe_text(path: Path) -> str:
    """How a product was made, as TOML; "" for a file that does not say it. Raises OSError if it cannot be read."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=True) as hdus:
            for hdu in hdus:
                if hdu.name == RECIPE and isinstance(hdu, fits.BinTableHDU):
                    return "\n".join(str(line) for line in hdu.data["LINE"])
    except OSError as error:
        raise OSError(f"{shown(str(path))} cannot be read as FITS: {error}") from error
    return ""
