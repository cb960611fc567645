"""`grow` and `large_structures`: rejections widened to their neighbours in the same frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.neighbours import map_whole_frames, map_with_neighbours
from xccd.kernels.flags import Flag
from xccd.labels.apply import per_variable
from xccd.labels.flags import flags_of
from xccd.labels.frames import check_stack, frames_first, step_text
from xccd.messages import is_number, is_whole
from xccd.verbs.marked import MARKS, image_axes, marked
from xccd.verbs.weights import matched

REJECTED = np.uint8(Flag.REJECTED_LOW | Flag.REJECTED_HIGH)  # input masks and limits do not grow


@per_variable
def grow(
    stack: xr.DataArray, radius: float = 1, *, original: xr.DataArray | None = None, dim: Hashable = "frame"
) -> xr.DataArray:  # fmt: skip
    """Reject the neighbours of rejected samples, each in its own frame.

    A cosmic ray or a trail has faint edges that a clip leaves. Samples within ``radius`` pixels of a rejected one are
    rejected, too. What was masked on input, or by `minmax`, does not grow.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``, after a clip.
    radius : float, default: 1
        In pixels, 0 or more: pixels at (i, j) with i^2 + j^2 <= radius^2. 1 adds four neighbours, 1.5 all eight.
    original : DataArray, optional
        For a DataArray: the stack before the clip. What is NaN since then was rejected. A flagged Dataset knows.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, grown samples NaN. In a flagged Dataset they get the flag 64.

    Raises
    ------
    ValueError
        A radius that is negative or not finite, no ``original`` for a DataArray, an ``original`` of another shape, or
        a stack without the dimensions y and x.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray(np.ones((5, 3, 4)), dims=("frame", "y", "x"))
    >>> stack[2, 1, 1] = 90
    >>> grown = stack.where(stack < 50).ccd.grow(1, original=stack)
    >>> grown[2].isnull().values.astype(int).tolist()
    [[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]]
    """
    _check_number("radius", radius, 0)
    run = partial(grown, radius=float(radius))
    text = step_text("grow", radius=radius)
    return _widened(stack, original, dim, run, text, reach=math.floor(radius))


@per_variable
def large_structures(
    stack: xr.DataArray,
    radius: float = 2,
    *,
    least: int = 50,
    gap: float = 1.5,
    original: xr.DataArray | None = None,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Reject the neighbours of large rejected structures: trails of satellites and planes, ghosts.

    Rejected samples of a frame that lie within ``gap`` of each other are one structure. Structures of ``least`` samples
    or more are widened by ``radius``. Smaller ones, as cosmic rays, stay as they are.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``, after a clip.
    radius : float, default: 2
        In pixels, as in `grow`.
    least : int, default: 50
        The rejected samples that make a structure large.
    gap : float, default: 1.5
        In pixels: the distance that connects rejected samples. 1.5 are all eight neighbours.
    original : DataArray, optional
        For a DataArray: the stack before the clip, as in `grow`.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, grown samples NaN. In a flagged Dataset they get the flag 64.

    Raises
    ------
    ValueError
        A radius, a gap or a count below its least value, and as in `grow`.
    ImportError
        SciPy is not installed.

    Notes
    -----
    Whole frames are needed at once: chunks of dask are joined in y and x, and a stack opened with ``chunks=None`` keeps
    its flags in memory, one byte a sample.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray(np.ones((5, 4, 60)), dims=("frame", "y", "x"))
    >>> stack[2, 1, :] = 90  # a trail
    >>> stack[3, 3, 30] = 90  # a cosmic ray
    >>> rejected = stack.where(stack < 50)
    >>> rejected.ccd.large_structures(1, original=stack).isnull().sum(("y", "x")).values.tolist()
    [0, 0, 180, 1, 0]
    """
    _check_number("radius", radius, 0)
    _check_number("gap", gap, 1)
    if not (is_whole(least) and least >= 1):
        raise ValueError(f"least={least!r} is not a whole number of 1 or more")
    try:
        import scipy.spatial  # noqa: F401
    except ImportError as error:
        raise ImportError("large_structures needs SciPy: pip install 'xccd[offsets]' or conda install scipy") from error
    run = partial(grown_if_large, radius=float(radius), least=int(least), gap=float(gap))
    text = step_text("large_structures", radius=radius, least=least, gap=gap)
    return _widened(stack, original, dim, run, text, reach=None)


def _check_number(argument: str, value: Any, least: float) -> None:
    if not (is_number(value) and least <= value < math.inf):
        raise ValueError(f"{argument}={value!r} is not a finite number of {least} or more pixels")


