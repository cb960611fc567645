"""BITPIX and BZERO for a NumPy dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

BITPIX = {"u1": 8, "i2": 16, "u2": 16, "i4": 32, "u4": 32, "i8": 64, "u8": 64, "f4": -32, "f8": -64}
WIDER = {"b1": "u1", "i1": "i2", "f2": "f4"}  # dtypes that FITS lacks, and the next wider one


def in_file(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of an image of ``dtype`` in a file: its own, or the next wider one that FITS has."""
    code = WIDER.get(dtype.str[1:], dtype.str[1:])
    if code not in BITPIX:
        raise TypeError(f"an image of dtype {dtype} cannot be written to FITS: use .astype('float64')")
    return np.dtype(code)


def zero(dtype: np.dtype[Any]) -> int:
    """BZERO for a dtype: FITS integers are signed, except those of 8 bits."""
    return 1 << (8 * dtype.itemsize - 1) if dtype.kind == "u" and dtype.itemsize > 1 else 0
