"""A master from its file, in the unit of the frames."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xccd.headers.uncertainties import KINDS
from xccd.night.plan.ready_masters import check_unit_range
from xccd.night.reduce.work import MasterFile, Work
from xccd.read.dataset import open_dataset

IN_COUNTS = ("bias", "dark")  # masters that are subtracted, so their unit matters


def opened_master(work: Work, master: MasterFile, frames: xr.Dataset, chunks: Any) -> Any:
    """The master as a verb takes it: a path; or a flagged Dataset, for one that reduce did not make.

    Raises for one within 0 to 1 beside ``frames`` in whole counts, as Siril writes them.
    """
    if not master.ready:
        return master.path
    ds = open_dataset(_row(master), chunks=chunks).isel(frame=slice(0, 1))
    if master.kind not in IN_COUNTS:
        return ds
    factor = work.recipe.detector.master_scale
    if factor == 1:
        check_unit_range(ds["data"], frames["data"], master.path.name)
        return ds
    return _multiplied(ds.load(), factor)


def _row(master: MasterFile) -> Any:
    import pandas as pd

    return pd.DataFrame({"file": [str(master.path)], "hdu": [master.hdu]})


def _multiplied(ds: xr.Dataset, factor: float) -> xr.Dataset:
    made = ds.copy()
    for name in ("data", "data_uncertainty", "data_common"):
        if name in ds:
            power = 1 if name == "data" else KINDS[ds[name].attrs.get("uncertainty_type", "std")].power
            made[name] = ds[name].copy(data=ds[name].values * ds[name].dtype.type(factor**power))
    return made
