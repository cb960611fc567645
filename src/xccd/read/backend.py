"""`xarray.open_dataset(files, engine="xccd")`: xarray's own way to open a flagged Dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from xccd.compute import bands
from xccd.errors import in_tree
from xccd.labels.choices import RowOrder, UncertaintyType
from xccd.read.dataset import open_dataset
from xccd.read.images.chips import HDUNames, Wanted
from xccd.read.images.sources import is_fits_name
from xccd.read.settled import Errors


class FITSEntrypoint(BackendEntrypoint):
    """xarray's backend for the engine "xccd", and for file names that end as those of FITS files."""

    description = "FITS images as a stack of frames"
    url = "https://pypi.org/project/xccd/"

    @in_tree
    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        hdu: HDUNames = None,
        mask_hdu: Wanted = "MASK",
        mask: Any = None,
        bits: Any = None,
        uncertainty_hdu: Wanted = "UNCERT",
        uncertainty: Any = None,
        uncertainty_type: UncertaintyType | None = None,
        weights: Any = None,
        keywords: Sequence[str] | str | None = None,
        keep_headers: bool = True,
        units: Any = None,
        flip: RowOrder = False,
        errors: Errors = "raise",
    ) -> xr.Dataset:
        """`xccd.open_dataset`, lazily indexed. xarray makes the chunks; the preferred ones are bands of all frames."""
        ds = open_dataset(
            filename_or_obj,
            hdu=hdu, mask_hdu=mask_hdu, mask=mask, bits=bits, uncertainty_hdu=uncertainty_hdu, uncertainty=uncertainty,
            uncertainty_type=uncertainty_type, weights=weights, chunks=None, keywords=keywords,
            keep_headers=keep_headers, units=units, flip=flip, errors=errors,
        )  # fmt: skip
        shape, itemsize = ds["data"].shape, ds["data"].dtype.itemsize
        rows = [n if c == -1 else c for c, n in zip(bands.plan(shape, itemsize, "auto", None), shape, strict=True)]
        for variable in ds.data_vars.values():
            variable.encoding["preferred_chunks"] = dict(zip(ds["data"].dims, rows, strict=True))
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return ds.drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether the name ends as that of a FITS file."""
        return isinstance(filename_or_obj, (str, os.PathLike)) and is_fits_name(os.fspath(filename_or_obj))
