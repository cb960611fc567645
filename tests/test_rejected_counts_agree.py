"""`stats`, `plot_rejection`, `explain` and the mask count the same rejected samples."""

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.headers import common
from xccd.kernels.flags import Flag

OPTIONS = {"center": "median", "deviation": "mad_std"}
rng = np.random.default_rng(8)
SAMPLES = rng.normal(100, 10, (7, 12, 14)).astype(np.float32)
SAMPLES[rng.random(SAMPLES.shape) < 0.08] += 70
SAMPLES[2, 3:5] = np.nan
SAMPLES[3] += 15


def stack(**how) -> xr.DataArray:
    return xccd.open_stack([(frame, {"BUNIT": "adu"}) for frame in SAMPLES], **how)


def shaded(frames: xr.DataArray) -> xr.DataArray:
    """Arithmetic that is no step of a plan."""
    return frames * xr.DataArray(np.ones(14, np.float32), dims="x")


def moved(frames: xr.DataArray) -> xr.DataArray:
    """Aligned: no plan goes back to files."""
    return frames.ccd.align(offsets=[(0, 0)] * 5 + [(1, 0.25), (-1, 2)])


STACKS = {
    "arithmetic": lambda: (shaded(stack()), {}),
    "calibrated": lambda: (stack().ccd.subtract_bias(xr.zeros_like(stack()[0].load())), {}),
    "aligned": lambda: (moved(stack()), {}),
    "aligned, deferred": lambda: (moved(stack(chunks=None)), {}),
    "many chunks": lambda: (stack().chunk(frame=2, y=5), {}),
    "dask": lambda: (stack(), {}),
    "deferred": lambda: (stack(chunks=None), {}),
    "in memory": lambda: (stack().load(), {"original": stack().load()}),
    "dataset": lambda: (stack().ccd.to_dataset(), {}),
    "dataset in memory": lambda: (stack().load().ccd.to_dataset(), {}),
}


def bars(drawn) -> np.ndarray:
    """The percent of each frame in bars that are no grey of missing samples."""
    return sum(
        np.array([bar.get_width() for bar in container])
        for container in drawn
        if not container.get_label().startswith("missing")
    )


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("limits", [False, True])
def test_all_count_the_same(name, limits):
    plt = pytest.importorskip("matplotlib.figure")
    frames, original = STACKS[name]()
    clipped = frames.ccd.minmax(max=150) if limits else frames
    clipped = clipped.ccd.sigma_clip(2, 2, **OPTIONS)
    samples = (frames["data"] if isinstance(frames, xr.Dataset) else frames).compute().values
    good = np.isfinite(samples)
    if isinstance(clipped, xr.Dataset):
        flags = clipped["data_flags"].compute().values
        out = (flags != 0) & good
        beyond = np.count_nonzero(flags & np.uint8(Flag.ABOVE_MAXIMUM), axis=(1, 2))
    else:
        out = ~np.isfinite(clipped.compute().values) & good
        beyond = np.count_nonzero(samples > 150, axis=(1, 2))
    every = out.sum((1, 2))
    beyond = beyond if limits else np.zeros(7, int)
    table = clipped.ccd.stats(**original).compute()
    told_apart = 0 if original else beyond  # in memory nobody tells limits from clips
    np.testing.assert_array_equal(table.rejected_low + table.rejected_high, every - told_apart)
    np.testing.assert_allclose(table.rejected, (every - told_apart) / samples[0].size)
    axes = plt.Figure().subplots()
    drawn = clipped.ccd.plot_rejection(*original.values(), what="frames", ax=axes)
    np.testing.assert_allclose(bars(drawn), 100 * every / samples[0].size)
    worst = int(every.argmax())
    title = axes.get_title()
    assert title.startswith(f"most are rejected of frame-{worst + 1}: {100 * every[worst] / samples[0].size:.2g} %")
    assert title.endswith("% by limits") == bool(limits and not original and beyond[worst])
    y, x = np.argwhere(out.any(0))[5]
    told = clipped.ccd.explain(int(y), int(x), **original)
    np.testing.assert_array_equal(told.rejected, out[:, y, x])
    kept, *others = clipped.ccd.plot_pixel(int(y), int(x), **original)
    np.testing.assert_allclose(kept.get_offsets()[:, 1], samples[told.kept, y, x])
    away = [at for some in others if "no value" not in some.get_label() for at in some.get_offsets().tolist()]
    assert sorted(away) == [[i, samples[i, y, x]] for i in np.flatnonzero(out[:, y, x])]


def test_one_other_wcs_is_enough_to_know_that_grids_differ(monkeypatch):
    """Dithered frames have a WCS each: a hundred of them took a hundred WCS of astropy."""
    wcs = "CTYPE1  = 'RA---TAN'\nCTYPE2  = 'DEC--TAN'\nCRPIX2  = 5.0\nCD1_1   = -0.001\nCD2_2   = 0.001\nCRPIX1  = "
    seen = []
    made = common._positions
    monkeypatch.setattr(common, "_positions", lambda text: seen.append(text) or made(text))
    assert not common.same_grid([f"{wcs}{i}.0" for i in range(50)])
    assert len(seen) == 2
    assert common.same_grid([f"{wcs}{text}" for text in ("7.0", "7.00", "0.7E1")])
    assert not common.same_grid(["CTYPE1  = 'RA---TAN'", f"{wcs}1.0"])
