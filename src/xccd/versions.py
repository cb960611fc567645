"""`show_versions`: what is installed here, for a report of an error."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import TextIO

from xccd.compute import options

GB = 1 << 30
# Names of distributions. The first are needed, the others are of the extras.
NEEDED = ("xccd", "numpy", "xarray", "dask", "numba", "llvmlite", "astropy", "click", "tqdm")
OPTIONAL = (
    "distributed", "matplotlib", "scipy", "scikit-image", "sep", "astroalign", "reproject", "shapely", "astroscrappy",
    "ccdproc", "bottleneck", "fsspec", "aiohttp", "zarr", "netCDF4", "pandas", "pyarrow", "watchdog", "ipywidgets",
)  # fmt: skip


def show_versions(file: TextIO | None = None) -> None:
    """Print the versions of xccd, of Python and of the packages it uses, and what machine it runs on.

    Add it to a report of an error. No name of a user, of a machine or of a folder is in it.

    Parameters
    ----------
    file : text file, optional
        Where to print. Default: ``sys.stdout``.

    Raises
    ------
    TypeError
        ``file`` has no method ``write``.

    Examples
    --------
    >>> import io
    >>> import xccd
    >>> text = io.StringIO()
    >>> xccd.show_versions(text)
    >>> [line.split(":")[0] for line in text.getvalue().splitlines()[:4]]
    ['xccd', 'Python', 'system', 'CPU']
    """
    if file is not None and not callable(getattr(file, "write", None)):
        raise TypeError(f"file={file!r} is no open text file: give one, or None to print")
    text = "\n".join(f"{name}: {value}" for name, value in _rows())
    try:
        print(text, file=file)
    except TypeError as error:
        raise TypeError(f"file={file!r} takes bytes: give a text file, or None to print") from error


def _rows() -> Iterator[tuple[str, str]]:
    yield "xccd", _version("xccd")
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", f"{platform.system()} {platform.release()}, {sys.maxsize.bit_length() + 1} bit"
    yield "CPU", f"{platform.machine()} {_processor()}".strip()
    yield "cores", f"{options.cores()} for this process, {os.cpu_count()} in all"
    size = options.installed()
    yield "memory", "unknown" if size >= 1 << 62 else f"{size / GB:.1f} GiB"
    limit = options.memory()
    yield "threads=", str(options.threads())
    yield "memory=", "none" if limit is None else f"{limit} bytes"
    yield "engine=", _engine()
    for name in (*NEEDED[1:], *OPTIONAL):
        yield name, _version(name)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _engine() -> str:
    """The engine of kernels, or why there is none."""
    try:
        return options.engine().__name__.split(".")[-2].replace("compiled", "numba").replace("plain", "numpy")
    except Exception as error:
        return f"none ({type(error).__name__}: {error})"


def _processor() -> str:
    """The model of the CPU, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # not Linux
        models = []
    return models[0] if models else platform.processor()
