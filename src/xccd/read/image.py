"""`open_image`: one file as an image in the form that `combine` gives, ready for arithmetic with a stack."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from xccd.compute import notes
from xccd.headers import common
from xccd.headers.texts import as_texts
from xccd.labels.lazy import array_of
from xccd.read.images.chips import HDUNames, Wanted
from xccd.read.images.sources import frames
from xccd.read.stack import stack_of


def open_image(
    file: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    chunks: Any = None,
    dtype: Any = None,
    units: Any = None,
    flip: bool | str = False,
) -> xr.DataArray:
    """Open one FITS image, as a master frame.

    The image shares no coordinate name with a stack. ``open_stack(file)[0]`` does (EXPTIME, header, ...), and in
    ``stack - image`` xarray drops coordinates with the same name and different values, from the stack too.

    Parameters
    ----------
    file : path, CCDData, HDUList or (array, header)
        One image, as `open_stack` takes them.
    hdu, mask_hdu, bits, dtype, units
        As in `open_stack`.
    flip : bool, "TOP-DOWN" or "BOTTOM-UP", default: False
        Turn the image upside down if its ROWORDER is not the one given, for example that of the stack.
    chunks : None, "auto", int, tuple or dict, optional
        ``None`` reads the image now; the rest as in `open_stack`.

    Returns
    -------
    DataArray
        Dimensions ``(y, x)``. Keywords are attributes; the header is the scalar coordinate that `combine` writes too,
        so that `header`, `wcs` and `to_fits` work.

    Raises
    ------
    OSError, TypeError
        As `open_stack`.
    ValueError
        If ``file`` gives more than one image.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> raw = xccd.open_stack([(np.full((2, 3), 1100.0), {"EXPTIME": 30.0, "OBJECT": "M 51"})])
    >>> bias = xccd.open_image((np.full((2, 3), 1000.0), {"EXPTIME": 0.0, "OBJECT": "bias"}))
    >>> (raw - bias).OBJECT.values.tolist(), bias.attrs["OBJECT"]
    (['M 51'], 'bias')
    """
    found = frames(file, hdu, mask_hdu, bits=bits, flip=flip)
    if len(found) != 1:
        raise ValueError(f"file={file!r} stands for {len(found)} images: open_stack opens many")
    stack = stack_of(
        found, chunks=chunks, memory=None, keywords=None, keep_headers=True, dtype=dtype, units=units
    )  # fmt: skip
    text = str(stack.coords["header"].values.item())
    along = [k for k, c in stack.coords.items() if "frame" in c.dims]
    image = stack.isel(frame=0).drop_vars(along).assign_coords({common.COMBINED: as_texts(text)})
    if chunks is None:
        notes.mark_image(array_of(image.load()), text)
    if isinstance(file, str | os.PathLike):
        image.encoding["source"] = found[0].file  # as xarray's own openers; calibration writes its name into products
    return image
