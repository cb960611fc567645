"""Frames of different quality: weights by inverse variance, and the uncertainty of their mean computed by hand."""

import numpy as np
import xarray as xr

import xccd

rng = np.random.default_rng(1)
sigma = np.array([1.0, 1.0, 2.0, 2.0, 4.0, 8.0])  # clouds came in
pixels = 100 + rng.normal(size=(6, 200, 200)) * sigma[:, None, None]
stack = xr.DataArray(pixels, dims=("frame", "y", "x"), coords={"SKYNOISE": ("frame", sigma)})

plain = stack.ccd.combine("mean")
by_keyword = stack.ccd.combine("mean", weights=1 / stack.SKYNOISE**2)
by_function = stack.ccd.combine("mean", weights=lambda frame: 1 / frame.var())  # measured in the frame itself

claimed_plain = np.sqrt((sigma**2).sum()) / 6
claimed_weighted = 1 / np.sqrt((1 / sigma**2).sum())
print("error of the mean   claimed  measured")
for name, image, claim in (
    ("equal weights", plain, claimed_plain),
    ("1/sigma^2", by_keyword, claimed_weighted),
    ("1/frame.var()", by_function, claimed_weighted),
):
    measured = float(image.std())
    print(f"{name:<18} {claim:8.3f} {measured:9.3f}")
    assert abs(measured / claim - 1) < 0.03

scatter = stack.ccd.combine("std", ddof=1) / np.sqrt(stack.ccd.count())  # from the frames themselves, equal weights
print(f"scatter says for equal weights: {float(np.sqrt((scatter**2).mean())):.3f}")
print(f"xccd {xccd.__version__}")
