"""Settings of this process, changed with `set_options`."""

from __future__ import annotations

import os
from types import TracebackType

_OPTIONS: dict[str, int | None] = {"threads": None}


class set_options:  # noqa: N801  (spelled as xarray.set_options is)
    """Change settings for the process, or within a ``with`` block.

    Parameters
    ----------
    threads : int, optional
        How many threads the verbs use on NumPy arrays. Default: the cores that this process may use. On dask
        arrays dask's scheduler decides, and each task is single-threaded.

    Raises
    ------
    TypeError, ValueError
        If ``threads`` is not a whole number of at least 1.

    Examples
    --------
    >>> import xccd
    >>> with xccd.set_options(threads=1):
    ...     pass
    """

    def __init__(self, *, threads: int | None = None) -> None:
        if threads is not None:
            if isinstance(threads, bool) or not isinstance(threads, int):
                raise TypeError(f"threads={threads!r} is not a whole number: give 1, 2, ...")
            if threads < 1:
                raise ValueError(f"threads={threads} is below 1: give 1, 2, ... or None for all")
        self._before = dict(_OPTIONS)
        _OPTIONS["threads"] = threads

    def __enter__(self) -> set_options:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _OPTIONS.update(self._before)


def threads() -> int:
    """How many threads to use: what was set, else the cores of this process's affinity mask."""
    chosen = _OPTIONS["threads"]
    if chosen is not None:
        return chosen
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS or Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
