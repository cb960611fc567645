"""The extensions of a product: its maps, and a table of the inputs if they are too many for cards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.bitpix import in_file
from xccd.headers.uncertainties import KINDS
from xccd.headers.writing import FILES, as_block, structure
from xccd.kernels.flags import Flag
from xccd.kernels.table import OUTPUTS
from xccd.labels.flags import ancillary_names
from xccd.labels.lazy import array_of
from xccd.write.encode import Encoder
from xccd.write.stream import NewHDU

NAMES = {name: row.extname for name, row in OUTPUTS.items()} | {"mask": "MASK"}
DTYPES = {name: np.dtype(row.fits_dtype) for name, row in OUTPUTS.items() if row.fits_dtype}
TABLE = "FRAMES"  # the extension with the list of inputs


def maps(image: xr.DataArray, ds: xr.Dataset, version: int | None, real: np.dtype[Any] | None) -> Iterator[NewHDU]:
    """An extension for each map of the image, a variable of ``ds`` in its ``ancillary_variables``.

    ``version`` is EXTVER, if a file has several images; ``real`` is the dtype of float maps, None for their own. Raises
    for a map of another shape than the image.
    """
    used: dict[str, str] = {}
    for key in ancillary_names(image):
        if key not in ds.data_vars:
            continue
        values = ds[key]
        # Readers take a map pixel by pixel, so it must have the image's shape.
        if dict(values.sizes) != dict(image.sizes):
            raise ValueError(f"to_fits: the map {key!r} has sizes {dict(values.sizes)}, the image {dict(image.sizes)}")
        kind = key.removeprefix(f"{image.name}_")
        name = NAMES.get(kind, kind.upper())
        if name in used:
            raise ValueError(
                f"to_fits: {used[name]!r} and {key!r} would both be the extension {name}: drop one of them"
            )
        used[name] = key
        target = real if real is not None and values.dtype.kind == "f" else DTYPES.get(kind) or in_file(values.dtype)
        encoder = Encoder(values.dtype, target, what=f"the map {key!r}")
        lines = [*structure(target, values.shape).split("\n"), *_cards_of_map(kind, values)]
        yield NewHDU(extension(lines, values.ndim, name, version), array_of(values.transpose(*image.dims)), encoder)


def _cards_of_map(kind: str, values: xr.DataArray) -> list[str]:
    """The header cards of a map: its type, unit and the meaning of flags."""
    lines = []
    if kind in ("uncertainty", "common"):
        lines.append(cards.make("UTYPE", KINDS[values.attrs.get("uncertainty_type", "std")].astropy))
    if "units" in values.attrs:
        lines.append(cards.make("BUNIT", cards.ascii_only(str(values.attrs["units"]))))
    if kind == "flags":
        lines += [cards.make("COMMENT", f"{int(flag)} {flag.name}".lower()) for flag in Flag]
    return [line for text in lines for line in text.split("\n")]


def primary(lines: list[str], ndim: int, *, extended: bool) -> bytes:
    """The bytes of a primary header, from its lines that begin with SIMPLE."""
    sizes = 3 + ndim  # after SIMPLE, BITPIX, NAXIS and each NAXISn
    return as_block([*lines[:sizes], *([cards.make("EXTEND", True)] if extended else []), *lines[sizes:]])


def extension(lines: list[str], ndim: int, name: str, version: int | None) -> bytes:
    """The same lines as the header of an image extension."""
    sizes = 3 + ndim
    own = [cards.make("PCOUNT", 0), cards.make("GCOUNT", 1), *_name_cards(name, version)]
    return as_block([cards.make("XTENSION", "IMAGE"), *lines[1:sizes], *own, *lines[sizes:]])


def _name_cards(name: str, version: int | None) -> Iterable[str]:
    yield from cards.make("EXTNAME", name).split("\n")
    if version is not None:
        yield cards.make("EXTVER", version)


def frames_table(image: xr.DataArray, version: int | None) -> bytes:
    """The bytes of a table of all inputs, if there are more than IMCMBnnn can number; else b""."""
    files = image.coords[FILES].values.item() if FILES in image.coords else None
    if not isinstance(files, str):  # one of several planes, with fewer inputs than another
        return b""
    from astropy.io import fits

    names = [cards.ascii_only(name) for name in files.split("\n")]
    column = fits.Column("FILE", f"{max(map(len, names))}A", array=np.array(names))
    buffer = BytesIO()
    table = fits.BinTableHDU.from_columns([column], name=TABLE)
    if version is not None:
        table.ver = version
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer)
    return buffer.getvalue()[cards.BLOCK :]  # without the empty primary HDU
