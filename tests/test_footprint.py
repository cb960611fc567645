"""Weights of aligned frames by name: the footprint and feathered edges."""

import numpy as np
import pytest
import xarray as xr

import xccd
from sky import noise, stack_of, tan, turned
from xccd.sky import footprint
from xccd.sky.grid import Grid


def weights(kind: str, stack: xr.DataArray) -> np.ndarray:
    found = footprint.weights(kind, stack)
    return np.asarray(
        found.compute() if hasattr(found, "compute") else found.load() if hasattr(found, "load") else found
    )


@pytest.mark.parametrize("kind", ["footprint", "feather"])
def test_they_follow_the_frame(kind):
    shape = (40, 60)
    stack = turned(4, shape)
    aligned = stack.ccd.align()
    found = weights(kind, aligned)
    assert found.shape == aligned.shape
    y, x = np.mgrid[: aligned.sizes["y"], : aligned.sizes["x"]].astype(float)
    for i in range(4):
        px, py = stack.ccd.wcs(i).world_to_pixel(Grid.of(aligned).wcs.pixel_to_world(x, y))
        edge = np.minimum(np.minimum(px + 1, 60 - px), np.minimum(py + 1, 40 - py))
        share = np.clip(np.minimum(px + 1, 60 - px), 0, 1) * np.clip(np.minimum(py + 1, 40 - py), 0, 1)
        expected = share if kind == "footprint" else np.clip(edge / 20.5, 0, 1)
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
    assert (found[np.isfinite(aligned.values)] > 0).all()
    np.testing.assert_array_equal(weights(kind, aligned[1:3, 5:30, 7:]), found[1:3, 5:30, 7:])
    np.testing.assert_array_equal(weights(kind, aligned.load()), found)
    np.testing.assert_array_equal(weights(kind, turned(4, shape, chunks=None).ccd.align()), found)


@pytest.mark.parametrize("kind", ["footprint", "feather"])
@pytest.mark.parametrize("offsets", [[(0, 0), (3, -7)], [(0, 0), (2.5, 1.25)]])
def test_of_frames_at_offsets(kind, offsets):
    aligned = xccd.open_stack([(image, {}) for image in noise(2)]).ccd.align(offsets=offsets)
    found = weights(kind, aligned)
    assert (found[np.isfinite(aligned.values)] > 0).all()
    assert found[0].max() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(weights(kind, aligned[:, 4:, 3:50]), found[:, 4:, 3:50])


def test_they_weigh_a_mosaic():
    """Two levels that meet without a step."""
    values = np.stack([np.full((40, 60), 10.0), np.full((40, 60), 20.0)])
    stack = stack_of(values, [tan((30, 20)), tan((0, 20))])
    aligned = stack.ccd.align()
    feathered = aligned.ccd.combine("mean", weights="feather")
    w = weights("feather", aligned)
    expected = (w * np.array([10, 20])[:, None, None]).sum(0) / w.sum(0)
    np.testing.assert_allclose(feathered, expected, rtol=1e-6)
    row = feathered.values[20]
    assert np.abs(np.diff(row)).max() < 1
    np.testing.assert_array_equal(
        aligned.transpose("y", "x", "frame").ccd.combine("mean", weights="feather"), feathered
    )
    flat = aligned.ccd.combine("mean", weights="footprint")
    np.testing.assert_allclose(flat, aligned.mean("frame"), rtol=1e-6)
    lossless = stack.ccd.to_dataset().ccd.align().ccd.combine("mean", weights="feather")
    np.testing.assert_array_equal(lossless.data, feathered)


def test_frames_that_did_not_change_weigh_alike():
    stack = stack_of(noise(2), [tan((30, 20))] * 2).ccd.align()
    np.testing.assert_array_equal(
        stack.ccd.combine("mean", weights="footprint"), stack.ccd.combine("mean", weights=[1, 1])
    )
    assert weights("feather", stack)[0, 20, 30] > 0.9


def test_errors():
    with pytest.raises(ValueError, match=r"weights='feather' takes frames \(frame, y, x\), this stack has"):
        xr.DataArray(np.ones((2, 3)), dims=("frame", "x")).ccd.combine("mean", weights="feather")
    with pytest.raises(ValueError, match="keep the coordinate 'header'"):
        turned(2).ccd.align().drop_vars("header").ccd.combine("mean", weights="feather")


def test_weights_know_the_frame_after_two_alignments():
    stack = turned(3)
    once = stack.ccd.align()
    target = xccd.Grid.of(once[0]).moved(-2.25, 1.5, (70, 80))
    twice, direct = once.ccd.align(target), stack.ccd.align(target)
    for name in ("feather", "footprint"):
        np.testing.assert_array_equal(weights(name, twice), weights(name, direct))
    for other in (twice, once.ccd.align(once[0])):
        assert other.aligned_from.values.tolist() == direct.aligned_from.values.tolist()
