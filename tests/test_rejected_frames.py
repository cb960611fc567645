"""Frames of which clips reject much more than of the others are named."""

import logging
import warnings

import numpy as np
import pytest
import xarray as xr

import xccd

DIMS = ("frame", "y", "x")


def stack_of(cloudy=(), n=9, size=(40, 50), share=0.3):
    """Noise; of cloudy frames a share of the pixels is far too low."""
    values = np.random.default_rng(0).normal(1000, 5, (n, *size))
    for i in cloudy:
        values[i, : int(share * size[0])] -= 500
    names = ("frame", [f"light-{i}.fits" for i in range(n)])
    return xr.DataArray(values, dims=DIMS, name="data", coords={"file": names})


def clipped(*args, **more):
    return stack_of(*args, **more).ccd.to_dataset().ccd.sigma_clip(5, 5, center="median", deviation="mad_std")


@pytest.mark.parametrize("verb", ["combine", "combine_with_maps"])
def test_a_cloudy_frame_is_named(verb):
    with pytest.warns(
        UserWarning, match=r"rejected were 3\d% of frame 4 \(light-4\.fits\), and 0\.\d% of the median frame: look"
    ):
        getattr(clipped([4]).ccd, verb)("mean")


def test_if_all_frames_lose_much_that_is_said():
    ds = stack_of(n=9).ccd.to_dataset()
    with pytest.warns(UserWarning, match=r"rejected were \d\d% of the median frame: the thresholds, or the noise, may"):
        ds.ccd.reject("noise", 0.1, 0.4, gain=1e6, readnoise=5e6).ccd.combine("mean")


def test_a_few_names_are_enough():
    with pytest.warns(UserWarning, match=r"of frame 0 .*, 3\d% of frame 4 \(light-4\.fits\) and 1 more, and"):
        clipped(range(6), n=21).ccd.combine("mean")


@pytest.mark.parametrize(
    "ds",
    [
        clipped(), clipped([4]).chunk(y=10), clipped([4], share=0.05), clipped([4]).isel(y=slice(10)),
        stack_of([4]).ccd.to_dataset().ccd.minmax(min=900), stack_of([4]).ccd.to_dataset().ccd.clip_extrema(1, 1),
    ],
    ids=["like the others", "lazy", "a small share", "few pixels", "below a limit", "as many of each pixel"],
)  # fmt: skip
def test_what_is_not_told_of(ds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds.ccd.combine("mean")
        ds.ccd.combine_with_maps("mean")


def test_a_clip_that_rejects_nothing_is_logged(caplog):
    caplog.set_level(logging.INFO, "xccd")
    ds = stack_of().ccd.to_dataset()
    ds.ccd.combine("mean")
    assert not caplog.messages
    ds.ccd.sigma_clip(50, 50, center="median", deviation="mad_std").ccd.combine("mean")
    assert caplog.messages == ["combine: the clips rejected no sample of 9 frames"]
    caplog.clear()
    clipped().ccd.combine("mean")
    assert not caplog.messages


def test_one_warning_for_a_tree():
    tree = xr.DataTree.from_dict({"a": clipped([4]), "b": clipped([2])})
    with pytest.warns(UserWarning, match="at the node 'a' .and the like at 1 more") as told:
        xccd.combine(tree, "mean")
    assert len(told) == 1
