"""A picture as a file: whole or not at all, in a format by the ending of its name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.write.place import new_file, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
DPI = 110


def save_figure(figure: Figure, path: Path, *, overwrite: bool = False) -> Path:
    """Write a figure; returns the path. Raises OSError if the file exists, or cannot be written."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"path={str(path)!r} ends in none of {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    own: dict[str, Any] = {"metadata": {"Software": None}} if ending == ".png" else {}  # the same bytes each time
    figure.savefig(buffer, format=ending[1:], dpi=DPI, **own)
    data = buffer.getvalue()
    with replacing(path, lambda folder: new_file(folder, overwrite=overwrite), lambda: len(data)) as file:
        file.write(data)
    return path
