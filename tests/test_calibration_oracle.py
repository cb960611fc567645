"""All steps of a calibration of float64 frames, against numbers of more digits."""

import numpy as np
import pytest
from astropy.io import fits

import xccd

RNG = np.random.default_rng(31)
SHAPE, STRIP, N = (40, 30), 6, 5
TIMES, GAINS = np.array([10.0, 33.0, 60.0, 77.7, 120.0]), np.array([1.1, 1.2, 1.3, 1.4, 1.5])
LONG = np.longdouble
# The rounding of a few operations in float64, over the level of the samples as read.
EXACT = {"rtol": 1e-12, "atol": 1e-12 * 2000}


def files(folder):
    """Raw frames with overscan at their left, bias, dark and flat as float64."""
    whole = (SHAPE[0], SHAPE[1] + STRIP)
    frames = RNG.normal(2000, 30, (N, *whole))
    masters = {"bias": RNG.normal(40, 3, SHAPE), "dark": RNG.normal(7, 1, SHAPE), "flat": RNG.normal(2e4, 900, SHAPE)}
    cards = {"BIASSEC": f"[1:{STRIP},1:{SHAPE[0]}]", "TRIMSEC": f"[{STRIP + 1}:{whole[1]},1:{SHAPE[0]}]"}
    for i, frame in enumerate(frames):
        own = cards | {"EXPTIME": TIMES[i], "GAIN": GAINS[i], "BUNIT": "adu"}
        fits.PrimaryHDU(frame, fits.Header(own)).writeto(folder / f"light-{i}.fits")
    for name, image in masters.items():
        head = fits.Header({"IMAGETYP": name, "EXPTIME": 60.0, "BIASCOR": "bias.fits", "LTV1": -STRIP})
        fits.PrimaryHDU(image, head).writeto(folder / f"{name}.fits")
    return frames, masters


@pytest.mark.parametrize("chunks", [None, {"y": 9}, "eager"])
@pytest.mark.parametrize(("method", "norm"), [("mean", "mean"), ("median", "median")])
def test_float64_is_exact_to_1e_12(tmp_path, method, norm, chunks):
    frames, masters = files(tmp_path)
    frames, masters = frames.astype(LONG), {name: image.astype(LONG) for name, image in masters.items()}
    level = getattr(np, method)(frames[:, :, :STRIP], axis=2, keepdims=True)
    expected = (frames - level)[:, :, STRIP:] - masters["bias"]
    expected = expected - masters["dark"] * (TIMES.astype(LONG) / 60)[:, None, None]
    expected = expected / (masters["flat"] / getattr(np, norm)(masters["flat"]))
    expected = expected * GAINS.astype(LONG)[:, None, None]

    stack = xccd.open_stack(tmp_path / "light-*.fits", chunks=None if chunks == "eager" else chunks)
    stack = stack.compute() if chunks == "eager" else stack
    part = stack.ccd.subtract_overscan(method=method).ccd.trim().ccd.subtract_bias(tmp_path / "bias.fits")
    flat = part.ccd.subtract_dark(tmp_path / "dark.fits").ccd.flat_correct(tmp_path / "flat.fits", norm=norm)
    found = flat.ccd.gain_correct("GAIN")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.values, expected.astype(float), **EXACT)
    mean = found.ccd.clip_extrema(1, 1).ccd.combine("mean").values
    np.testing.assert_allclose(mean, np.sort(expected, axis=0)[1:-1].mean(0).astype(float), **EXACT)
