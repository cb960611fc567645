"""The `xccd` command as a process of its own.

It is no part of the package because that imports xarray, which imports dask for any array where dask is installed. That
takes half a second, and `xccd combine` has no use for it.
"""

import sys


def run() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["combine"]:
        sys.modules["dask"] = sys.modules["scipy"] = None  # type: ignore[assignment]  # which makes an import fail
    from xccd.cli import main

    main()
