"""How a stack is cut into bands: all frames, some rows, whole rows, so that a few of them fit into memory."""

from __future__ import annotations

from math import prod
from typing import Any

from xccd.compute import options
from xccd.compute.deferred import COPIES, SCRATCH

BAND_BYTES = 32 << 20  # without a limit, in the stack's dtype: 32 bands for 25 frames of 4096 x 4096


def plan(shape: tuple[int, ...], itemsize: int, chunks: Any, memory: Any, unit: int = 1) -> Any:
    """Chunks of a stack (frames, y, ...): bands for "auto", otherwise what is asked for.

    ``unit`` rows are unpacked together: bands have a multiple of it where they are larger.
    """
    limit = options.memory() if memory is None else options.as_bytes(memory)
    if not isinstance(chunks, str) or chunks != "auto":
        if memory is not None:
            raise ValueError(f"memory={memory!r} with chunks={chunks!r}: a limit plans the bands of chunks='auto'")
        return chunks
    row = shape[0] * prod(shape[2:]) * itemsize
    rows = BAND_BYTES // max(row, 1) if limit is None else _rows_within(limit, row)
    if limit is not None and rows < 1:
        least = threads() * (COPIES * row + SCRATCH)
        raise ValueError(
            f"memory={limit} bytes hold less than one row of all {shape[0]} frames in each of {threads()} threads: "
            f"give {-(-least >> 20)} MB or more, fewer threads, or chunks= that cut the rows"
        )
    if rows >= unit > 1:
        return (-1, min(shape[1], rows // unit * unit), *(-1,) * (len(shape) - 2))
    bands = -(-shape[1] // max(1, min(shape[1], rows)))
    return (-1, -(-shape[1] // bands), *(-1,) * (len(shape) - 2))  # bands of nearly equal height


def _rows_within(limit: int, row: int) -> int:
    """Rows of a band of which every thread holds `COPIES`, within ``limit`` bytes, and no more than without limit."""
    return min(BAND_BYTES // max(row, 1) or 1, (limit // threads() - SCRATCH) // (COPIES * max(row, 1)))


def threads() -> int:
    """How many bands are worked on at a time: dask's ``num_workers`` where that is set, as its threads do the work."""
    import dask.config

    return int(dask.config.get("num_workers", None) or options.threads())
