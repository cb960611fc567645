"""`bayer_planes`: raw frames of a colour camera as three stacks, one for each colour."""

from __future__ import annotations

import xarray as xr

from xccd.labels.apply import per_variable
from xccd.labels.choices import Pattern
from xccd.labels.flags import not_taken, science_variables
from xccd.labels.frames import add_history, check_stack, step_text
from xccd.verbs.bayer_pattern import colours_of
from xccd.verbs.mask import mask_where

COLOURS = {"red": "R", "green": "G", "blue": "B"}


def bayer_planes(stack: xr.DataArray | xr.Dataset, pattern: Pattern | None = None) -> xr.DataTree:
    """Split raw frames of a colour camera into three stacks, each with the pixels of one colour and all others masked.

    ``align(method="drizzle")`` then makes three images of full resolution, without values between the pixels of a
    colour that no pixel has seen.

    Parameters
    ----------
    stack : DataArray or Dataset
        Raw frames (frame, y, x), not aligned. Of a Dataset, every variable that has ``frame``.
    pattern : {"RGGB", "BGGR", "GRBG", "GBRG"}, optional
        The colours of the first 2 x 2 pixels of a file as they are stored, row by row. Default: BAYERPAT of the
        headers, moved by XBAYROFF and YBAYROFF. A crop of the stack keeps the colours of its pixels.

    Returns
    -------
    DataTree
        Nodes ``red``, ``green`` and ``blue``, each a Dataset with the stack as ``data``, or as the variables of the
        Dataset. Masked pixels are NaN, in a flagged Dataset they have the flag 1. Lazy if the stack is.

    Raises
    ------
    ValueError
        A frame has no BAYERPAT, or an unknown one; BAYERPAT or ROWORDER differ between frames; the frames are aligned
        already; ``pattern`` is unknown. Also ROWORDER = 'BOTTOM-UP' with an even count of rows: programs disagree
        whether BAYERPAT then begins with the first stored row or with the last.
    TypeError
        ``stack`` is not a DataArray or a Dataset.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stack = xccd.open_stack([(np.arange(8.0).reshape(2, 4), {"BAYERPAT": "RGGB"})])
    >>> planes = stack.ccd.bayer_planes()
    >>> list(planes.children)
    ['red', 'green', 'blue']
    >>> planes["green"]["data"].values.tolist()
    [[[nan, 1.0, nan, 3.0], [4.0, nan, 6.0, nan]]]
    """
    if not isinstance(stack, xr.DataArray | xr.Dataset):
        raise not_taken("bayer_planes()", stack, "bayer_planes takes a DataArray or a Dataset, not")
    ds = stack.to_dataset(name=stack.name or "data") if isinstance(stack, xr.DataArray) else stack
    first = ds[science_variables(ds, "frame")[0]]
    check_stack(first, "frame", fixed=True)
    if set(first.dims) != {"frame", "y", "x"}:
        raise ValueError(f"bayer_planes takes frames (frame, y, x), this stack has {dict(first.sizes)}")
    colours = colours_of(first, pattern)
    return xr.DataTree.from_dict({name: _of_colour(ds, colours != letter, name) for name, letter in COLOURS.items()})


@per_variable
def _of_colour(stack: xr.DataArray, others: xr.DataArray, name: str) -> xr.DataArray:
    masked = mask_where(stack, others)
    masked.attrs = dict(stack.attrs)  # without the step of `mask_where`, which does not say the colour
    return add_history(masked, step_text("bayer_planes", colour=name))
