"""`open_frames`: files of different shapes as a list of stacks, for `align`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import xarray as xr

from xccd.labels.choices import RowOrder
from xccd.read.images.chips import HDUNames, Wanted
from xccd.read.images.sources import frames
from xccd.read.settled import Errors, settled
from xccd.read.stack import agreed, stack_of


def open_frames(
    files: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | str | None = None,
    dtype: Any = None,
    units: Any = None,
    flip: RowOrder = False,
    errors: Errors = "raise",
) -> list[xr.DataArray]:
    """Open FITS images whose shapes may differ, as stacks for `align`.

    Parameters
    ----------
    files, hdu, mask_hdu, bits, chunks, memory, keywords, dtype, units, flip
        As for `open_stack`.
    errors : "raise", "skip" or "nan", default: "raise"
        As for `open_stack`, but frames of any shape go. A frame of NaN has the shape in its header, or, if that could
        not be read, that of the frame before it.

    Returns
    -------
    list of DataArray
        The frames in their order (with ``hdu="all"`` the chips of each file): one stack for each run of frames with
        the same shape.

    Raises
    ------
    OSError, ValueError, TypeError
        As `open_stack`.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stacks = xccd.open_frames([(np.zeros((2, 3)), {}), (np.zeros((2, 3)), {}), (np.zeros((4, 3)), {})])
    >>> [stack.shape for stack in stacks]
    [(2, 2, 3), (1, 4, 3)]
    """
    every = frames(files, hdu, mask_hdu, bits=bits, flip=flip, errors=errors)
    found, told = settled(every, errors, "open_frames", one_shape=False)
    good = [frame for frame in found if not frame.problem]
    unit = agreed([frame.name for frame in good], [frame.header for frame in good], units)
    groups = [list(same) for _, same in groupby(found, key=lambda frame: frame.pixels.shape)]
    return [
        stack_of(
            group, chunks=chunks, memory=memory, keywords=keywords, keep_headers=True, dtype=dtype, units=unit or None,
            told=told,
        )
        for group in groups
    ]  # fmt: skip
