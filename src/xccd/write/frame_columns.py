"""Columns of the table of inputs that are known only when the image is: the rejected share of each frame."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from xccd.headers import cards
from xccd.headers.writing import FILES, as_block
from xccd.labels.flags import map_name
from xccd.labels.lazy import array_of
from xccd.write.extensions import TABLE
from xccd.write.planes import Plane
from xccd.write.rejected_frames import Shares

NAMED = f"EXTNAME = '{TABLE}".encode()  # in the header of a table of inputs; RECIPE is another table
COLUMNS = {"REJ_LOW": "share_rejected_low", "REJ_HIGH": "share_rejected_high"}


class Columns(NamedTuple):
    """The names of the frames, if a table is wanted in any case, and the arrays of the columns."""

    names: list[str]
    values: dict[str, np.ndarray[Any, Any]]


def columns_of(plane: Plane, shares: Shares | None = None) -> Columns:
    """The columns of an image: shares in memory, which may still be counted while it is computed.

    A table is wanted if `FILES` is a label of frames, one name for each. It takes lazy ``shares``, too, which are
    computed with the image.
    """
    files = plane.ds.coords.get(FILES)
    names = [] if files is None or files.ndim != 1 else list(map(str, files.values.tolist()))
    if names and shares is not None:
        return Columns(names, dict(zip(COLUMNS, shares.values, strict=True)))
    found = {name: plane.ds.coords.get(map_name(plane.image.name, kind)) for name, kind in COLUMNS.items()}
    values = {name: array_of(one) for name, one in found.items() if one is not None and one.ndim == 1}
    if len(values) < len(COLUMNS) or not all(isinstance(one, np.ndarray) for one in values.values()):
        return Columns([], {})
    return Columns(names, values)


def with_columns(tables: bytes, columns: list[Columns]) -> bytes:
    """The tables behind the images of a file, with the columns in the table of inputs of each image."""
    if NAMED in tables and any(own.values for own in columns):
        return _added(tables, columns)
    several = len(columns) > 1
    made = [table(own, number if several else None) for number, own in enumerate(columns, 1) if own.names]
    return b"".join([*made, tables])


def table(own: Columns, version: int | None) -> bytes:
    """The bytes of a table of inputs. By hand: astropy's tables take half a second to import."""
    names = [cards.ascii_only(name).encode() for name in own.names]
    kinds = [("FILE", f"S{max(1, *map(len, names))}"), *((name, ">f8") for name in own.values)]
    rows = np.zeros(len(names), kinds)
    rows["FILE"] = names
    for name, values in own.values.items():
        rows[name] = values
    given = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": rows.dtype.itemsize, "NAXIS2": len(rows),
             "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(kinds)}  # fmt: skip
    for i, (name, kind) in enumerate(kinds, 1):
        given |= {f"TTYPE{i}": name, f"TFORM{i}": "D" if kind == ">f8" else f"{kind[1:]}A"}
    given |= {"EXTNAME": TABLE} | ({"EXTVER": version} if version is not None else {})
    data = rows.tobytes()
    return as_block([cards.make(k, v) for k, v in given.items()]) + data + b"\0" * (-len(data) % cards.BLOCK)


def _added(tables: bytes, columns: list[Columns]) -> bytes:
    """The tables with the columns. Rows behind those of the frames, of files that were left out, get NaN."""
    from astropy.io import fits

    buffer, made = BytesIO(), BytesIO()
    fits.PrimaryHDU().writeto(buffer)
    buffer.write(tables)
    buffer.seek(0)
    with fits.open(buffer) as hdus:
        for number, hdu in enumerate(hdus):
            own = columns[hdu.ver - 1].values if hdu.name == TABLE else {}
            more = hdu.header.get("NAXIS2", 0) - max(map(len, own.values()), default=0)
            if own and more >= 0:
                new = [fits.Column(k, "D", array=np.append(v, np.full(more, np.nan))) for k, v in own.items()]
                hdus[number] = fits.BinTableHDU.from_columns([*hdu.columns, *new], name=TABLE, ver=hdu.ver)
        hdus.writeto(made)
    return made.getvalue()[cards.BLOCK :]  # without the empty primary HDU
