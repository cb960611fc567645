"""What a product has beside its image: its maps as extensions, and the list of inputs that is too long for cards."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import xarray as xr

from xccd._deferred import samples
from xccd._flags import Flag
from xccd.fits import cards
from xccd.fits.header import BLOCK, FILES, as_block, structure
from xccd.fits.header import stored as dtype_in_file
from xccd.fits.stream import HDU

# Names and dtypes as `astropy.nddata.CCDData.read` knows them. No pixel has 2^31 samples.
NAMES = {"flags": "MASK", "mask": "MASK", "uncertainty": "UNCERT"}
DTYPES: dict[str, np.dtype[Any]] = {"flags": np.dtype("u1"), "mask": np.dtype("u1"), "count": np.dtype(">i4")}
UTYPES = {"std": "StdDevUncertainty", "var": "VarianceUncertainty", "ivar": "InverseVariance"}


def maps(image: xr.DataArray, ds: xr.Dataset) -> Iterator[HDU]:
    """An extension for each variable of ``ds`` that the image names as its ancillary one, of its shape."""
    used: dict[str, str] = {}
    for key in str(image.attrs.get("ancillary_variables", "")).split():
        if key not in ds.data_vars:
            continue
        values = ds[key]
        if dict(values.sizes) != dict(image.sizes):
            raise ValueError(f"to_fits: the map {key!r} has sizes {dict(values.sizes)}, the image {dict(image.sizes)}")
        kind = key.removeprefix(f"{image.name}_")
        name = NAMES.get(kind, kind.upper())
        if name in used:
            raise ValueError(
                f"to_fits: {used[name]!r} and {key!r} would both be the extension {name}: drop one of them"
            )
        used[name] = key
        dtype = DTYPES[kind] if kind in DTYPES else dtype_in_file(values.dtype)
        yield HDU(_head(name, kind, values, dtype), samples(values.transpose(*image.dims)), dtype)


def _head(name: str, kind: str, values: xr.DataArray, dtype: np.dtype[Any]) -> bytes:
    """The header of an extension."""
    rest = structure(dtype, values.shape).split("\n")[1:]  # in place of SIMPLE:
    lines = [cards.make("XTENSION", "IMAGE"), *rest, cards.make("PCOUNT", 0), cards.make("GCOUNT", 1)]
    lines.append(cards.make("EXTNAME", name))
    if kind == "uncertainty":
        lines.append(cards.make("UTYPE", UTYPES[values.attrs.get("uncertainty_type", "std")]))
    if "units" in values.attrs:
        lines.append(cards.make("BUNIT", cards.ascii_only(str(values.attrs["units"]))))
    if kind == "flags":
        lines += [cards.make("COMMENT", f"{int(flag)} {flag.name}".lower()) for flag in Flag]
    return as_block(line for text in lines for line in text.split("\n"))


def frames_table(image: xr.DataArray) -> bytes:
    """The list of all inputs, where there are more than IMCMBnnn can number."""
    if FILES not in image.coords:
        return b""
    from astropy.io import fits

    names = [cards.ascii_only(name) for name in str(image.coords[FILES].values.item()).split("\n")]
    column = fits.Column("FILE", f"{max(map(len, names))}A", array=np.array(names))
    buffer = BytesIO()
    table = fits.BinTableHDU.from_columns([column], name="FRAMES")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer)
    return buffer.getvalue()[BLOCK:]
