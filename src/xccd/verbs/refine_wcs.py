"""`refine_wcs`: frames whose WCS differ by a little, brought to one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, overload

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.headers import common, pixel_grid
from xccd.headers.texts import as_texts
from xccd.labels.apply import Image, Obj
from xccd.labels.choices import Reference
from xccd.labels.frames import add_history, step_text
from xccd.labels.nodes import has_frames, map_nodes
from xccd.labels.warn import warn
from xccd.sky.grid import Grid, grids_of
from xccd.sky.patterns import LEAST
from xccd.sky.placed import MATCHED, RESIDUAL
from xccd.sky.refine import Correction, corrected
from xccd.sky.similarity import spread
from xccd.sky.stars import Stars, typical
from xccd.verbs.star_lists import check_reference, names_of, sharpest, stacks_of, star_lists

ROUGH = 1.0  # pixels: a residual above it is doubtful
UNSURE = 0.1  # pixels: as the standard error of the fit at a corner of the frame


@overload
def refine_wcs(stack: Obj, *, reference: Reference = 0) -> Obj: ...
@overload
def refine_wcs(stack: Sequence[Image], *, reference: Reference = 0) -> list[Image]: ...
def refine_wcs(stack: Any, *, reference: Reference = 0) -> Any:
    """Correct the WCS of frames by shift, turn and scale, so that their stars agree. Reads the frames at once.

    A camera's WCS is often off by some pixels and hundredths of a degree. Stars are matched near where the WCS says.
    Correct all frames to one of them; the sky of that one is taken as it is.

    Parameters
    ----------
    stack : DataArray, Dataset, DataTree, or a list of DataArrays or Datasets
        Frames (frame, y, x), each with a WCS, not aligned yet.
    reference : int or "best", default: 0
        The frame whose WCS stays. "best" is the one with the narrowest stars, as in `find_transforms`.

    Returns
    -------
    DataArray, Dataset, DataTree or list
        The same samples, lazy if they were, with new coordinates on ``frame``: ``solved_wcs``, the cards of the
        corrected WCS, which `header`, `wcs`, `align` and products use; ``residual``, the root mean square of the
        distances of matched stars from their places, in pixels; ``stars_matched``, their count. The coordinate
        ``header`` keeps the file's text.

    Raises
    ------
    ValueError
        A frame has no WCS that can be used, or is aligned already; the reference does not exist or has fewer than 6
        stars.
    TypeError
        ``stack`` is not a stack.
    ImportError
        sep is not installed.

    Warns
    -----
    UserWarning
        A frame has fewer than 6 stars in common with the reference, or no more than by chance: its WCS stays. The
        residual is above 1 pixel, or the stars leave a corner unsure by more than 0.1 pixel.

    Notes
    -----
    The differences between stars of the frame and places of the reference's stars by both WCS vote for a shift. A
    similarity is fitted to the pairs by weighted least squares, without stars that are off by more than four standard
    deviations. CRPIX and CD take it up, so the projection and its distortions stay. What is at the same pixel in both
    frames is no star where the WCS say that the frames moved.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> x, y, peak = rng.uniform(8, 112, (2, 20)).tolist() + [rng.uniform(200, 2000, 20)]
    >>> v, u = np.mgrid[:120, :120]
    >>> image = sum(p * np.exp(-((u - a) ** 2 + (v - b) ** 2) / 4) for a, b, p in zip(x, y, peak))
    >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
    ...          "CRPIX2": 60.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    >>> image = image + rng.normal(100, 3, image.shape)
    >>> frames = [(image[:, :100], cards | {"CRPIX1": 60.0}), (image[:, 12:112], cards | {"CRPIX1": 50.0})]
    >>> refined = xccd.open_stack(frames).ccd.refine_wcs()
    >>> [round(float(refined.ccd.wcs(i).wcs.crpix[0]), 1) for i in range(2)]
    [60.0, 48.0]
    """
    if isinstance(stack, xr.DataTree):
        what = "a variable with the dimension 'frame'"
        return map_nodes(partial(refine_wcs, reference=reference), stack, has_frames, what)
    stacks = stacks_of("refine_wcs", stack)
    names = names_of(stacks)
    check_reference(reference, len(names))
    if any(common.ALIGNED_TO in one.coords for one in stacks):
        raise ValueError("refine_wcs takes frames that are not aligned yet: refine them first, then align")
    for one in stacks:
        check_no_sky(one)
    grids = [grid for one in stacks for grid in grids_of(one)]
    if any(grid.tables for grid in grids):
        raise ValueError(
            "refine_wcs: the WCS is distorted by a table, which belongs to its pixels: it cannot be moved. "
            "align(transforms='similarity') goes by the stars alone"
        )
    every = star_lists(stacks)
    lists = [typical(stars) for stars in every]
    base = sharpest(lists) if isinstance(reference, str) else int(reference) % len(names)
    if len(lists[base]) < LEAST and len(names) > 1:
        few = f"{names[base]} shows {len(lists[base])} star(s), {LEAST} are needed: choose another frame"
        raise ValueError(f"reference={reference!r}: {few}")
    numbers = progress.over(range(len(names)), "match stars", len(names), "frames")
    tried = [None if i == base else _corrected(grids, every, i, base) for i in numbers]
    _doubt(tried, names, base, [grid.shape for grid in grids])
    found = [one if isinstance(one, Correction) else None for one in tried]
    ends = np.cumsum([one.sizes["frame"] for one in stacks]).tolist()
    step = step_text("refine_wcs", reference=base)
    done = []
    stars = [len(lists[base]) if i == base else 0 for i in range(len(names))]
    for given, one, end in zip(stack if isinstance(stack, list | tuple) else [stack], stacks, ends, strict=True):
        part = slice(end - one.sizes["frame"], end)
        done.append(_with_labels(given, one, found[part], stars[part], step))
    return done if isinstance(stack, list | tuple) else done[0]


def _corrected(grids: list[Grid], lists: list[Stars], i: int, base: int) -> Correction | str:
    return corrected(grids[i], lists[i], grids[base], lists[base])


def _doubt(
    found: list[Correction | str | None], names: list[str], base: int, shapes: list[tuple[int, int]]
) -> None:  # fmt: skip
    """Warn of frames that keep their WCS, of large residuals, and of stars that leave a corner unsure."""
    lost = {i: f"{one} Its WCS stays as it is" for i, one in enumerate(found) if isinstance(one, str)}
    rough = {
        i: f"a residual of {one.fit.residual:.2g} pixels: its distortions are not those of {{}}"
        for i, one in enumerate(found) if isinstance(one, Correction) and one.fit.residual > ROUGH
    }  # fmt: skip
    unsure = {
        i: f"{len(one.fit)} stars that leave a corner unsure by {by:.2g} pixels, matched with {{}}: look at it"
        for i, one in enumerate(found)
        if isinstance(one, Correction) and i not in rough and (by := spread(one.fit, shapes[i])) > UNSURE
    }
    for those in (lost, rough, unsure):
        for i in list(those)[:1]:
            more = f" (and {len(those) - 1} more)" if len(those) > 1 else ""
            warn(f"refine_wcs: {names[i]}{more} has {those[i].format(names[base])}")


def _with_labels(
    given: Any, stack: xr.DataArray, found: list[Correction | None], stars: list[int], step: str
) -> Any:  # fmt: skip
    """The object with the corrected WCS and the residuals as coordinates. ``stars``: of the reference, else 0."""
    old = stack.coords[common.SOLVED].values.tolist() if common.SOLVED in stack.coords else [""] * len(found)
    rows = []
    for i, (one, was, own) in enumerate(zip(found, old, stars, strict=True)):
        if one is None:
            rows.append((was, 0.0 if own else np.nan, own))
        else:
            rows.append((text_in_file(stack.isel(frame=i), one.grid), one.fit.residual, len(one.fit)))
    texts, residuals, counts = zip(*rows, strict=True)
    labels = {
        **noted(stack),
        common.SOLVED: ("frame", as_texts(texts)),
        "residual": ("frame", np.array(residuals), RESIDUAL),
        "stars_matched": ("frame", np.array(counts), MATCHED),
    }
    return with_step(given.assign_coords(labels), stack.name, step)


def noted(obj: xr.DataArray) -> dict[Any, Any]:
    """The pixel coordinates with a note on `SOLVED`: if arithmetic drops that label there is no WCS, not the file's."""
    found = {d: obj.coords[d].variable.copy() for d in ("y", "x") if d in obj.coords and d in obj.dims}
    for variable in found.values():
        variable.attrs[common.BY_LABEL] = common.SOLVED
    return found


def check_no_sky(obj: xr.DataArray) -> None:
    """Raise if the sky positions of the pixels are coordinates: they would be those of the old WCS."""
    if old := [k for k in ("ra", "dec") if k in obj.coords and set(obj.coords[k].dims) == {"y", "x"}]:
        raise ValueError(f"the coordinates {', '.join(old)} are of the old WCS: leave them out with drop_vars({old})")


def with_step(obj: Any, name: Any, step: str) -> Any:
    """A step in the history of a DataArray, or of a variable of a Dataset."""
    if isinstance(obj, xr.Dataset):
        return obj.assign({name: add_history(obj[name], step)})
    return add_history(obj, step)


def text_in_file(frame: xr.DataArray, grid: Grid) -> str:
    """The cards of a grid of the present pixels, for all pixels of the file."""
    text = common.text_of(frame) or ""
    moved = pixel_grid.moves(frame, text)
    if any(step != 1 for _, step in moved.values()):
        raise ValueError("the frames are taken with a stride: give a WCS to all pixels, and take the stride afterwards")
    rows, columns = (int(moved.get(axis, (0, 1))[0]) for axis in (2, 1))
    return grid.moved(-rows, -columns, grid.shape).text
