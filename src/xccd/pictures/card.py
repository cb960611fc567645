"""What a notebook shows of ``stack.ccd``: its line, its files, and a small picture if the pixels are in memory."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from xccd.labels import one_line
from xccd.labels.flags import image_names
from xccd.labels.frames import file_names
from xccd.labels.lazy import in_memory
from xccd.messages import shown
from xccd.pictures.zscale import MISSING, as_float32, grey

SIDE = 160  # pixels of the picture along its longer side
MOST_LINES = 30  # of a tree
STYLE = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start;line-height:1.5;max-width:100%"


def html(obj: Any) -> str:
    """The card of a DataArray, a Dataset or a DataTree. Text from files is escaped; nothing is computed for it."""
    try:
        return _html(obj)
    except Exception:  # labels may hold anything, and a card is no place for an error: it shows less
        return f"<div>{escape(one_line.text(obj))}</div>"


def _html(obj: Any) -> str:
    lines = one_line.lines_of(obj)
    if len(lines) != 1 or isinstance(obj, xr.DataTree):
        return _table(lines) if lines else f"<div>{escape(one_line.text(obj))}</div>"
    image = obj if isinstance(obj, xr.DataArray) else obj[image_names(obj)[0]]
    facts, _, states = lines[0][1].partition("; ")
    said = [f"<strong>{escape(facts)}</strong>", *map(escape, filter(None, (states, _files(image))))]
    return f'<div class="xccd-card" style="{STYLE}">{_picture(image)}<div>{"<br>".join(said)}</div></div>'


def _table(lines: list[tuple[str, str]]) -> str:
    """Images of a tree, a row for each."""
    cell = 'style="text-align:left;padding:0 1em 0 0"'
    rows = [f"<tr><td {cell}><b>{escape(name)}</b></td><td {cell}>{escape(one)}</td></tr>" for name, one in lines]
    more = f"<div>and {len(rows) - MOST_LINES} more</div>" if rows[MOST_LINES:] else ""
    return f'<div class="xccd-card"><table>{"".join(rows[:MOST_LINES])}</table>{more}</div>'


def _files(image: xr.DataArray) -> str:
    """The first and the last file, without folders."""
    label = image.coords.get("file")
    if label is None or "frame" not in image.dims or not in_memory(label):
        return ""
    names = [shown(name.replace("\\", "/").rpartition("/")[2]) for name in file_names(image, "frame")]
    return " to ".join(dict.fromkeys((names[0], names[-1]))) if names else ""


def _picture(image: xr.DataArray) -> str:
    """The first frame as an image of HTML; "" if pixels would have to be computed or read."""
    found = thumbnail(image)
    if found is None:
        return ""
    png, caption = found
    data = base64.b64encode(png).decode("ascii")
    return (
        '<figure style="margin:0;max-width:200px"><img style="image-rendering:pixelated;max-width:100%" '
        f'alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f'<figcaption style="font-size:0.8em">{escape(caption)}</figcaption></figure>'
    )


def thumbnail(image: xr.DataArray) -> tuple[bytes, str] | None:
    """The first frame as a PNG, and what it shows; None if there is no picture, or if it would have to be computed."""
    if not in_memory(image) or not {"y", "x"} <= set(image.dims) or 0 in image.shape or image.dtype.kind not in "fiub":
        return None
    plane = image.isel({d: 0 for d in image.dims if d not in ("y", "x")}).transpose("y", "x").values
    step = -(-max(plane.shape) // SIDE)
    values = as_float32(plane[::step, ::step])
    seen = np.isfinite(values)
    level = np.round(255 * grey(values)).astype(np.uint8)
    blue = [int(MISSING[i : i + 2], 16) for i in (1, 3, 5)]
    rgb = np.where(seen[..., None], level[..., None], np.array(blue, np.uint8))
    name = (_files(image).partition(" to ")[0] or "the first frame") if "frame" in image.dims else ""
    size = f"1/{step} of the size" if step > 1 else ""
    missing = "" if seen.all() else "blue: missing" if seen.any() else "all pixels are missing"
    words = [name, "zscale" if seen.any() else "", size, missing]
    return png(rgb[::-1]), ", ".join(filter(None, words))  # the first row is at the bottom


def png(rgb: np.ndarray[Any, Any]) -> bytes:
    """An image (y, x, 3) of uint8 as PNG."""
    height, width, _ = rgb.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(rgb))
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunks([(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def _chunks(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
