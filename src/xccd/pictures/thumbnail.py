"""A small picture of an image as PNG, written without matplotlib; blue where samples are missing."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from xccd.pictures.figure import DARKEST, MISSING
from xccd.pictures.limits import rgba

Array = np.ndarray[Any, Any]
Limits = list[tuple[float, float]]
GREYS = 255  # of the palette, behind the colour of missing pixels


def thumbnail(values: Array, limits: Limits) -> bytes:
    """The PNG of an image (y, x), or (y, x, 3), between limits of grey; its first row is at the bottom."""
    values = values[::-1]
    if values.ndim == 3:
        missing = tuple(c / 255 for c in _rgb(MISSING))
        colours = rgba(values, limits, missing, DARKEST)[..., :3]  # type: ignore[arg-type]
        return encoded(np.round(colours * 255).astype(np.uint8))
    ((low, high),) = limits
    with np.errstate(invalid="ignore", over="ignore"):
        share = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    seen = np.isfinite(values)
    level = np.where(seen, 1 + np.round(np.where(seen, share, 0) * (GREYS - 1)), 0).astype(np.uint8)
    return encoded(level, _palette())


def encoded(pixels: Array, palette: Array | None = None) -> bytes:
    """The PNG of 8-bit levels (y, x) with a palette, or of colours (y, x, 3)."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = pixels.reshape(height, -1)
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2 if palette is None else 3, 0, 0, 0))]
    if palette is not None:
        parts.append(_chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    parts += [_chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _palette() -> Array:
    greys = np.round(255 * np.linspace(DARKEST, 1, GREYS)).repeat(3).reshape(-1, 3)
    return np.vstack([_rgb(MISSING), greys])


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
