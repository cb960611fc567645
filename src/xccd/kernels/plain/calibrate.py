"""Samples less bias and dark, over a flat, in NumPy: as `compiled.calibrate`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.changes import CHANGES, SIGN

UFUNCS = {number: ufunc for ufunc, number in CHANGES.items()}


@np.errstate(all="ignore")
def calibrated(
    x: Any, start: int, stop: int, unsigned: bool, kinds: Any, operands: Any, out: Any, first: int
) -> None:  # fmt: skip
    """Write pixels ``start <= j < stop`` of ``x`` to those from ``first`` on of ``out``, as `changed` floats.

    ``x`` may have any order of bytes. If ``unsigned`` it is int16, less 32768.
    """
    piece, to = x[:, start:stop], out[:, first : first + stop - start]
    # files store the first byte first: `astype` turns them
    np.copyto(to, piece.astype(np.int16, copy=False).view(np.uint16) ^ SIGN if unsigned else piece, casting="unsafe")
    for kind, operand in zip(kinds.tolist(), operands, strict=True):
        UFUNCS[kind](to, operand, out=to)
