"""Monte Carlo: the claimed error of a calibrated, combined pixel is the scatter about the truth, masters drawn anew."""

import numpy as np
import pytest
import xarray as xr

N, TRIALS = 8, (150, 200)  # frames; independent pixels, each with masters of its own


def master(values, variance, **attrs):
    image = xr.DataArray(values, dims=("y", "x"), attrs=attrs)
    return image.ccd.to_dataset(uncertainty=np.sqrt(np.broadcast_to(variance, values.shape)))


@pytest.mark.parametrize("method", ["mean", "median", "sum"])
@pytest.mark.parametrize(("same_bias", "s"), [(False, 1.0), (True, 0.5), (True, 2.0)])
def test_the_claimed_error_is_the_scatter(method, same_bias, s):
    """With a common part as large as the part of the frames."""
    rng = np.random.default_rng(3)
    v, vb, vd, vf = 30.0, 3.0, 4.0, 2e-5
    truth = 500.0
    bias_error, dark_error = (rng.normal(0, np.sqrt(x), TRIALS) for x in (vb, vd))
    bias = 1000 + bias_error
    dark = 20 + dark_error - (bias_error if same_bias else 0)  # a dark whose bias was taken off
    flat = 1 + rng.normal(0, np.sqrt(vf), TRIALS)
    frames = 1000 + s * 20 + truth + rng.normal(0, np.sqrt(v), (N, *TRIALS))
    stack = xr.DataArray(frames, dims=("frame", "y", "x")).ccd.to_dataset(uncertainty=np.sqrt(v))
    masters = [master(bias, vb), master(dark, vd + same_bias * vb, BIASCOR="bias.fits"), master(flat, vf)]
    masters[0].encoding["source"] = "bias.fits" if same_bias else "other.fits"
    found = stack.ccd.subtract_bias(masters[0]).ccd.subtract_dark(masters[1], scale=s)
    found = found.ccd.flat_correct(masters[2], norm=None).ccd.combine(method)
    right = truth * (N if method == "sum" else 1)
    scatter = np.sqrt(np.mean((found.data.values - right) ** 2))
    claimed = np.sqrt(np.mean(found.data_uncertainty.values**2))
    assert claimed == pytest.approx(scatter, rel=0.02)


def test_a_clipped_mean_of_lights_with_photon_noise():
    """From raw counts: bias of few frames, errors from gain and read noise, a clip at 3.5 sigma, the mean."""
    rng = np.random.default_rng(4)
    gain, readnoise, light = 1.5, 6.0, 300.0

    def read(electrons, n):
        return 1000 + (rng.poisson(electrons, (n, *TRIALS)) + rng.normal(0, readnoise, (n, *TRIALS))) / gain

    bias = master(read(0, 5).mean(0), (readnoise / gain) ** 2 / 5)
    lights = xr.DataArray(read(light * gain, 20), dims=("frame", "y", "x")).ccd.to_dataset()
    ready = lights.ccd.subtract_bias(bias).ccd.create_deviation(gain, readnoise)
    made = ready.ccd.sigma_clip(3.5, 3.5).ccd.combine("mean")
    scatter = np.sqrt(np.mean((made.data.values - light) ** 2))
    claimed = np.sqrt(np.mean(made.data_uncertainty.values**2))
    assert claimed == pytest.approx(scatter, rel=0.02)
