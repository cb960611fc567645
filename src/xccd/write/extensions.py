"""The extensions of a product: its maps, and a table of the inputs if they are too many for cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import zip_longest
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.bitpix import in_file
from xccd.headers.common import COMBINED
from xccd.headers.uncertainties import KINDS
from xccd.headers.writing import FILES, as_block, structure
from xccd.kernels.flags import Flag
from xccd.kernels.table import OUTPUTS
from xccd.labels.flags import ancillary_names
from xccd.labels.lazy import array_of
from xccd.labels.problems import PROBLEM, skipped
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
    """The bytes of a table of all inputs; b"" if there are no more than IMCMBnnn can number, and none was skipped."""
    files = image.coords[FILES].values.item() if FILES in image.coords else None
    bad = _skipped(image)
    if not isinstance(files, str) and not bad:  # one of several planes, with fewer inputs than another
        return b""
    from astropy.io import fits

    names = files.split("\n") if isinstance(files, str) else _inputs(image)
    columns = {"FILE": [*names, *(name for name, _ in bad)]}
    if bad:
        columns["SKIPPED"] = [*[""] * len(names), *(why for _, why in bad)]
    made = [_texts(name, texts) for name, texts in columns.items()]
    buffer = BytesIO()
    table = fits.BinTableHDU.from_columns(made, name=TABLE)
    if version is not None:
        table.ver = version
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer)
    return buffer.getvalue()[cards.BLOCK :]  # without the empty primary HDU


def _texts(name: str, texts: list[str]) -> Any:
    """A column of texts."""
    from astropy.io import fits

    plain = [cards.ascii_only(text) for text in texts]
    return fits.Column(name, f"{max(1, *map(len, plain))}A", array=np.array(plain))


def _inputs(image: xr.DataArray) -> list[str]:
    """The names of the inputs: the frames of a stack, or those in the cards of a product."""
    if "file" in image.coords and image.coords["file"].ndim == 1:
        names, why = (np.ravel(image.coords[k].values).tolist() if k in image.coords else [] for k in ("file", PROBLEM))
        return [PurePath(str(n)).name for n, bad in zip_longest(names, why) if not bad]
    text = str(image.coords[COMBINED].values.item()) if COMBINED in image.coords else ""
    return [str(card.value) for card in cards.split(text) if re.fullmatch(r"IMCMB\d+", card.keyword)]


def _skipped(image: xr.DataArray) -> list[tuple[str, str]]:
    """The name and reason of each file that could not be opened.

    Of products along a dimension xarray keeps the attribute of one for all: then it counts for this one only.
    """
    bad = skipped(image)
    if COMBINED in image.coords and image.coords[COMBINED].ndim == 0:
        count = cards.card_value(str(image.coords[COMBINED].values.item()), "NSKIPPED")
        return bad if count == len(bad) else []
    if PROBLEM in image.coords and image.coords[PROBLEM].ndim == 1:
        pairs = zip(image.coords["file"].values.tolist(), image.coords[PROBLEM].values.tolist(), strict=True)
        bad += [(PurePath(str(name)).name, str(why)) for name, why in pairs if why]
    return bad
