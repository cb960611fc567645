"""The master in a tree that goes with frames: of their pixels, for flats of their filter, for darks of their time."""

from __future__ import annotations

import logging
from collections.abc import Hashable

import numpy as np
import xarray as xr

from xccd.headers.coords import number
from xccd.labels.flags import image_names, with_maps
from xccd.labels.nodes import NODE
from xccd.verbs.calibrate.keywords import (
    BINNING,
    differing,
    filter_of,
    filters_of,
    keywords_of_frames,
    kind_of_stack,
    number_of,
)

log = logging.getLogger("xccd")
SHOWN = 6  # nodes in a message
Found = dict[str, xr.DataArray]  # images by the path of their node


def picked(kind: str, tree: xr.DataTree, stack: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """The image of a kind ("bias", "dark", "flat") that goes with the frames; the log says which.

    Raises ValueError if none or several do.
    """
    found = _of_pixels(kind, _of_kind(kind, tree, dim), stack, dim)
    if kind == "flat":
        found = _of_filter(found, stack, dim)
    if kind == "dark":
        found = _of_time(found, stack, dim)
    if len(found) > 1:
        same = {path: image for path, image in found.items() if not differing(stack, dim, image, ("GAIN",))}
        found = same or found
    if len(found) > 1:
        raise ValueError(
            f"{kind}=: the nodes {_listed(found)} of the tree go with these frames alike: give one of them"
        )
    ((path, image),) = found.items()
    whose = f"the frames of the node {NODE.get()!r}" if NODE.get() else "the frames"
    time = number_of(image, "EXPTIME")
    notes = [f"EXPTIME = {time:g}"] if kind == "dark" and np.isfinite(time) else []
    notes += [f"FILTER = {filter_of(image)}"] if kind == "flat" and filter_of(image) else []
    log.info("%s: %s go with the master at the node %r%s", kind, whose, path, f" ({', '.join(notes)})" if notes else "")
    return image


def _of_kind(kind: str, tree: xr.DataTree, dim: Hashable) -> Found:
    """All masters of a kind. Raises if there are none."""
    images: Found = {}
    stacks: list[str] = []
    for path, node in tree.subtree_with_keys:
        ds = node.to_dataset()
        for name in image_names(ds):
            if kind_of_stack(ds[name], dim) != kind:
                continue
            if ds[name].sizes.get(dim, 1) > 1:
                stacks.append(path)
            else:
                images[path] = with_maps(ds, name)
    if not images and stacks:
        raise ValueError(
            f"{kind}=: the nodes {', '.join(stacks[:SHOWN])} of the tree are stacks, not masters: combine them, as "
            "tree.ccd.combine('median')"
        )
    if not images:
        raise ValueError(
            f"{kind}=: no node of the tree is a {kind} by IMAGETYP; its nodes are "
            f"{', '.join(path for path, _ in list(tree.subtree_with_keys)[:SHOWN])}"
        )
    return images


def _listed(found: Found) -> str:
    return ", ".join(map(repr, list(found)[:SHOWN]))


def _of_pixels(kind: str, found: Found, stack: xr.DataArray, dim: Hashable) -> Found:
    """Those with the pixels and the binning of the frames; all if none has: the error then says what differs."""
    fit = {
        path: image
        for path, image in found.items()
        if all(image.sizes[d] == stack.sizes.get(d) for d in image.dims if d != dim)
        and all(
            image.indexes[d].equals(stack.indexes[d])
            for d in image.dims
            if d != dim and d in image.indexes and d in stack.indexes
        )
        and not differing(stack, dim, image, BINNING)
    }
    if not fit and len(found) > 1:
        sizes = {path: dict(image.sizes) for path, image in list(found.items())[:SHOWN]}
        raise ValueError(
            f"{kind}=: no master of the tree has the pixels and the binning of the frames, {dict(stack.sizes)}: {sizes}"
        )
    return fit or found


def _of_filter(found: Found, stack: xr.DataArray, dim: Hashable) -> Found:
    """The flats of the frames' filter; those without a filter if the frames have none."""
    names = filters_of(stack, dim)
    if len(names) > 1:
        raise ValueError(f"flat=: the frames are of several filters ({', '.join(names)}): take one after the other")
    wanted = names[0].casefold() if names else ""
    fit = {path: image for path, image in found.items() if filter_of(image).casefold() == wanted}
    fit = fit or {path: image for path, image in found.items() if not (filter_of(image) and wanted)}
    if not fit:
        known = ", ".join(dict.fromkeys(filter_of(image) for image in found.values()))
        raise ValueError(f"flat=: the frames are of the filter {names[0]!r}, the flats of the tree of {known}")
    return fit


def _of_time(found: Found, stack: xr.DataArray, dim: Hashable) -> Found:
    """The dark of the nearest exposure time."""
    values = [number("EXPTIME", {"EXPTIME": v}) for v in keywords_of_frames(stack, dim, "EXPTIME") if v is not None]
    times = {path: number_of(image, "EXPTIME") for path, image in found.items()}
    wanted = float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
    gaps = {path: abs(time - wanted) for path, time in times.items() if np.isfinite(time - wanted)}
    return {path: found[path] for path, gap in gaps.items() if gap == min(gaps.values())} if gaps else found
