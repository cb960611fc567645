"""`plot_pixel` draws the centre and the bounds that `explain` tells."""

import io

import numpy as np
import pytest
import xarray as xr

import xccd

Figure = pytest.importorskip("matplotlib.figure").Figure
rng = np.random.default_rng(3)
SAMPLES = rng.normal(500, 5, (9, 6, 7)).astype(np.float32)
SAMPLES[4, 2, 3] = 700
OPTIONS = {"center": "median", "deviation": "mad_std"}


def stack(lazy: bool = False) -> xr.DataArray:
    made = xccd.open_stack([(frame, {"BUNIT": "adu"}) for frame in SAMPLES])
    return made.chunk(y=2) if lazy else made.load()


def lines(axes) -> dict[str, list[np.ndarray]]:
    """The lines of steps by their style: dashed is the centre, solid are bounds; and the filled band."""
    found: dict[str, list[np.ndarray]] = {}
    for patch in axes.patches:
        data = patch.get_data()
        found.setdefault("band" if patch.get_fill() else patch.get_linestyle(), []).append(data.values)
    return found


@pytest.mark.parametrize("form", ["dask", "numpy", "dataset", "turned dataset"])
def test_bounds_are_those_of_explain(form):
    frames = stack(form == "dask")
    turned = form == "turned dataset"
    if form.endswith("dataset"):
        frames = frames.ccd.to_dataset()
        frames = frames.transpose("x", "frame", "y") if turned else frames
    clipped = frames.ccd.sigma_clip(4, 4, **OPTIONS)
    original = {"original": stack()} if form == "numpy" else {}
    told = clipped.ccd.explain(2, 3, **original).rules[-1]
    axes = clipped.ccd.plot_pixel(2, 3, **original)[0].axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["--"], [told.center])
    np.testing.assert_allclose(drawn["-"], [told.low, told.high])
    assert axes.get_legend_handles_labels()[1][-2:] == ["centre of sigma_clip", "bounds of sigma_clip"]


def test_each_frame_has_its_bounds():
    clipped = stack().ccd.to_dataset().ccd.reject("linear_fit")
    told = clipped.ccd.explain(2, 3).rules[0]
    assert len(set(told.low)) > 1
    np.testing.assert_allclose(lines(clipped.ccd.plot_pixel(2, 3)[0].axes)["-"], [told.low, told.high])


def test_a_side_that_is_off_goes_to_the_edge():
    cut = stack().ccd.to_dataset().ccd.minmax(max=600)
    axes = cut.ccd.plot_pixel(2, 3)[0].axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["-"], [np.full(9, 600.0)])
    np.testing.assert_allclose(drawn["band"], [np.full(9, 600.0)])
    assert [label for label in axes.get_legend_handles_labels()[1] if "of minmax" in label] == ["bounds of minmax"]
    assert axes.get_ylim()[0] > 400  # the picture is as wide as without


def test_the_last_rejection_with_bounds_counts():
    clipped = stack().ccd.to_dataset().ccd.minmax(max=600).ccd.sigma_clip(2, 2, **OPTIONS)
    told = clipped.ccd.explain(2, 3).rules[-1]
    np.testing.assert_allclose(lines(clipped.ccd.plot_pixel(2, 3)[0].axes)["-"], [told.low, told.high])


def test_a_crop_and_own_numbers_of_axes():
    frames = stack().assign_coords(y=np.arange(6) + 1000, x=np.arange(7) * 2)
    clipped = frames.ccd.to_dataset().ccd.sigma_clip(4, 4, **OPTIONS)
    told = clipped.ccd.explain(1002, 6).rules[-1]
    np.testing.assert_allclose(lines(clipped.ccd.plot_pixel(1002, 6)[0].axes)["-"], [told.low, told.high])
    other = frames.rename(y="row", x="column").ccd.to_dataset().ccd.sigma_clip(4, 4, **OPTIONS)
    np.testing.assert_allclose(lines(other.ccd.plot_pixel(1002, 6)[0].axes)["-"], [told.low, told.high])


def test_no_bounds_are_drawn_where_none_are_known():
    frames = stack()
    clipped = frames.ccd.sigma_clip(4, 4, **OPTIONS)
    for points in (
        frames.ccd.plot_pixel(2, 3),
        clipped.ccd.plot_pixel(2, 3),  # in memory, without the stack before
        (clipped * 2).ccd.plot_pixel(2, 3, original=frames),  # other samples than before
        clipped.ccd.plot_pixel(2, 3, original=frames.ccd.to_dataset() * 1),
    ):
        assert len(points) >= 1
    assert not frames.ccd.plot_pixel(2, 3)[0].axes.patches
    assert not clipped.ccd.plot_pixel(2, 3)[0].axes.patches
    assert not (clipped * 2).ccd.plot_pixel(2, 3, original=frames)[0].axes.patches


def test_the_legend_covers_no_sample():
    axes = stack().ccd.to_dataset().ccd.sigma_clip(4, 4, **OPTIONS).ccd.plot_pixel(2, 3)[0].axes
    axes.figure.savefig(io.BytesIO(), format="png")
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.x0 >= frame.x1
    own = Figure().subplots()
    stack().ccd.plot_pixel(2, 3, ax=own)
    assert own.get_legend() is not None
