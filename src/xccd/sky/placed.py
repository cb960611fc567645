"""Frames at the transforms of `find_transforms`, or at matrices of a user: their maps, and the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.sky import affine
from xccd.sky.carried import exactly_carried
from xccd.sky.grid import Grid, grids_of
from xccd.sky.pixel_map import PixelMap
from xccd.sky.similarity import inverse, product

Array = np.ndarray[Any, Any]
RESIDUAL = {"units": "pixel", "long_name": "root mean square of the distances of matched stars"}
MATCHED = {"long_name": "stars in common with the reference"}
LABELS = {"residual": RESIDUAL, "stars_matched": MATCHED}


@dataclass(frozen=True)
class Placed:
    """What `align` needs: a map and a source for each frame of each stack, the canvas, its WCS, and new labels."""

    maps: list[list[PixelMap]]
    sources: list[list[str]]
    shape: tuple[int, int]
    grid: Grid | None
    labels: dict[str, Any]


def placed(stacks: list[xr.DataArray], transforms: Any, to: Any) -> Placed:
    """Place the frames of stacks (frame, y, x) by their transforms to a reference frame.

    Parameters
    ----------
    stacks : list of DataArray
        Their frames are counted through.
    transforms : Dataset or array-like (frame, 2, 3)
        From `find_transforms`, or matrices from a frame's pixels (x, y, 1), counted from 0, to the reference's.
    to : None, "union", "intersection" or int
        The canvas.
    """
    shapes = [(one.sizes["y"], one.sizes["x"]) for one in stacks for _ in range(one.sizes["frame"])]
    matrices, reference = _matrices(stacks, transforms, shapes)
    window = affine.window_of(shapes, matrices, to)
    base = matrices[to] if isinstance(to, int | np.integer) else np.eye(2, 3)
    canvas = product(base, np.array([[1, 0, window.first[1]], [0, 1, window.first[0]]], float))
    back = [product(inverse(matrix), canvas) for matrix in matrices]
    maps = [affine.affine_map(shape, window.shape, matrix) for shape, matrix in zip(shapes, back, strict=True)]
    lines = [affine.lines_of(shape, matrix) for shape, matrix in zip(shapes, back, strict=True)]
    ends = np.cumsum([one.sizes["frame"] for one in stacks]).tolist()
    parts = [slice(end - one.sizes["frame"], end) for one, end in zip(stacks, ends, strict=True)]
    labels = {
        k: ("frame", transforms[k].values, attrs) for k, attrs in LABELS.items()
        if isinstance(transforms, xr.Dataset) and k in transforms
    }  # fmt: skip
    grid = None if reference is None else _grid(stacks, reference, canvas, window.shape)
    return Placed([maps[p] for p in parts], [lines[p] for p in parts], window.shape, grid, labels)


def model_of(transforms: Any) -> str:
    """The transforms as a text for the history."""
    return str(transforms.attrs.get("model", "")) if isinstance(transforms, xr.Dataset) else "matrices"


def _matrices(stacks: list[xr.DataArray], given: Any, shapes: list[tuple[int, int]]) -> tuple[Array, int | None]:
    """A matrix for each frame, and the number of the reference frame if there is one."""
    n = len(shapes)
    if isinstance(given, xr.Dataset):
        if "matrix" not in given:
            raise ValueError(
                "transforms= is a Dataset without the variable 'matrix': give what find_transforms returns"
            )
        _check_frames(stacks, given, shapes)
        given = given.matrix.values
    try:
        matrices = np.asarray(given, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"transforms={given!r} are no matrices: give a model's name, what find_transforms returns, or "
            "matrices (frames, 2, 3)"
        ) from None
    if matrices.shape != (n, 2, 3):
        raise ValueError(f"transforms has shape {matrices.shape}: give a matrix (2, 3) for each of {n} frames")
    with np.errstate(all="ignore"):
        usable = np.isfinite(matrices).all((1, 2)) & (np.abs(np.linalg.det(np.nan_to_num(matrices[:, :, :2]))) > 1e-8)
    if not usable.all():
        bad = int(np.flatnonzero(~usable)[0])
        raise ValueError(f"transforms of frame {bad} are {matrices[bad].tolist()}: they cannot be turned round")
    # its number in the attributes may be that of a longer stack
    same = np.flatnonzero((matrices == np.eye(2, 3)).all((1, 2)))
    return matrices, int(same[0]) if same.size else None


def _check_frames(stacks: list[xr.DataArray], found: xr.Dataset, shapes: list[tuple[int, int]]) -> None:
    """Raise if the transforms were found for other frames, or other pixels of them."""
    again = "find them again, or select the same frames of both with isel(frame=...)"
    n = found.sizes.get("frame")
    if n != len(shapes):
        raise ValueError(f"transforms= are of {n} frames, there are {len(shapes)}: {again}")
    files = [str(v) for one in stacks if _has_files(one) for v in one.coords["file"].values.tolist()]
    theirs = [str(v) for v in found.coords["file"].values.tolist()] if "file" in found.coords else []
    odd = [i for i, (a, b) in enumerate(zip(files, theirs, strict=False)) if a != b]
    if odd and len(files) == len(theirs):
        raise ValueError(
            f"transforms= of frame {odd[0]} are of {theirs[odd[0]]}, the frame is {files[odd[0]]}: {again}"
        )
    now = np.concatenate([np.array(shapes), [first for one in stacks for first in firsts(one)]], axis=1)
    if not {"shape", "first"} <= set(found.data_vars):
        return
    then = np.concatenate([found["shape"].values, found["first"].values], axis=1)
    if odd := np.flatnonzero((now != then).any(axis=1)).tolist():
        i = odd[0]
        raise ValueError(
            f"transforms= of frame {i} are of {then[i, 0]:g} x {then[i, 1]:g} pixels from ({then[i, 2]:g}, "
            f"{then[i, 3]:g}), the frame has {now[i, 0]:g} x {now[i, 1]:g} from ({now[i, 2]:g}, {now[i, 3]:g}): "
            "find them again after a crop"
        )


def _has_files(stack: xr.DataArray) -> bool:
    return "file" in stack.coords and stack.coords["file"].dims == ("frame",)


def firsts(stack: xr.DataArray) -> list[tuple[float, float]]:
    """The pixel numbers (row, column) at which the frames begin, one pair for each; 0 without numbers."""
    at = [stack.coords[d].values[0] if d in stack.coords else 0.0 for d in ("y", "x")]
    y, x = (float(v) if isinstance(v, int | float | np.number) else 0.0 for v in at)
    return [(y, x)] * stack.sizes["frame"]


def _grid(stacks: list[xr.DataArray], reference: int, canvas: Array, shape: tuple[int, int]) -> Grid | None:
    """The WCS of the reference frame on the canvas; None if it has none, or one that a matrix cannot carry."""
    for one in stacks:
        if reference < one.sizes["frame"]:
            frame = one.isel(frame=slice(reference, reference + 1))
            texts = common.texts(frame, "frame")
            if not texts or cards.card_value(texts[0], "CTYPE1") is None:
                return None
            return exactly_carried(grids_of(frame)[0], canvas, shape)
        reference -= one.sizes["frame"]
    return None
