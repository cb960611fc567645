"""A stack, and a combined image, through netCDF and Zarr and back: equal, usable, and without a warning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd

# Warnings are errors in this project's tests: nothing here may warn, Zarr about its text types least of all.


def odd_header(i: int) -> fits.Header:
    header = fits.Header({"EXPTIME": 10.0 + i, "OBJECT": "M 51", "FILTER": "r", "BUNIT": "adu", "GAIN": 1.5})
    header["SHUT"], header["LAMP"] = bool(i), True
    header["NONE"] = None
    header["HIERARCH ESO DET/CHIP ID"] = i
    header["HIERARCH ESO TEL FOCUS LEN"] = 2.5
    header["CLASS"], header["NAME"] = "science", "frame of a night"  # HDF5 keeps these names for itself
    header["LONG"] = f"a text of more than one card, {i} " * 9
    header["EMPTY"] = ""
    header["BIG"] = (1 << 62) + i
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 10.0, 20.0, 3.0, 2.0
    header["CDELT1"], header["CDELT2"] = -1e-3, 1e-3
    header.add_history("older software")
    header.add_comment('it\'s \\ odd / "quoted"')
    if i != 1:  # NaT for the second frame
        header["DATE-OBS"] = f"2024-02-29T01:02:0{i}.123456"
    return header


def stack_of(**options: Any) -> xr.DataArray:
    pixels = np.random.default_rng(2).normal(100, 5, (3, 6, 5)).astype("f4")
    pixels[0, 0, 0] = np.nan
    return xccd.open_stack([(image, odd_header(i)) for i, image in enumerate(pixels)], **options)


STACKS: dict[str, Callable[[], xr.DataArray]] = {
    "as opened": stack_of,
    "in NumPy": lambda: stack_of(chunks=None),
    "native integers": lambda: xccd.open_stack([(np.eye(3, dtype="u2"), odd_header(0))] * 2, dtype="native"),
    "without headers": lambda: stack_of(keep_headers=False),
    "no header at all": lambda: xccd.open_stack([(np.eye(3), None)] * 2),
    "clipped": lambda: stack_of().ccd.minmax(95, 110).ccd.sigma_clip(1, 1, center="median"),
    "cropped": lambda: stack_of()[:, 1:5:2, 2:],
    "normalized": lambda: stack_of().ccd.normalize("median"),
    "calibrated": lambda: stack_of() - stack_of().ccd.combine("median"),
    "one frame": lambda: stack_of()[1],
    "combined": lambda: stack_of().ccd.combine(),
    "combined with weights": lambda: stack_of().ccd.combine("median", weights="EXPTIME"),
    "a unit of time": lambda: xccd.open_stack([(np.eye(3), {"BUNIT": "s"})] * 2),
    "non-ASCII": lambda: stack_of().assign_attrs(observer="Renée", units="µJy"),
}  # fmt: skip


def through_netcdf(stack: xr.DataArray, folder: Path) -> xr.DataArray:
    stack.to_netcdf(folder / "stack.nc", engine="netcdf4")
    with xr.open_dataarray(folder / "stack.nc", engine="netcdf4") as again:
        return again.load()


def through_zarr(stack: xr.DataArray, folder: Path) -> xr.DataArray:
    # Consolidated metadata is not in the specification of Zarr 3, and Zarr says so.
    stack.to_zarr(folder / "stack.zarr", zarr_format=3, consolidated=False)
    return xr.open_dataarray(folder / "stack.zarr", engine="zarr", consolidated=False, chunks={})


STORES = {"netCDF": through_netcdf, "Zarr": through_zarr}


@pytest.mark.versions
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", STACKS)
def test_what_comes_back_is_identical(tmp_path: Path, kind: str, store: str) -> None:
    stack = STACKS[kind]()
    again = STORES[store](stack, tmp_path)
    assert again.dtype == stack.dtype
    xr.testing.assert_identical(again.compute(), stack.compute())


@pytest.mark.versions(kind=("as opened", "native integers", "no header at all", "clipped"))
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", [k for k in STACKS if k not in ("one frame", "combined", "combined with weights")])
def test_the_verbs_work_on_what_comes_back(tmp_path: Path, kind: str, store: str) -> None:
    stack = STACKS[kind]()
    again = STORES[store](stack, tmp_path)
    stack = stack.copy(data=stack.data * 1)  # a store does not say either that these are the samples of files
    images = [s.ccd.minmax(0, 1e9).ccd.combine("mean").compute() for s in (stack, again)]
    xr.testing.assert_identical(*images)
    headers = [image.ccd.header().tostring() for image in images]
    assert headers[0] == headers[1]
    assert again.ccd.header(1).tostring() == stack.ccd.header(1).tostring()
    written = [image.ccd.to_fits(tmp_path / f"{i}.fits").read_bytes() for i, image in enumerate(images)]
    assert written[0] == written[1]


@pytest.mark.versions
@pytest.mark.parametrize("store", STORES)
def test_a_combined_image_writes_the_same_file(tmp_path: Path, store: str) -> None:
    image = STACKS["combined"]()
    again = STORES[store](image, tmp_path)
    paths = [im.ccd.to_fits(tmp_path / f"{i}.fits") for i, im in enumerate((image, again))]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert again.ccd.wcs().wcs.crval.tolist() == [10, 20]
    assert again[2:].ccd.wcs().wcs.crpix.tolist() == [3, 0]


@pytest.mark.versions
@pytest.mark.parametrize("store", STORES)
def test_labels_keep_their_kind(tmp_path: Path, store: str) -> None:
    again = STORES[store](stack_of(), tmp_path)
    assert again["DATE-OBS"].dtype.kind == "M"
    assert np.isnat(again["DATE-OBS"].values).tolist() == [False, True, False]
    assert again.SHUT.values.tolist() == [0, 1, 1]
    assert again.ESO_DET_CHIP_ID.values.tolist() == [0, 1, 2]
    assert [again.attrs[k] for k in ("LAMP", "CLASS_", "EMPTY")] == [1, "science", ""]
    assert again.BIG.values.tolist() == [(1 << 62) + i for i in range(3)]
    assert again.ccd.header(2)["ESO DET/CHIP ID"] == 2
    assert again.ccd.header(2)["LONG"] == ("a text of more than one card, 2 " * 9).rstrip()


@pytest.mark.versions
def test_many_inputs_and_a_dataset(tmp_path: Path) -> None:
    frames = [(np.zeros((1, 1), "f4"), {"FILENAME": f"{i}.fits"}) for i in range(1001)]
    image = xccd.open_stack(frames, chunks=None).ccd.combine()
    for through in STORES.values():
        xr.testing.assert_identical(through(image, tmp_path).compute(), image)
    ds = stack_of().to_dataset(name="data").assign(other=stack_of() * 2)
    ds.to_netcdf(tmp_path / "ds.nc")
    with xr.open_dataset(tmp_path / "ds.nc") as again:
        xr.testing.assert_identical(again.load(), ds.compute())
        assert set(again.ccd.combine().data_vars) == {"data", "other"}
