"""Trees: what is done to a Dataset, done at every node that it concerns; errors and warnings name the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import xarray as xr

NODE: ContextVar[str] = ContextVar("the node of a tree that is worked on", default="")


@contextmanager
def at_node(path: str) -> Iterator[None]:
    """Errors of this block carry a note that names the node, and warnings are told of it."""
    token = NODE.set(path)
    try:
        yield
    except Exception as error:
        error.add_note(f"at the node {path!r} of the tree")
        raise
    finally:
        NODE.reset(token)


def map_nodes(
    function: Callable[[xr.Dataset], xr.Dataset],
    tree: xr.DataTree,
    concerned: Callable[[xr.Dataset], bool],
    what: str,
) -> xr.DataTree:
    """A tree with ``function`` done where ``concerned`` says so, and all other nodes as they are.

    xarray's own `map_over_datasets` does not let a node pass, nor say where a warning comes from.
    """
    found = {path: node.to_dataset() for path, node in tree.subtree_with_keys}
    if not any(map(concerned, found.values())):
        raise ValueError(f"no node of this DataTree has {what}: its nodes are {', '.join(found)}")
    done = {}
    for path, ds in found.items():
        with at_node(path):
            done[path] = function(ds) if concerned(ds) else ds
    return xr.DataTree.from_dict(done, name=tree.name)
