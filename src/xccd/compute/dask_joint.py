"""Every name of dask that dask may change without notice, each with a plain path for a dask without it.

A missing name costs speed, memory or a header keyword, never a pixel. Names that dask documents (``dask.array``,
``chunks``, ``rechunk``, ``__dask_graph__``, ``dask.delayed``, ``dask.config``) are used where they are needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

Array = Any
# Layers that change no sample, by the beginning of their names. A renamed layer is unknown: its origin is not noted.
SELECTING = ("getitem-", "concatenate-", "rechunk-", "transpose-")
_serial = itertools.count()


def find(owner: Any, name: str) -> Any:
    """Attribute ``name`` of an object, or of the module that the text ``owner`` names; None if it is gone."""
    with suppress(ImportError, AttributeError):
        return getattr(import_module(owner) if isinstance(owner, str) else owner, name)
    return None


def is_dask(x: Any) -> bool:
    """Whether ``x`` is a dask collection. It is asked by protocol, so dask is not imported."""
    graph = getattr(x, "__dask_graph__", None)
    return graph is not None and graph() is not None  # xarray's objects have the method, and give None without dask


def array_name(x: Array) -> str | None:
    """The name of a dask array, which changes when the array is written to; None for any other array.

    Without a name a write cannot be seen. Then each call returns a new text, so no note is ever valid.
    """
    name = find(x, "name")
    if name is None and is_dask(x):
        return f"unnamed-{next(_serial)}"
    return None if name is None else str(name)


def attach(x: Array, kind: str, value: Any) -> None:
    """Set an attribute on an array; not set if its class has no room for it, and the next verb begins at ``x``."""
    with suppress(AttributeError):
        setattr(x, kind, value)


def selected_layers(x: Array, name: str) -> Iterable[str]:
    """The layers that layer ``name`` of ``x`` cuts, joins or moves; none if it may change samples."""
    if not name.startswith(SELECTING):
        return ()
    dependencies: dict[str, set[str]] = find(find(x, "dask"), "dependencies") or {}
    return dependencies.get(name, ())


def _scheduler(x: Array) -> Any:
    """The function that would compute ``x``; None if it cannot be found out."""
    get_scheduler = find("dask.base", "get_scheduler")
    return None if get_scheduler is None else get_scheduler(collections=[x])


def cluster(x: Array) -> Any:
    """The client of the dask.distributed cluster that would compute ``x``; None without a cluster, or if unknown."""
    # with a cluster the scheduler is a method of its client
    client = find(_scheduler(x), "__self__")
    return None if find(client, "scheduler_info") is None else client


def shares_memory(x: Array) -> bool:
    """Whether the tasks of ``x`` run in this process: in dask's threads, or one after the other. False if unknown."""
    here = [find("dask.threaded", "get"), find("dask.local", "get_sync")]
    scheduler = _scheduler(x)
    return scheduler is not None and scheduler in here


def block_slices(x: Array) -> list[tuple[slice, ...]]:
    """The slices of each block of ``x``, in the order of its keys."""
    axes = []
    for sizes in x.chunks:
        ends = list(itertools.accumulate(sizes))
        axes.append([slice(end - size, end) for end, size in zip(ends, sizes, strict=True)])
    return list(itertools.product(*axes))


def optimized(x: Array) -> Array:
    """``x`` with a graph of its own, so that its bands are read for it alone; ``x`` itself if dask cannot do it."""
    optimize = find("dask", "optimize")
    return x if optimize is None else optimize(x)[0]


def held(x: Array) -> Any:
    """The object from which ``dask.array.from_array`` made ``x``, if it can be sliced alone; None if it is unknown."""
    layers = find(find(x, "dask"), "layers") or {}
    name = f"original-{find(x, 'name')}"
    for value in dict(layers.get(name) or {}).values():
        found = find(value, "value") if find(value, "value") is not None else value
        if find(found, "shape") == x.shape and find(found, "dtype") == x.dtype:
            return found
    return None
