"""Calls that mypy must refuse: each line has an error, nothing runs it."""

import xarray as xr

import xccd
from xccd.accessor import CCDAccessor

array, ds = xr.DataArray(), xr.Dataset()
xccd.combine(array, "medain")
xccd.combine(array, maps=["cuont"])
xccd.sigma_clip(array, 3, 3, center="mode")
xccd.sigma_clip(array, 3, 3, preset="dragons")
xccd.align(array, method="spline")
xccd.align(array, order="linear")
xccd.align(array, flux="sum")
xccd.find_transforms(array, "homography")
xccd.find_offsets(array, "centroid")
xccd.debayer(array, "ahd")
xccd.subtract_overscan(array, axis="z")
xccd.open_stack("a.fits", errors="ignore")
xccd.open_stack("a.fits", flip="UP")
xccd.reduce(".", output="out", errors="nan")
xccd.combine(3)
xccd.set_options(engine="cuda")
xccd.set_options(thread=3)
CCDAccessor(ds).combine("medain")
CCDAccessor(ds).sigma_clip(sigma=3)
