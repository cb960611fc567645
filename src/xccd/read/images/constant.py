"""Constant images, as HST writes them: the header gives the pixel value (PIXVALUE) and the size (NPIX1, ...)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.read.images.pixels import FilePixels, Index, Samples, convert

OWN = re.compile(r"NPIX\d+|PIXVALUE")
MOST_PIXELS = 1 << 27  # 11 585 x 11 585: a file of one block may claim any size


def is_one(values: dict[str, Any]) -> bool:
    """Whether a header describes a constant image."""
    return values.get("NAXIS") == 0 and "PIXVALUE" in values and "NPIX1" in values


def as_array_header(text: str) -> str:
    """The header with NAXISn instead of NPIXn, and without PIXVALUE: a product with it would be read as constant."""
    sizes = {c.keyword: c.lines[0][8:] for c in cards.split(text) if OWN.fullmatch(c.keyword)}
    lines = []
    for card in cards.split(text):
        if card.keyword == "NAXIS":
            axes = [f"NAXIS{i:<3}{sizes[f'NPIX{i}']}" for i in range(1, 1000) if f"NPIX{i}" in sizes]
            lines += [f"NAXIS   = {len(axes):>20}", *axes]
        elif not OWN.fullmatch(card.keyword):
            lines += card.lines
    return "\n".join(lines)


@dataclass(frozen=True)
class ConstantPixels(FilePixels):
    """An image whose stored pixels are all the same number."""

    number: int | float

    @classmethod
    def of(cls, made: FilePixels, number: str | int | float) -> ConstantPixels:
        """``made`` with a number instead of data; raises if BITPIX cannot store the number, or for an absurd size."""
        if math.prod(made.shape) > MOST_PIXELS:
            raise OSError(f"{made.path}: NPIX1, ... give the shape {made.shape}, the file is damaged")
        whole = made.stored.kind in "iu"
        bounds = np.iinfo(made.stored) if whole else np.finfo(made.stored)
        if isinstance(number, str) or not bounds.min <= number <= bounds.max or (whole and number != int(number)):
            raise OSError(f"{made.path}: PIXVALUE = {number!r} cannot be stored with BITPIX = {made.bitpix}")
        return cls(**vars(made), number=int(number) if whole else float(number))

    @property
    def raw(self) -> None:
        """None: the file has no pixels."""

    def read(self, index: Index, out: Samples) -> None:
        raw = np.broadcast_to(np.array(self.number, self.stored), out.shape)
        convert(raw, out, self.bscale, self.bzero, self.blank)
