"""The chunks of a stack that is opened: bands of all frames and some whole rows, so that a few fit into memory."""

from __future__ import annotations

from math import prod
from typing import Any

from xccd.compute import options
from xccd.compute.deferred import COPIES, SCRATCH

BAND_BYTES = 32 << 20  # without a limit, in the dtype of the stack: 51 bands for 25 float32 frames of 4096 x 4096


def plan(shape: tuple[int, ...], itemsize: int, chunks: Any, memory: Any, unit: int = 1) -> Any:
    """The chunks of a stack (frames, y, ...): bands for "auto", otherwise ``chunks`` as given.

    The reader unpacks ``unit`` rows together. A band with more rows has a multiple of it.

    Other bands are planned for other reasons. `deferred` cuts rows for the cache, again for each load. `run` cuts
    pixels, not rows, by the count of threads alone. `sky.gather` cuts rows of the target grid, as high as these chunks
    or as those of its input.
    """
    limit = options.memory() if memory is None else options.as_bytes(memory)
    if not isinstance(chunks, str) or chunks != "auto":
        if memory is not None:
            raise ValueError(f"memory={memory!r} with chunks={chunks!r}: a limit plans the bands of chunks='auto'")
        return chunks
    row = shape[0] * prod(shape[2:]) * itemsize
    rows = BAND_BYTES // max(row, 1) if limit is None else _rows_within(limit, row)
    if limit is not None and rows < 1:
        held = bands_at_a_time()
        least = held * (COPIES * row + SCRATCH)
        raise ValueError(
            f"memory={limit} bytes hold less than one row of all {shape[0]} frames in each of {held} threads: "
            f"give {-(-least >> 20)} MB or more, fewer threads, or chunks= that cut the rows"
        )
    # A band that ends within a row of compressed tiles would unpack these tiles twice.
    if rows >= unit > 1:
        return (-1, min(shape[1], rows // unit * unit), *(-1,) * (len(shape) - 2))
    bands = -(-shape[1] // max(1, min(shape[1], rows)))
    height = -(-shape[1] // bands)  # nearly equal bands: the last one is no small remainder
    return (-1, height, *(-1,) * (len(shape) - 2))


def _rows_within(limit: int, row: int) -> int:
    """The rows of a band if every thread holds `COPIES` of it within ``limit`` bytes; never more than without limit."""
    return min(BAND_BYTES // max(row, 1) or 1, (limit // bands_at_a_time() - SCRATCH) // (COPIES * max(row, 1)))


def bands_at_a_time() -> int:
    """How many bands are computed at a time: dask's ``num_workers`` if set, because dask's threads do the work."""
    import dask.config

    return int(dask.config.get("num_workers", None) or options.threads())
