"""Settings of this process, changed with `set_options`."""

from __future__ import annotations

import logging
import math
import operator
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from xccd.kernels.errors import BuildError
from xccd.messages import did_you_mean

R = TypeVar("R")
ENGINES = ("numba", "numpy")
_OPTIONS: dict[str, Any] = {"threads": None, "engine": None, "memory": None, "progress": None}
LISTENERS: list[Callable[[], None]] = []  # called when settings have changed
log = logging.getLogger("xccd")


class Options(TypedDict, total=False):
    """The settings, each of which may be left out."""

    threads: int | None
    engine: Literal["numba", "numpy"] | None
    memory: int | str | None
    progress: bool | None


class set_options:  # noqa: N801  (spelled as xarray.set_options is)
    """Change settings for the process, or within a ``with`` block. Settings that are not named stay as they are.

    Parameters
    ----------
    threads : int or None
        How many threads the verbs use on NumPy arrays. ``None``, the default: the cores that this process may use. On
        dask arrays dask's scheduler decides, and each task is single-threaded.
    engine : {"numba", "numpy"} or None
        Compiled loops, or NumPy alone. ``None``, the default: numba if it can be used. The pixels are the same.
    memory : int, str or None
        How much memory the verbs and `to_fits` may use at a time on stacks that are opened with ``chunks="auto"``, in
        bytes or as "2 GB": see `open_stack`. ``None``, the default: bands of 32 MB, some of them in each thread.
    progress : bool or None
        Show a bar for work that takes longer than half a second, with what is done and the time that is left: opening
        files, `scan`, verbs that read the frames, `reduce`, and whatever dask or dask.distributed computes. Only on a
        terminal or in a notebook, so no log file has bars. ``None``, the default: no bars.

    Raises
    ------
    TypeError, ValueError
        If ``threads`` is not a whole number of at least 1, ``engine`` is unknown, ``memory`` is not a size, or
        ``progress`` is not True or False.
    ImportError
        If ``engine`` is "numba" and numba cannot be imported.

    Examples
    --------
    >>> import xccd
    >>> with xccd.set_options(threads=1, engine="numpy", progress=True):
    ...     pass
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        unknown = set(options) - set(_OPTIONS)
        if unknown:
            raise TypeError(
                f"set_options({', '.join(sorted(unknown))}=...) is unknown: there are {', '.join(_OPTIONS)}"
                f"{did_you_mean(min(unknown), _OPTIONS)}"
            )
        for name, value in options.items():
            if value is not None:
                _CHECKS[name](value)
        self._before = {name: _OPTIONS[name] for name in options}  # after all checks: a wrong value changes nothing
        _OPTIONS.update(options)
        _tell()

    def __enter__(self) -> set_options:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _OPTIONS.update(self._before)
        _tell()


def _tell() -> None:
    for listener in LISTENERS:
        listener()


def _check_threads(threads: Any) -> None:
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads={threads!r} is not a whole number: give 1, 2, ...")
    if threads < 1:
        raise ValueError(f"threads={threads} is below 1: give 1, 2, ... or None for all")


def _check_engine(engine: Any) -> None:
    if engine not in ENGINES:
        near = did_you_mean(engine, ENGINES)
        raise ValueError(
            f"engine={engine!r} is unknown: use one of {', '.join(ENGINES)}; None: the best there is{near}"
        )
    if engine == "numba":
        _numba()


def _check_progress(progress: Any) -> None:
    if not isinstance(progress, bool):
        raise TypeError(f"progress={progress!r} is not True or False; None: the default, no bars")


def as_bytes(memory: Any) -> int:
    """A size in bytes, from a number or a text such as "2 GB"."""
    try:
        size = _bytes_of_text(memory) if isinstance(memory, str) else operator.index(memory)
    except (TypeError, ValueError):
        raise ValueError(f"memory={memory!r} is no size: give bytes, or a text as '500 MB' or '2 GiB'") from None
    if isinstance(memory, bool) or size < 1:
        raise ValueError(f"memory={memory!r} is no size: give 1 byte or more, or a text as '500 MB' or '2 GiB'")
    return int(size)


_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kMGTP]?)(i?)B?\s*", re.IGNORECASE)


def _bytes_of_text(text: str) -> int:
    """Bytes of a text, as dask reads it: decimal units, and binary units with an i."""
    found = _SIZE.fullmatch(text)
    if not found or (found[3] and not found[2]):
        raise ValueError(text)
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGTP".index(found[2].upper() or " "))


_CHECKS = {"threads": _check_threads, "engine": _check_engine, "memory": as_bytes, "progress": _check_progress}


def threads() -> int:
    """The count of threads: the setting, else the cores that this process may use."""
    chosen = _OPTIONS["threads"]
    return chosen if chosen is not None else cores()


def memory() -> int | None:
    """The memory limit in bytes; None without a limit."""
    chosen = _OPTIONS["memory"]
    return None if chosen is None else as_bytes(chosen)


def progress() -> bool:
    """Whether bars were asked for."""
    return bool(_OPTIONS.get("progress"))


def installed() -> int:
    """The memory of this machine in bytes; 2^62 if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems lack a name
        return 1 << 62


def cores(root: str = "/sys/fs/cgroup") -> int:
    """The cores that this process may use, by its affinity mask and the time quota of its control group."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS or Windows
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    # rounded up: one thread cannot use a quota of 1.5 cores
    return max(1, math.ceil(min(allowed, _quota(Path(root)))))


def _quota(root: Path) -> float:
    """The quota of the control group (version 2 or 1), as a count of cores; infinity without a quota."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{k}_us").read_text().strip() for k in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else math.inf
    except (OSError, ValueError, ArithmeticError):
        return math.inf


def engine() -> ModuleType:
    """The engine of kernels: the setting, else numba if it can be used."""
    chosen = _OPTIONS["engine"]
    if chosen == "numba" or (chosen is None and not _said):
        try:
            return _numba()
        except Exception as error:  # not only ImportError: a damaged numba or llvmlite raises anything
            if chosen == "numba":
                raise
            _say_once(error)
    from xccd.kernels.plain import engine as plain

    return plain


def with_engine(work: Callable[[ModuleType], R]) -> R:
    """``work(engine)``; again with the NumPy engine if a kernel cannot be compiled. So ``work`` may run twice."""
    try:
        return work(engine())
    except BuildError as error:
        if _OPTIONS["engine"] == "numba":
            raise
        _say_once(error)
        return work(engine())


def _numba() -> ModuleType:
    from xccd.kernels.compiled import engine as compiled

    return compiled


_said: list[str] = []  # why numba cannot be used; not empty: NumPy computes from now on
_saying = threading.Lock()


def _say_once(error: Exception) -> None:
    """Remember the error, and log one line for the first one."""
    with _saying:
        first = not _said
        _said.append(str(error))
    if first:
        why = "imported" if isinstance(error, ImportError) else "used"
        log.warning("numba cannot be %s (%s): NumPy computes instead, several times slower", why, error)
