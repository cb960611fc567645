"""A picture of an image as PNG, in the grey levels of zscale."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from xccd.pictures.figure import DARKEST
from xccd.pictures.figure import MISSING as MISSING
from xccd.write.place import new_file, replacing

MOST = 1600  # pixels along a side; larger images are averaged down
DPI = 100


def write_png(image: Any, path: Path, title: str) -> Path:
    """Write an image (y, x), or one with a colour on the last axis, as a PNG; whole or not at all.

    Raises ImportError without matplotlib.
    """
    from matplotlib.figure import Figure

    values = smaller(as_float32(np.asarray(image)))
    height, width = values.shape[:2]
    figure = Figure(figsize=(max(width, 300) / DPI + 0.4, max(height, 200) / DPI + 0.7), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(MISSING)
    shades = np.stack([grey(plane) for plane in np.moveaxis(np.atleast_3d(values), -1, 0)], -1)
    rgb = np.broadcast_to(DARKEST + (1 - DARKEST) * shades, (height, width, 3))
    seen = np.isfinite(values if values.ndim == 2 else values.sum(-1))
    picture = np.dstack([rgb, seen])
    axes.imshow(picture, origin="lower", interpolation="nearest", aspect="equal")
    axes.set_title(title if seen.all() else f"{title}  (blue: missing)", parse_math=False)
    axes.set(xticks=[], yticks=[])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    data = buffer.getvalue()
    with replacing(path, lambda folder: new_file(folder, overwrite=True), lambda: len(data)) as file:
        file.write(data)
    return path


def as_float32(values: Any) -> Any:
    """Samples as float32; in units of a power of two if they would be infinite or 0 there, which changes no grey."""
    size = np.abs(values[np.isfinite(values)]) if values.dtype.kind == "f" else np.zeros(0)
    power = int(np.frexp(size.max())[1]) if size.size else 0
    return (np.ldexp(values, -power) if abs(power) > 100 else values).astype(np.float32)


def grey(values: Any) -> Any:
    """Grey levels from 0 to 1 between the limits of zscale; missing pixels are 0."""
    if not np.isfinite(values).any():
        return np.zeros(values.shape, np.float32)
    low, high = limits(values)
    return np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-30), 0, 1)


def limits(values: Any) -> tuple[float, float]:
    """The limits of grey that IRAF's display and DS9 take by default; of values that are not all missing."""
    from astropy.visualization import ZScaleInterval

    low, high = ZScaleInterval().get_limits(values)
    return float(low), float(high)


def smaller(values: Any) -> Any:
    """The means of squares of pixels, so that no side is longer than `MOST`; of each the pixels that are there."""
    step = -(-max(values.shape[:2]) // MOST)
    if step <= 1:
        return values
    height, width = (n // step for n in values.shape[:2])
    blocks = values[: height * step, : width * step].reshape(height, step, width, step, *values.shape[2:])
    there = np.isfinite(blocks)
    total, count = np.where(there, blocks, 0).sum((1, 3)), there.sum((1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
