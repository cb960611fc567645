"""A night of a one-shot colour camera: calibrated, debayered, registered, clipped, combined, and a picture of it."""

import tempfile
from pathlib import Path

import numpy as np

import xccd

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
night = xccd.simulate_night(folder / "raw", seed=5, shape=(320, 320), nlight=9, dither=6.0, bayer="RGGB")

bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("mean")
dark = xccd.open_stack(night / "dark-120s-*.fits").ccd.subtract_bias(bias).ccd.combine("median")
flat = xccd.open_stack(night / "flat-*.fits").ccd.subtract_bias(bias).ccd.combine("median")
lights = xccd.open_stack(night / "light-*.fits")
# "cfa": each colour of the flat over its own level, so that the colour of the lamp does not go into the lights.
# min_value=: a dead column becomes missing. A missing sample colours no neighbour, and dithered frames fill its place.
lights = lights.ccd.subtract_bias(bias).ccd.subtract_dark(dark).ccd.flat_correct(flat, norm="cfa", min_value=0.2)

colours = lights.ccd.debayer()  # (frame, channel, y, x)
transforms = colours.ccd.find_transforms()  # from the mean of the channels: one for all three
aligned = colours.ccd.align("intersection", transforms=transforms)
clipped = aligned.ccd.sigma_clip(3, 3, center="median", deviation="mad_std")
image = clipped.ccd.combine("mean").compute()
path = image.ccd.to_fits(folder / "colour.fits")

dimensions = " x ".join(f"{size} {name}" for name, size in image.sizes.items())
print(f"{lights.sizes['frame']} lights, {dimensions}, written to {path.name}")
sky = image.median(("y", "x"))
print("the sky in red and blue, over green:", *(sky / sky.sel(channel="G")).values[[0, 2]].round(2))
assert np.allclose(sky / sky.sel(channel="G"), [1.2, 1.0, 0.8], rtol=0.02)
assert xccd.open_image(path).dims == ("channel", "y", "x")
