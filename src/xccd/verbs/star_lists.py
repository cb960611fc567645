"""The stars of each frame of a stack, or of several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.labels.frames import check_stack, file_names, unflagged
from xccd.messages import is_whole, shown
from xccd.sky.patterns import LEAST
from xccd.sky.stars import Stars, find_stars
from xccd.verbs.channels import without_channels
from xccd.verbs.only_array import only_array

Array = np.ndarray[Any, Any]
GROUP_BYTES = 256 << 20  # of frames that are read together


def stacks_of(verb: str, given: Any) -> list[xr.DataArray]:
    """The stacks (frame, y, x) of a DataArray, a Dataset with one stack, or a list of these; of colours the mean."""
    items = list(given) if isinstance(given, list | tuple) else [given]
    found = []
    for item in items:
        item = only_array(verb, item, taken="a DataArray, a Dataset or a list of these")
        check_stack(item, "frame", fixed=True)
        item = without_channels(item)
        if set(item.dims) != {"frame", "y", "x"}:
            raise ValueError(f"{verb} takes frames (frame, y, x), this stack has {dict(item.sizes)}")
        found.append(item.transpose("frame", "y", "x"))
    if not found:
        raise ValueError(f"{verb} takes frames, an empty list has none")
    return found


def names_of(stacks: list[xr.DataArray]) -> list[str]:
    """The names of all frames in messages, counted through all stacks."""
    files = [file for one in stacks for file in file_names(one, "frame") or [""] * one.sizes["frame"]]
    return [f"frame {i} ({shown(file)})" if file else f"frame {i}" for i, file in enumerate(files)]


def star_lists(stacks: list[xr.DataArray]) -> list[Stars]:
    """All that is like a star in each frame, of any width, brightest first. Reads the frames.

    x and y are pixels of the array from 0.
    """
    frames = (frame for stack in stacks for frame in _frames(unflagged(stack)))
    count = sum(stack.sizes["frame"] for stack in stacks)
    return [find_stars(frame, every=True) for frame in progress.over(frames, "find stars", count, "frames")]


def _frames(stack: xr.DataArray) -> Iterator[Array]:
    n = stack.sizes["frame"]
    size = max(1, int(GROUP_BYTES // max(1, stack.nbytes // n)))
    for start in range(0, n, size):
        yield from stack[start : start + size].values


def sharpest(lists: list[Stars]) -> int:
    """The frame with the narrowest stars, among those with stars enough: half as many as the frames have."""
    counts = np.array([len(stars) for stars in lists])
    widths = np.array([np.median(stars.fwhm) if len(stars) else np.inf for stars in lists])
    enough = counts >= max(LEAST, np.median(counts) / 2)
    return int(np.argmin(np.where(enough, widths, np.inf)))


def check_reference(reference: Any, n: int) -> None:
    """Raise unless it is the number of a frame, or "best"."""
    if isinstance(reference, str) and reference == "best":
        return
    if not is_whole(reference) or not -n <= reference < n:
        raise ValueError(f"reference={reference!r}: the frames are 0 to {n - 1}, or give 'best' for the sharpest")
