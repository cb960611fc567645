"""How many bytes of files a part of a stack reads, without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xccd.read.files.local import LocalFile
from xccd.read.images.constant import ConstantPixels
from xccd.read.images.pixels import FilePixels, innermost
from xccd.read.images.tiled import TiledPixels
from xccd.read.reader import StackReader


class Reads(NamedTuple):
    """Bytes, and whether that is their exact number: of compressed images the pixels' share of the file is told."""

    size: int
    exact: bool = True


def of_part(reader: StackReader, key: Sequence[Any]) -> Reads:
    """What ``reader[key]`` reads; ``key`` has a slice or a list of numbers for each axis."""
    whole = (*key, *(slice(None),) * (reader.ndim - len(key)))
    numbers = np.arange(len(reader.frames))[whole[0]]
    box = [np.arange(n)[part] for part, n in zip(whole[1:], reader.shape[1:], strict=True)]
    if not all(np.size(part) for part in (numbers, *box)):
        return Reads(0)
    spans = [int(np.max(part)) + 1 - int(np.min(part)) for part in box]
    found = [
        _of_frame(one, spans, reader.shape[1:])
        for i in np.atleast_1d(numbers).tolist()
        for one in (reader.frames[i], reader.masks[i])
        if one is not None
    ]
    return Reads(sum(size for size, _ in found), all(exact for _, exact in found))


def _of_frame(frame: Any, spans: Sequence[int], shape: Sequence[int]) -> Reads:
    """The bytes of whole rows along the first axis that is longer than 1."""
    stored = innermost(frame)
    if not isinstance(stored, FilePixels) or isinstance(stored, ConstantPixels):
        return Reads(0)
    spare = next((i for i, n in enumerate(shape[:-1]) if n != 1), len(shape) - 1)
    part = spans[spare] / max(1, shape[spare])
    if isinstance(stored, TiledPixels):
        return Reads(round(stored.nbytes * part), False)
    size = stored.stored.itemsize * prod(shape)
    return Reads(round(size * part), isinstance(stored.file, LocalFile) and not stored.file.packing)


def files_of(reader: StackReader) -> set[str]:
    """The names of the files."""
    every = (innermost(one) for one in (*reader.frames, *reader.masks) if one is not None)
    return {one.path for one in every if isinstance(one, FilePixels)}
