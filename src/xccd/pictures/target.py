"""The file that a picture or a page goes to, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from xccd.messages import a_type
from xccd.write.place import check_place, target_of


def checked_target(path: Any, overwrite: Any, endings: Collection[str], other: str, example: str) -> Path:
    """The file to write; raises if it cannot be written there, or its name has none of the ``endings``.

    ``other`` is what is said of another ending, ``example`` a name that is good.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r} is {a_type(path)}, not a path: name a file, as {example!r}")
    target = target_of(path)
    if target.suffix.lower() not in endings:
        raise ValueError(f"path={str(path)!r} {other}")
    if not isinstance(overwrite, bool | np.bool_):
        raise TypeError(f"overwrite={overwrite!r} is not True or False")
    if target.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder: name a file in it, as {str(target / example)!r}")
    check_place(target, bool(overwrite))
    return target
