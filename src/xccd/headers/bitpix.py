"""Which number a FITS file has for a dtype, and the zero of unsigned ones."""

from __future__ import annotations

from typing import Any

import numpy as np

BITPIX = {"u1": 8, "i2": 16, "u2": 16, "i4": 32, "u4": 32, "i8": 64, "u8": 64, "f4": -32, "f8": -64}
WIDER = {"b1": "u1", "i1": "i2", "f2": "f4"}  # for what FITS lacks


def in_file(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that a file gives back of an image of ``dtype``: its own, or the next wider one that FITS has."""
    code = WIDER.get(dtype.str[1:], dtype.str[1:])
    if code not in BITPIX:
        raise TypeError(f"an image of dtype {dtype} cannot be written to FITS: use .astype('float64')")
    return np.dtype(code)


def zero(dtype: np.dtype[Any]) -> int:
    """BZERO of a dtype: FITS has signed numbers only, but for those of 8 bits."""
    return 1 << (8 * dtype.itemsize - 1) if dtype.kind == "u" and dtype.itemsize > 1 else 0