def _widened(
    stack: xr.DataArray, original: Any, dim: Hashable, run: Callable[[Any], Any], text: str, *, reach: int | None
) -> xr.DataArray:  # fmt: skip
    """The stack with what ``run`` adds to its flags; ``reach`` is how far it looks, None: over whole frames."""
    check_stack(stack, dim)
    axes, own = image_axes(stack, dim), flags_of(stack)
    bits = frames_first(own, dim) if own is not None else _rejected_since(stack, original, dim)
    on_axes = partial(_on_axes, run=run, axes=tuple(axes))
    if reach is None or reach >= max(bits.shape[axis] for axis in axes):
        marks = map_whole_frames(on_axes, bits, axes=axes, dtype=MARKS)
    else:
        marks = map_with_neighbours(on_axes, bits, axes=axes, reach=reach, dtype=MARKS)
    return marked(stack, dim, marks, text)


def _rejected_since(stack: xr.DataArray, original: Any, dim: Hashable) -> Any:
    """Flags of a stack without flags: what is NaN, and was a number in ``original``."""
    if not isinstance(original, xr.DataArray):
        raise ValueError(
            "this stack does not say what was rejected, and what was missing before: give original=, the stack before "
            "the clip, or use a flagged Dataset, stack.ccd.to_dataset()"
        )
    if set(original.dims) != set(stack.dims):
        raise ValueError(f"original= has {dict(original.sizes)}, the stack {dict(stack.sizes)}: give the same frames")
    before = matched("original", original, stack, dim).transpose(*stack.dims)
    return arrays.map_elementwise(_flags_since, frames_first(stack, dim), frames_first(before, dim), dtype=MARKS)


def _flags_since(now: Any, before: Any) -> Any:
    return np.where(~np.isfinite(now) & np.isfinite(before), REJECTED, np.uint8(0))


def _on_axes(bits: Any, *, run: Callable[[Any], Any], axes: tuple[int, ...]) -> Any:
    """The flag of grown samples where ``run`` finds them, from the flags of images along two axes."""
    marks = np.zeros_like(bits)
    seeds, found = (np.moveaxis(a, axes, (-2, -1)) for a in (bits & REJECTED, marks))
    for index in np.ndindex(seeds.shape[:-2]):
        found[index][run(seeds[index] != 0)] = Flag.GROWN
    return marks


def grown(seeds: Any, radius: float) -> Any:
    """Where a pixel is within ``radius`` of a seed (y, x), booleans."""
    rows, columns = seeds.shape
    above, aside = min(int(radius), rows), min(int(radius), columns)  # no seed is farther
    edges = np.zeros((rows + 2 * above, columns + 2 * aside + 1), np.int32)
    y, x = np.nonzero(seeds)
    flat, width = edges.ravel(), edges.shape[1]
    at = (y + above) * width + x + aside
    # A row of the disc is a run of pixels. Its ends are marked for all seeds at once, and the sum along a row of the
    # image counts the runs that cover a pixel. Of 1024^2 with 5 % of seeds, radius 2 takes 5 ms and radius 20 18.
    for i in range(-above, above + 1):
        half = _half_width(radius, i, aside)
        flat[at + (i * width - half)] += 1
        flat[at + (i * width + half + 1)] -= 1
    counts = np.cumsum(edges[above : above + rows, : aside + columns], axis=1, dtype=np.int32)
    return counts[:, aside:] > 0


def _half_width(radius: float, i: int, most: int) -> int:
    """The largest j up to ``most`` with i^2 + j^2 <= radius^2."""
    square = radius * radius
    j = int(min(math.sqrt(square - i * i), most)) if square < math.inf else most
    return j if i * i + j * j <= square else j - 1


def grown_if_large(seeds: Any, radius: float, least: int, gap: float) -> Any:
    """Where a pixel is within ``radius`` of a structure of ``least`` seeds or more, booleans."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    places = np.argwhere(seeds)
    large = np.zeros(seeds.shape, bool)
    if len(places) >= least:
        # Pairs of seeds, not pixels: distances are exact, and 5 % of seeds take 26 ms for 1024^2.
        one, other = cKDTree(places).query_pairs(gap, output_type="ndarray").T
        near = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(len(places),) * 2)
        count, labels = connected_components(near, directed=False)
        kept = places[(np.bincount(labels, minlength=count) >= least)[labels]]
        large[kept[:, 0], kept[:, 1]] = True
    return grown(large, radius)
