"""A mosaic of dithered lights: calibrate, align, match the skies, clip, combine with feathered edges."""

import tempfile
from pathlib import Path

import numpy as np

import xccd


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        night = xccd.simulate_night(folder, shape=(256, 320), dither=14.0, nbias=6, ndark=6, nflat=6, overwrite=True)
        bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("median")
        dark = (xccd.open_stack(night / "dark-120s-*.fits") - bias).ccd.combine("median")
        flat = (xccd.open_stack(night / "flat-r-*.fits") - bias).ccd.normalize(scale="median").ccd.combine("median")
        gain = (flat.compute() / flat.compute().median()).where(lambda level: level > 0.1)
        lights = (xccd.open_stack(night / "light-r-*.fits") - bias - dark) / gain

        aligned = lights.ccd.align()
        level = aligned.ccd.normalize(zero="overlap")
        clipped = level.ccd.sigma_clip(3, 3, center="median", deviation="mad_std", floor=1)
        mosaic = clipped.ccd.combine("mean", weights="feather").compute()
        path = mosaic.ccd.to_fits(Path(folder) / "mosaic.fits")

        print(f"{lights.sizes['frame']} lights of {lights.sizes['y']} x {lights.sizes['x']} pixels")
        print(f"on {xccd.Grid.of(path)}")
        print(f"positions off by {float(aligned.align_error.max()):.1e} pixel at most")
        print(f"skies differed by {float(np.ptp(level.zero.values)):.1f} adu")
        print(f"{int(np.isfinite(mosaic).sum())} pixels have a value, written to {path.name}")


if __name__ == "__main__":
    main()
