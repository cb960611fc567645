"""What a verb gives is saved as it is, however the stack that it was made of was packed in its file."""

import dask
import numpy as np
import pytest
import xarray as xr

import xccd

VERBS = {
    "sigma_clip": lambda s: s.ccd.sigma_clip(1, 1),
    "clip_extrema": lambda s: s.ccd.clip_extrema(1, 0),
    "minmax": lambda s: s.ccd.minmax(1005, 1040),
    "mask_where": lambda s: s.ccd.mask_where(np.eye(4, 5)),
    "normalize": lambda s: s.ccd.normalize(scale="median", to=1),
    "mean": lambda s: s.ccd.combine("mean"),
    "std": lambda s: s.ccd.combine("std"),
    "sum": lambda s: s.ccd.combine("sum"),
    "count": lambda s: s.ccd.count(),
    "mask": lambda s: s.ccd.mask,
    "align": lambda s: s.ccd.align(offsets=[(0.5 * i, 0) for i in range(6)]),
    "to_dataset": lambda s: s.ccd.to_dataset(mask=np.eye(4, 5) > 0).ccd.sigma_clip(1, 1),
    "maps": lambda s: s.ccd.to_dataset(uncertainty=2.0).ccd.minmax(1005, 1040).ccd.combine("mean"),
    "to_stack": lambda s: s.ccd.to_dataset(mask=np.eye(4, 5) > 0).ccd.to_stack(),
}
PACKINGS = {
    "uint16": {"dtype": "uint16"},
    "filled": {"dtype": "int32", "_FillValue": -1},
    "packed": {"dtype": "int16", "scale_factor": 0.5, "add_offset": 1000.0, "_FillValue": -32768},
    "float32": {"dtype": "float32"},
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A stack in each packing, as netCDF and as Zarr."""
    folder, values = tmp_path_factory.mktemp("stores"), np.random.default_rng(1).integers(1000, 1050, (6, 4, 5))
    stack = xr.DataArray(values.astype("f4"), dims=("frame", "y", "x"), name="data", attrs={"units": "adu"})
    for name, packing in PACKINGS.items():
        ds = stack.astype("uint16" if name == "uint16" else "f4").to_dataset()
        ds.to_netcdf(folder / f"{name}.nc", encoding={"data": packing}, unlimited_dims=["frame"])
        ds.to_zarr(folder / f"{name}.zarr", encoding={"data": packing}, consolidated=False)
    return folder


@pytest.mark.versions(verb=("sigma_clip", "mean", "mask", "maps"))
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_every_verb_after_every_packing(stores, tmp_path, verb, packing, kind):
    options = {"engine": "zarr", "consolidated": False} if kind == "zarr" else {}
    chunks = {} if packing in ("packed", "uint16") else None
    with xr.open_dataset(stores / f"{packing}.{kind}", chunks=chunks, **options) as opened:
        for form, obj in (("array", opened["data"]), ("dataset", opened)):
            if form == "dataset" and verb in ("to_dataset", "maps", "to_stack"):
                continue
            made = VERBS[verb](obj)
            made = made.to_dataset(name="data") if isinstance(made, xr.DataArray) else made
            path = tmp_path / f"{form}.{kind}"
            # Before 2026.9 xarray takes the locks of two netCDF files in any order: threads may wait for each other.
            with dask.config.set(scheduler="sync"):
                made.to_zarr(path, consolidated=False) if kind == "zarr" else made.to_netcdf(path)
            with xr.open_dataset(path, **options) as again:
                for name in made.data_vars:
                    np.testing.assert_array_equal(again[name].values, made[name].values, err_msg=name)


@pytest.mark.versions
def test_labels_that_a_verb_leaves_alone_are_as_they_were(stores):
    with xr.open_dataset(stores / "uint16.nc") as opened:
        before = dict(opened["data"].encoding)
        opened["data"].ccd.sigma_clip(1, 1)
        assert opened["data"].encoding == before
    assert xccd.combine(opened["data"]).encoding == {}
