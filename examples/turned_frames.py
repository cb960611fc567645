"""Stack frames without a WCS that are shifted, turned and upside down: matched by their stars, clipped, combined."""

import tempfile
from pathlib import Path

import numpy as np

import xccd

rng = np.random.default_rng(1)
rows, columns, hot = 240, 320, 100
v, u = np.mgrid[:rows, :columns]
x, y = rng.uniform(-220, 220, (2, 160))  # stars, from the centre of the field
peak = 40 + rng.exponential(500, x.size)
faults = rng.integers(0, rows, hot), rng.integers(0, columns, hot)


def exposure(degrees: float) -> np.ndarray:
    """A frame with its centre anywhere within 12 pixels, turned, with the camera's hot pixels."""
    dx, dy = rng.uniform(-12, 12, 2)
    image = rng.normal(1000, 10, (rows, columns))
    for place, height in zip((x + 1j * y) * np.exp(1j * np.deg2rad(degrees)), peak, strict=True):
        image += height * np.exp(-((u - 159.5 - dx - place.real) ** 2 + (v - 119.5 - dy - place.imag) ** 2) / 3.2)
    image[faults] += 2000
    return image


angles = [0, 4, 8, 12, 192, 196, 200, 204]  # the last four after a meridian flip
stack = xccd.open_stack([(exposure(a), {"EXPTIME": 60.0, "OBJECT": "a field"}) for a in angles])

found = stack.ccd.find_transforms(reference="best")
aligned = stack.ccd.align("intersection", transforms=found, order="lanczos3")
clipped = aligned.ccd.sigma_clip(3, 3, center="median", deviation="mad_std")
image = clipped.ccd.combine("mean").compute()
path = image.ccd.to_fits(Path(tempfile.mkdtemp(prefix="xccd-example-")) / "field.fits")

turned = (found.rotation - found.rotation[0]).values
for angle, turn, residual, stars in zip(angles, turned, found.residual.values, found.stars_matched.values, strict=True):
    print(f"turned by {angle:3d} degrees, found {-turn % 360:6.2f}, {stars} stars within {residual:.2f} pixel")
print(f"{image.sizes['y']} x {image.sizes['x']} pixels that all frames show, written to {path.name}")
assert np.allclose(np.exp(1j * np.deg2rad(turned + angles)), 1, atol=1e-3)
assert np.isfinite(image).all()
