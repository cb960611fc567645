"""Calls whose types must be known: mypy reads this file, nothing runs it."""

from pathlib import Path
from typing import assert_type

import xarray as xr

import xccd
from xccd.accessor import CCDAccessor

# What goes in comes out.
array, ds, tree = xr.DataArray(), xr.Dataset(), xr.DataTree()
assert_type(xccd.sigma_clip(array, 3, 3), xr.DataArray)
assert_type(xccd.sigma_clip(ds, 3, 3, center="median", deviation="mad_std", preset="iraf"), xr.Dataset)
assert_type(xccd.minmax(tree, 0, 60000), xr.DataTree)
assert_type(xccd.reject(ds, "winsorized"), xr.Dataset)
assert_type(xccd.reject(array, "mine"), xr.DataArray)  # a registered one has any name
assert_type(xccd.combine(array, "median"), xr.DataArray)
assert_type(xccd.combine(tree, lambda values, axis: values[0]), xr.DataTree)
assert_type(xccd.combine_with_maps(array, maps=["count", "flags"], uncertainty="scatter"), xr.Dataset)
assert_type(xccd.combine_with_maps(tree), xr.DataTree)
assert_type(xccd.normalize(ds, "median", to="mean"), xr.Dataset)
assert_type(xccd.align(array, method="drizzle", kernel="gaussian", flux="total"), xr.DataArray)
assert_type(xccd.align(tree, order="lanczos3"), xr.DataTree)
assert_type(xccd.align([array, array]), xr.DataArray)
assert_type(xccd.align(xccd.open_frames("*.fits")), xr.DataArray)
assert_type(xccd.refine_wcs([ds]), list[xr.Dataset])
assert_type(xccd.refine_wcs(tree, reference="best"), xr.DataTree)
assert_type(xccd.cutout(ds, "12 34", "1 arcmin"), xr.Dataset)
assert_type(xccd.create_deviation(array), xr.Dataset)
assert_type(xccd.subtract_overscan(tree, method="mean", axis="y"), xr.DataTree)
assert_type(xccd.flat_correct(ds, ds), xr.Dataset)
assert_type(xccd.debayer(array, "vng", pattern="RGGB"), xr.DataArray)
assert_type(xccd.count(ds), xr.Dataset)
assert_type(xccd.mask(tree), xr.DataTree)

# What opens, measures and writes.
assert_type(xccd.open_stack("*.fits", errors="skip", flip="TOP-DOWN"), xr.DataArray)
assert_type(xccd.open_dataset("*.fits", uncertainty_type="var"), xr.Dataset)
assert_type(xccd.open_tree("."), xr.DataTree)
assert_type(xccd.find_offsets(array, "phase"), xr.DataArray)
assert_type(xccd.find_transforms([array], "affine"), xr.Dataset)
assert_type(xccd.to_fits(array, "a.fits"), Path)
assert_type(xccd.to_fits(tree, "out"), list[Path])

# The accessor passes the types on.
assert_type(CCDAccessor(array).sigma_clip(3, 3), xr.DataArray)
assert_type(CCDAccessor(ds).combine("mean"), xr.Dataset)
assert_type(CCDAccessor(tree).align(order="nearest"), xr.DataTree)
assert_type(CCDAccessor(tree).reject("esd"), xr.DataTree)
assert_type(CCDAccessor(array).stats(stars=True), xr.Dataset)
assert_type(CCDAccessor(array).to_zarr("a.zarr"), Path)

with xccd.set_options(threads=2, engine="numpy", memory="2 GB", progress=True):
    pass
try:
    xccd.open_stack("*.fits")
except xccd.XccdError as error:
    assert_type(error, xccd.XccdError)
