"""Frames at offsets: slices, canvases, and what a user may give."""

import numpy as np
import pytest
from scipy.ndimage import shift

import xccd
from sky import noise, stack_of, tan
from xccd.sky.grid import Grid

PAIRS = [(0, 0), (3, -7), (-2, 5)]


def plain(**options):
    return xccd.open_stack([(image, {"EXPTIME": 5.0}) for image in noise(3)], **options)


@pytest.mark.parametrize("options", [{}, {"chunks": None}], ids=str)
def test_union_and_intersection(options):
    images = noise(3)
    union = plain(**options).ccd.align(offsets=PAIRS)
    assert union.shape == (3, 45, 72)
    for i, (dy, dx) in enumerate(PAIRS):
        np.testing.assert_array_equal(union[i, dy + 2 : dy + 42, dx + 7 : dx + 67], images[i])
        assert np.isfinite(union[i]).sum() == 2400
    inner = plain(**options).ccd.align("intersection", offsets=PAIRS)
    assert inner.shape == (3, 35, 48)
    np.testing.assert_array_equal(inner, union[:, 5:40, 12:60])
    second = plain(**options).ccd.align(1, offsets=PAIRS)
    np.testing.assert_array_equal(second[1], images[1])
    np.testing.assert_array_equal(second[0, :37, 7:], images[0, 3:, :53])
    assert union.EXPTIME.values.tolist() == [5, 5, 5]


def test_integers_are_copied_and_fractions_interpolated():
    image = noise(1)[0]
    stack = xccd.open_stack([(image, {}), (image, {})])
    aligned = stack.ccd.align(0, offsets=[(0, 0), (0.25, -0.5)])
    expected = shift(image, (0.25, -0.5), order=1)
    np.testing.assert_allclose(aligned[1, 2:-2, 2:-2], expected[2:-2, 2:-2])
    np.testing.assert_array_equal(aligned[0], image)
    ds = stack.ccd.to_dataset(uncertainty=1.0).ccd.align(0, offsets=[(0, 0), (0, -0.5)])
    np.testing.assert_allclose(ds.data_uncertainty[1, :, 2:-2], np.sqrt(0.5))
    assert (ds.data_flags[1, :, -1] == 0).all()  # half of it


def test_what_may_be_given():
    stack = plain()
    expected = stack.ccd.align(offsets=PAIRS)
    moved = (np.array(PAIRS) + [100, 7]).tolist()  # from anywhere
    for offsets in (np.array(PAIRS, "i2"), moved, PAIRS):
        np.testing.assert_array_equal(stack.ccd.align(offsets=offsets), expected)
    labelled = stack.assign_coords(dy=("frame", [0, 3, -2]), dx=("frame", [0, -7, 5]))
    np.testing.assert_array_equal(labelled.ccd.align(offsets=("dy", "dx")), expected)
    heads = [{"LTV1": float(-dx), "LTV2": float(-dy)} for dy, dx in PAIRS]
    np.testing.assert_array_equal(stack_of(noise(3), heads).ccd.align(offsets="physical"), expected)
    sky = [tan((30.2 - dx, 20.7 - dy), 33) for dy, dx in PAIRS]
    by_wcs = stack_of(noise(3), sky).ccd.align(offsets="wcs")
    np.testing.assert_array_equal(by_wcs, expected)
    world = Grid.of(by_wcs).wcs.all_pix2world([[7, 2]], 0)
    np.testing.assert_allclose(world, stack_of(noise(1), sky[:1]).ccd.wcs(0).all_pix2world([[0, 0]], 0))
    rounded = [tan((30.2 - dx + 0.3, 20.7 - dy - 0.4), 33) for dy, dx in PAIRS]
    np.testing.assert_array_equal(stack_of(noise(3), [sky[0], *rounded[1:]]).ccd.align(offsets="wcs"), expected)
    side_by_side = stack.ccd.align(offsets="grid 2 100 3 50")
    assert side_by_side.shape == (3, 90, 160)
    np.testing.assert_array_equal(side_by_side.ccd.combine("sum")[50:, :60], noise(3)[2])
    shapes = xccd.open_frames([(np.ones((4, 5)), {}), (np.ones((6, 3)), {})])
    assert xccd.align(shapes, offsets=[(0, 0), (2, 2)]).shape == (2, 8, 5)


@pytest.mark.parametrize(
    ("offsets", "error", "match"),
    [
        ([(0, 0)], ValueError, r"offsets has shape \(1, 2\): give a pair \(rows, columns\) for each of 3 frames"),
        ([(0, 0), (1, np.nan), (0, 0)], ValueError, r"offsets of frame 1 are \[1.0, nan\]: give numbers"),
        ([(0, 0), (1, 1e9), (0, 0)], ValueError, r"offsets reach 1e\+09 pixels"),
        ({"y": 1}, TypeError, "offsets={'y': 1} are no numbers: give a pair"),
        (5, ValueError, r"offsets has shape \(\): give a pair"),
        ("sideways", ValueError, "offsets='sideways' is unknown: give pairs, two names of coordinates, 'wcs'"),
        ("grid 1 10 2 10", ValueError, "offsets='grid 1 10 2 10' has 2 places for 3 frames"),
        ("wcs", ValueError, "there is no WCS"),
        (("up", "right"), ValueError, "offsets='up' is no coordinate on 'frame'"),
    ],
    ids=str,
)
def test_errors(offsets, error, match):
    with pytest.raises(error, match=match):
        plain().ccd.align(offsets=offsets)


def test_more_errors():
    with pytest.raises(ValueError, match="the frames have no pixel in common at these offsets"):
        plain().ccd.align("intersection", offsets=[(0, 0), (0, 100), (0, 0)])
    turned = stack_of(noise(2), [tan((30, 20)), tan((30, 20), 5)])
    with pytest.raises(ValueError, match=r"offsets='wcs': frame 1 \(.*\) is turned or stretched"):
        turned.ccd.align(offsets="wcs")
    with pytest.raises(ValueError, match="method='exact' with offsets="):
        plain().ccd.align(offsets=PAIRS, method="exact")
    bare = plain().drop_vars("header")
    with pytest.raises(ValueError, match="offsets='physical' needs the headers"):
        bare.ccd.align(offsets="physical")
    assert bare.ccd.align(offsets=PAIRS).shape == (3, 45, 72)
