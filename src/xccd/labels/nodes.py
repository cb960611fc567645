"""Apply a function of a Dataset to the nodes of a DataTree; errors and warnings name the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import xarray as xr

NODE: ContextVar[str] = ContextVar("the current node of a tree", default="")


@contextmanager
def at_node(path: str) -> Iterator[None]:
    """Add the node to errors of this block as a note, and to warnings."""
    token = NODE.set(path)
    try:
        yield
    except Exception as error:
        error.add_note(f"at the node {path!r} of the tree")
        raise
    finally:
        NODE.reset(token)


def has_frames(ds: xr.Dataset) -> bool:
    """Whether a Dataset has a variable with frames."""
    return any("frame" in v.dims for v in ds.data_vars.values())


def map_nodes(
    function: Callable[[xr.Dataset], xr.Dataset],
    tree: xr.DataTree,
    concerned: Callable[[xr.Dataset], bool],
    what: str,
) -> xr.DataTree:
    """A tree with ``function`` applied to the nodes where ``concerned`` is true; other nodes stay as they are.

    xarray's `map_over_datasets` cannot skip a node, and does not say which node a warning comes from.
    """
    found = {path: node.to_dataset() for path, node in tree.subtree_with_keys}
    if not any(map(concerned, found.values())):
        raise ValueError(f"no node of this DataTree has {what}: its nodes are {', '.join(found)}")
    done = {}
    for path, ds in found.items():
        with at_node(path):
            done[path] = function(ds) if concerned(ds) else ds
    return xr.DataTree.from_dict(done, name=tree.name)
