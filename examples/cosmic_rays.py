"""Remove cosmic rays and a satellite trail from twelve lights, and compare with the simulation's truth files."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

import xccd

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
raw = xccd.simulate_night(folder / "raw", shape=(256, 256), nflat=0, nbias=0)

dark = xccd.open_stack(raw / "dark-120s-*.fits").ccd.combine("median")
lights = xccd.open_stack(raw / "light-r-*.fits").ccd.subtract_dark(dark).compute()
clipped = lights.ccd.sigma_clip(5, 5, center="median", deviation="mad_std", maxiters=None)
image = clipped.ccd.combine("mean")
image.ccd.to_fits(folder / "light-r.fits")

struck = fits.getdata(raw / "truth/cosmic-rays.fits").astype(bool)
noise = float(lights.ccd.combine("mad_std").median())
bright = struck & ((lights - lights.ccd.combine("median")).values > 10 * noise)
found = float(clipped.ccd.mask.values[bright].mean())
lost = float(clipped.ccd.mask.values[~struck].mean())
print(f"{int(bright.sum())} samples struck by more than 10 sigma: {found:.1%} rejected")
print(f"samples that nothing struck: {lost:.2%} rejected")
print("rejected in each frame:", *clipped.ccd.mask.sum(("y", "x")).values)
assert found > 0.99
assert lost < 0.03
assert np.isfinite(image).all()
