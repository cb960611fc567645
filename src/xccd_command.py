"""The `xccd` command as a process of its own.

It is no part of the package because that imports xarray, which imports dask for any array where dask is installed. That
takes half a second, and `xccd combine` has no use for it.
"""

import gc
import sys


def run() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["combine"]:
        sys.modules["dask"] = sys.modules["scipy"] = None  # type: ignore[assignment]  # which makes an import fail
    gc.disable()  # all that is imported stays: to search it for garbage takes a fifth of the start
    from xccd.cli import main

    gc.freeze()
    gc.enable()
    main()
