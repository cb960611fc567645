"""`align` of cubes: each plane as an image, all on one grid, by one map for each frame."""

import numpy as np
import pytest
import xarray as xr

import xccd
from sky import sip, tan
from xccd.sky import pixel_map
from xccd.sky.grid import Grid

AXIS = {"CTYPE3": "WAVE", "CRVAL3": 5e-7, "CDELT3": 1e-9, "CRPIX3": 1.0, "CUNIT3": "m"}


def cubes(n: int = 3, planes: int = 4, chunks="auto", head=tan, **more) -> xr.DataArray:
    rng = np.random.default_rng(0)
    frames = [
        (rng.normal(100, 10, (planes, 40, 60)).astype("f4"), head((30 + 0.3 * i, 20 - 0.2 * i), 3 * i) | AXIS | more)
        for i in range(n)
    ]
    return xccd.open_stack(frames, chunks=chunks)


@pytest.mark.parametrize("chunks", ["auto", None])
@pytest.mark.parametrize("options", [{}, {"method": "exact"}, {"to": 0, "order": "bicubic"}], ids=str)
def test_planes_are_aligned_as_images(chunks, options) -> None:
    stack = cubes(chunks=chunks)
    options = {"to": Grid.union(stack.isel(z=0))} | options
    aligned = stack.ccd.align(**options)
    assert aligned.dims == ("frame", "z", "y", "x")
    for k in range(4):
        np.testing.assert_array_equal(aligned[:, k], stack.isel(z=k).ccd.align(**options))
    assert aligned.align_error.dims == ("frame",)
    assert aligned.z.equals(stack.z)
    assert type(aligned.data) is type(stack.data)


def test_flags_and_lists_go_along() -> None:
    stack = cubes().load()
    stack[1, 2, 10:20, 10:20] = np.nan
    ds = stack.ccd.to_dataset()
    aligned = ds.ccd.align()
    assert aligned.data.dims == aligned.data_flags.dims == ("frame", "z", "y", "x")
    np.testing.assert_array_equal(aligned.data.where(aligned.data_flags == 0), stack.ccd.align())
    np.testing.assert_array_equal(xccd.align([stack[:1], stack[1:]]), stack.ccd.align())
    with pytest.raises(ValueError, match=r"the stacks have .* planes along 'z': give them the same planes"):
        xccd.align([stack[:1], stack[1:, :2]])


def test_colours_of_the_user_are_planes_too() -> None:
    stack = cubes().rename(z="colour").assign_coords(colour=list("RGBL"))
    aligned = stack.transpose("frame", "y", "x", "colour").ccd.align()
    assert aligned.dims == ("frame", "y", "x", "colour")
    assert aligned.colour.values.tolist() == list("RGBL")


def test_what_differs_between_planes_goes_along() -> None:
    level = cubes().ccd.normalize(scale="median", zero="mean")
    for aligned in (level.ccd.align(), xccd.align([level[:1], level[1:]]), level.ccd.align(level.ccd.align())):
        for name in ("scale", "zero"):
            np.testing.assert_array_equal(aligned[name].transpose("frame", "z"), level[name])
    some = xccd.align([cubes()[:1], level[1:]])
    np.testing.assert_array_equal(some.scale[1:], level.scale[1:])


def test_one_map_serves_all_planes(monkeypatch) -> None:
    pixel_map.pixel_map.cache_clear()
    cubes(planes=6, head=sip).ccd.align(Grid.of(tan((30, 20), 9), shape=(40, 60)))
    assert pixel_map.pixel_map.cache_info().misses == 3


def test_the_third_axis_stays(tmp_path) -> None:
    for more in ({}, {"CD3_3": 2e-9}):
        stack = cubes(**more)
        image = stack.ccd.align()[:, 1:].ccd.combine("mean")
        head = image.ccd.header()
        assert (head["CTYPE3"], head["CRVAL3"], head["CRPIX3"]) == ("WAVE", 5e-7, 0.0)
        assert head.get("CD3_3", head.get("CDELT3")) == (2e-9 if more else 1e-9)
        assert image.ccd.wcs().naxis == 2
    assert "CTYPE3" not in stack.isel(z=0, drop=True).ccd.align().ccd.header(0)


def test_stars_of_which_plane() -> None:
    with pytest.raises(ValueError, match=r"say whose stars count, as transforms=stack\.isel\(z=0\)\.ccd\.find_trans"):
        cubes().ccd.align(transforms="similarity")
    moved = cubes().ccd.align(offsets=[(0, 0), (1, 2), (3, 4)])
    assert moved.shape == (3, 4, 43, 64)
