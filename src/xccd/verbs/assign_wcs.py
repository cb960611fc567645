"""`assign_wcs`: a WCS for frames or an image, from a plate solver or any other source."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.texts import as_texts
from xccd.labels.apply import Image
from xccd.labels.flags import not_taken, science_variable, with_maps
from xccd.labels.frames import frame_names, step_text, unflagged
from xccd.messages import called
from xccd.sky import distortion
from xccd.sky.grid import Grid
from xccd.sky.grid_text import grid_header_text
from xccd.verbs.refine_wcs import check_no_sky, noted, text_in_file, with_step

SIZES = ("IMAGEW", "IMAGEH"), ("NAXIS1", "NAXIS2")  # astrometry.net's solution has no pixels, and the first two


def assign_wcs(obj: Image, wcs: Any) -> Image:
    """Give a WCS to the frames of a stack, or to an image. A function is called with each frame at once.

    This is the place for a plate solver: a function that takes a frame and returns its WCS.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack (frame, y, x), one frame of it, or a combined image.
    wcs : WCS, Header, dict of cards, Grid, path, a list of these, or a function
        For the pixels that ``obj`` has now. A list has one for each frame. A function is called as ``wcs(frame)`` with
        each frame, a DataArray (y, x) with its labels, masked pixels NaN, and returns one of the others. A path is a
        FITS file with a WCS in a header, as solvers write it.

    Returns
    -------
    DataArray or Dataset
        The same samples, lazy if they were. Frames have the cards in the new coordinate ``solved_wcs``, which `header`,
        `wcs`, `align` and products use in place of the file's; ``header`` keeps the file's text. Frames that are
        aligned to a grid share one WCS, in ``aligned_to``. A combined image has the cards in its own header.

    Raises
    ------
    ValueError
        A WCS is not celestial, singular or absurd, or of an image of another size; a list has another length; there is
        no header that can have a WCS; frames are taken with a stride, or aligned and given several WCS.
    TypeError
        ``obj`` is not a DataArray or a Dataset, or ``wcs`` has no WCS.
    OSError
        A path cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stack = xccd.open_stack([(np.zeros((40, 60)), {"OBJECT": "M 51"})])
    >>> def solve(frame):
    ...     return {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 202.47, "CRVAL2": 47.195,
    ...             "CRPIX1": 30.5, "CRPIX2": 20.5, "CDELT1": -1e-3, "CDELT2": 1e-3}
    >>> solved = stack.ccd.assign_wcs(solve)
    >>> solved.ccd.wcs(0).wcs.crval.tolist(), solved.ccd.header(0)["OBJECT"]
    ([202.47, 47.195], 'M 51')
    """
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise not_taken("assign_wcs(wcs)", obj, "assign_wcs takes a DataArray or a Dataset, not")
    image = with_maps(obj, science_variable(obj)) if isinstance(obj, xr.Dataset) else obj
    stack = "frame" in image.dims
    if set(image.dims) != {"y", "x"} | ({"frame"} if stack else set()):
        raise ValueError(f"assign_wcs takes frames (frame, y, x) or an image (y, x), this has {dict(image.sizes)}")
    if not (common.texts(image, "frame") if stack else common.text_of(image)):
        raise ValueError(
            "assign_wcs: there is no header to hold a WCS. open_stack and open_image keep headers; "
            "open_stack([(array, {})]) makes one for an array"
        )
    check_no_sky(image)
    frames = [image.isel(frame=i) for i in range(image.sizes["frame"])] if stack else [image]
    names = frame_names(image, "frame") if stack else ["the image"]
    made = obj.assign_coords(_labels(image, frames, _grids(wcs, frames, names)))
    step = step_text("assign_wcs", wcs=called(wcs) if callable(wcs) else type(wcs).__name__)
    return cast("Image", with_step(made, image.name, step))


def _grids(wcs: Any, frames: list[xr.DataArray], names: list[str]) -> list[Grid]:
    """The grid of each frame, for its present pixels."""
    if isinstance(wcs, list | tuple):
        if len(wcs) != len(frames):
            raise ValueError(f"wcs has {len(wcs)} entries for {len(frames)} frames: give one for each")
        given = list(wcs)
    elif callable(wcs):
        given = [_solved(wcs, frame, name) for frame, name in zip(frames, names, strict=True)]
    else:
        given = [wcs] * len(frames)
    found = []
    for one, frame, name in zip(given, frames, names, strict=True):
        try:
            found.append(_grid(one, (frame.sizes["y"], frame.sizes["x"])))
        except (TypeError, ValueError) as error:
            raise type(error)(f"the WCS for {name} cannot be used: {error}") from error
    return found


def _solved(function: Callable[[xr.DataArray], Any], frame: xr.DataArray, name: str) -> Any:
    try:
        found = function(unflagged(frame))
    except Exception as error:
        error.add_note(f"wcs={called(function)} raised this for {name}")
        raise
    if found is None:
        raise ValueError(f"wcs={called(function)} returned None for {name}: leave it out, or return a WCS or a Header")
    return found


def _grid(given: Any, shape: tuple[int, int]) -> Grid:
    """The grid of a WCS; ValueError if it says that it is of an image of another size."""
    size = getattr(given, "shape", None) if isinstance(given, Grid) else getattr(given, "array_shape", None)
    if size is None and not isinstance(given, Grid) and not hasattr(given, "to_header"):
        size = _size(distortion.header_of(given) if isinstance(given, str | os.PathLike) else _text(given))
    if size is not None and tuple(size) != shape:
        raise ValueError(
            f"it is of {size[0]} x {size[1]} pixels (rows, columns), the frame has {shape[0]} x {shape[1]}"
        )
    grid = Grid.of(given, shape=shape)
    if grid.tables:
        raise ValueError("it is distorted by tables, which a header cannot hold")
    return grid


def _text(given: Any) -> str:
    return grid_header_text(given) if hasattr(given, "cards") or isinstance(given, dict) else ""


def _size(text: str) -> tuple[int, int] | None:
    for keywords in SIZES:
        columns, rows = (cards.as_number(cards.card_value(text, k)) for k in keywords)
        if columns >= 1 and rows >= 1:
            return int(rows), int(columns)
    return None


def _labels(image: xr.DataArray, frames: list[xr.DataArray], grids: list[Grid]) -> dict[str, Any]:
    """The coordinate that holds the cards: of the grid of aligned frames, of an image's header, or of each frame."""
    texts = [text_in_file(frame, grid) for frame, grid in zip(frames, grids, strict=True)]
    if common.ALIGNED_TO in image.coords:
        if len(set(texts)) > 1:
            raise ValueError(
                f"these frames are aligned to one grid, and there are {len(set(texts))} WCS for them: give one, "
                "as that of their mean"
            )
        label = image.coords[common.ALIGNED_TO]
        new = [common.with_wcs(str(old), texts[0]) for old in np.ravel(label.values).tolist()]
        return {common.ALIGNED_TO: (label.dims, as_texts(new).reshape(label.shape))}
    if "header" not in image.coords:
        text = common.with_wcs(str(image.coords[common.COMBINED].values.item()), texts[0])
        return {common.COMBINED: as_texts(text)}
    if "frame" in image.dims:
        return {**noted(image), common.SOLVED: ("frame", as_texts(texts))}
    return {**noted(image), common.SOLVED: as_texts(texts[0])}
