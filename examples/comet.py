"""Combine a night twice: on the stars, and on a comet that moves between them."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord

import xccd

RATE = (110.0, 70.0)  # arcseconds an hour, as an ephemeris prints them: RA * cos(Dec), Dec

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
night = xccd.simulate_night(folder / "raw", shape=(256, 320), dither=14.0, nbias=6, ndark=6, nflat=6)
bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("median")
lights = xccd.open_stack(night / "light-r-*.fits").ccd.subtract_bias(bias).load()

# The night has no comet, so one is drawn into each frame: where it was at the middle of the exposure.
middle = lights["DATE-OBS"].values + (lights.EXPTIME.values * 5e8).astype("timedelta64[ns]")
hours = (middle - middle[0]) / np.timedelta64(3600, "s")
start = SkyCoord(*xccd.Grid.of(lights[0]).center, unit="deg")
rows, columns = np.indices(lights.shape[1:])
for i, hour in enumerate(hours):
    dec = start.dec.deg + hour * RATE[1] / 3600
    ra = start.ra.deg + hour * RATE[0] / 3600 / np.cos(np.radians((dec + start.dec.deg) / 2))
    x, y = lights.ccd.wcs(i).world_to_pixel(SkyCoord(ra, dec, unit="deg"))
    lights[i] += 4000 / (1 + ((rows - y) ** 2 + (columns - x) ** 2) / 4)

grid = xccd.Grid.union(lights)
on_stars = lights.ccd.align(grid).ccd.normalize(zero="median").ccd.combine("median")
on_comet = lights.ccd.align(grid, rate=RATE).ccd.normalize(zero="median").ccd.combine("median")
on_stars.ccd.to_fits(folder / "stars.fits")
on_comet.ccd.to_fits(folder / "comet.fits")

x, y = (round(float(v)) for v in grid.wcs.world_to_pixel(start))
peaks = [float(image[y, x] - image.median()) for image in (on_stars, on_comet)]
print(f"the comet moves by {np.hypot(*RATE) * np.ptp(hours):.0f} arcseconds in {lights.sizes['frame']} lights")
print(f"at its place the median has {peaks[0]:.0f} adu on the stars, {peaks[1]:.0f} adu on the comet")
assert peaks[1] > 5 * max(peaks[0], 1)
