"""Write docs/inventories: the names of other packages that the docs link to, so that a build needs no network.

    python docs/make_inventories.py

An inventory of Sphinx has all names of a package, 100 kB for astropy. These have the names that docstrings and pages
use. Their addresses are those of the packages' own inventories; NumPy's and pandas' follow one rule for all names.
"""

from __future__ import annotations

import zlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "inventories"
SITES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "xarray": "https://docs.xarray.dev/en/stable/",
    "dask": "https://docs.dask.org/en/stable/",
    "astropy": "https://docs.astropy.org/en/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
}
# A package, a role, the place of a page ($ is the name), and names.
ROWS = (
    ("python", "class", "library/pathlib.html#$", ("pathlib.Path",)),
    ("python", "class", "library/os.html#$", ("os.PathLike",)),
    (
        "python",
        "exception",
        "library/exceptions.html#$",
        ("FileExistsError", "ImportError", "NotADirectoryError", "OSError", "TypeError", "ValueError", "KeyError"),
    ),
    ("numpy", "class", "reference/generated/$.html#$", ("numpy.ndarray", "numpy.dtype")),
    ("numpy", "attribute", "reference/generated/numpy.ma.MaskedArray.html#$", ("numpy.ma.MaskedArray",)),
    ("xarray", "class", "generated/$.html#$", ("xarray.DataArray", "xarray.Dataset", "xarray.DataTree")),
    ("xarray", "method", "generated/$.html#$", ("xarray.DataArray.groupby", "xarray.DataArray.assign_coords")),
    ("xarray", "function", "generated/$.html#$", ("xarray.concat", "xarray.open_dataset")),
    ("dask", "class", "generated/$.html#$", ("dask.array.Array",)),
    ("dask", "function", "configuration.html#$", ("dask.config.set",)),
    (
        "astropy",
        "class",
        "api/$.html#$",
        (
            "astropy.coordinates.SkyCoord",
            "astropy.nddata.CCDData",
            "astropy.table.Table",
            "astropy.units.Quantity",
            "astropy.wcs.WCS",
        ),
    ),
    ("astropy", "method", "api/astropy.nddata.CCDData.html#$", ("astropy.nddata.CCDData.read",)),
    ("astropy", "class", "io/fits/api/headers.html#$", ("astropy.io.fits.Header",)),
    ("astropy", "class", "io/fits/api/hdulists.html#$", ("astropy.io.fits.HDUList",)),
    ("astropy", "function", "api/$.html#$", ("astropy.stats.sigma_clip",)),
    ("pandas", "class", "reference/api/$.html#$", ("pandas.DataFrame",)),
)


def inventory(package: str) -> bytes:
    """The inventory of a package, in version 2 of Sphinx's format."""
    lines = [
        f"{name} py:{role} 1 {place.replace('$', name)} -"
        for owner, role, place, names in ROWS
        if owner == package
        for name in names
    ]
    head = f"# Sphinx inventory version 2\n# Project: {package}\n# Version: \n"
    note = "# The remainder of this file is compressed using zlib.\n"
    return (head + note).encode() + zlib.compress("\n".join([*lines, ""]).encode(), 9)


def main() -> None:
    """Write one file for each package."""
    FOLDER.mkdir(exist_ok=True)
    for package in SITES:
        (FOLDER / f"{package}.inv").write_bytes(inventory(package))


if __name__ == "__main__":
    main()
