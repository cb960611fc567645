"""Raw colour frames as three stacks: whose pixel is whose, and images by drizzle."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from sky import stack_of, tan
from xccd.labels.lazy import array_of

LEVELS = {"R": 10.0, "G": 20.0, "B": 30.0}
NODES = {"red": "R", "green": "G", "blue": "B"}


def mosaic(pattern, shape=(6, 8), first=(0, 0)):
    """A frame that has its colour's level in each pixel; ``first`` is its first pixel in the pattern."""
    rows, columns = (np.arange(n) + start for n, start in zip(shape, first, strict=True))
    letters = np.array(list(pattern)).reshape(2, 2)[np.ix_(rows % 2, columns % 2)]
    return np.vectorize(LEVELS.get)(letters)


def check(planes, image):
    assert list(planes.children) == list(NODES)
    for node, letter in NODES.items():
        found = planes[node]["data"].transpose("frame", "y", "x").values
        expected = np.where(image == LEVELS[letter], image, np.nan)
        np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
@pytest.mark.parametrize("first", [(0, 0), (0, 1), (1, 0), (3, 5)])
def test_each_pixel_is_in_the_stack_of_its_colour(pattern, first):
    image = mosaic(pattern, first=first)
    cards = {"BAYERPAT": pattern.lower(), "XBAYROFF": first[1], "YBAYROFF": float(first[0])}
    stack = xccd.open_stack([(image, cards)] * 2)
    check(stack.ccd.bayer_planes(), image)
    check(stack[:, 1:5, 3:].ccd.bayer_planes(), image[1:5, 3:])  # a crop keeps its colours
    check(stack[:, 1:, ::3].ccd.bayer_planes(), image[1:, ::3])
    check(stack.transpose("y", "x", "frame").ccd.bayer_planes(), image)
    check(stack.drop_vars(["y", "x"]).ccd.bayer_planes(), image)
    here = "".join({v: k for k, v in LEVELS.items()}[v] for v in image[:2, :2].ravel())
    check(xccd.open_stack([(image, {})] * 2).ccd.bayer_planes(here), image)
    check(xccd.open_stack([(image, {"BAYERPAT": "TRUE"})]).ccd.bayer_planes(pattern=here), image)


def test_a_crop_in_its_file():
    """LTV numbers the pixels of the file from others than 0; BAYERPAT is of the file."""
    image = mosaic("GRBG")
    stack = xccd.open_stack([(image, {"BAYERPAT": "GRBG", "LTV1": -7.0, "LTV2": -3.0})])
    assert stack.x.values[0] == 7
    check(stack.ccd.bayer_planes(), image)
    check(stack[:, 1:, 1:].ccd.bayer_planes(), image[1:, 1:])
    several = [(image, {"BAYERPAT": "GRBG", "LTV1": x}) for x in (-7.0, -4.0)]
    check(xccd.open_stack(several).ccd.bayer_planes(), image)


def test_rows_from_the_bottom(tmp_path):
    even, odd = mosaic("RGGB"), mosaic("RGGB", (5, 8))
    top, bottom = {"BAYERPAT": "RGGB", "ROWORDER": "TOP-DOWN"}, {"BAYERPAT": "RGGB", "ROWORDER": "bottom_up"}
    check(xccd.open_stack([(even, top)]).ccd.bayer_planes(), even)
    fits.PrimaryHDU(odd, fits.Header(bottom)).writeto(tmp_path / "odd.fits")
    check(xccd.open_stack(tmp_path / "odd.fits")[:, 1:].ccd.bayer_planes(), odd[1:])  # from either end it is the same
    stack = xccd.open_stack([(even, bottom)])
    with pytest.raises(ValueError, match=r"frame 0 \(frame-1\) has ROWORDER = 'BOTTOM-UP' .* \(here RGGB or GBRG\)"):
        stack.ccd.bayer_planes()
    check(stack.ccd.bayer_planes("RGGB"), even)


@pytest.mark.parametrize("chunks", ["auto", None])
def test_flags_maps_and_laziness(chunks):
    image = mosaic("RGGB")
    stack = xccd.open_stack([(image, {"BAYERPAT": "RGGB"})] * 2, chunks=chunks)
    planes = stack.ccd.bayer_planes()
    assert all(type(array_of(planes[n]["data"])).__name__ != "ndarray" for n in NODES)
    assert planes["red"]["data"].attrs["history"].endswith("xccd.bayer_planes(colour='red')")
    ds = stack.ccd.to_dataset(uncertainty=2.0)
    flagged = ds.ccd.bayer_planes()
    for node, letter in NODES.items():
        np.testing.assert_array_equal(flagged[node]["data"], ds.data)
        others = np.broadcast_to(image != LEVELS[letter], (2, *image.shape))
        np.testing.assert_array_equal(flagged[node]["data_flags"], others.astype(np.uint8))
        assert "data_uncertainty" in flagged[node]


@pytest.mark.parametrize(("flagged", "kernel"), [(False, "square"), (True, "point")])
def test_three_images_by_drizzle(flagged, kernel):
    """Dithered frames of a scene that has a slope in each colour: no colour leaks, all pixels are filled."""
    rng = np.random.default_rng(0)
    shape = (40, 50)
    at = [(25 + dx, 20 + dy) for dy, dx in rng.uniform(-5, 5, (16, 2))]
    y, x = np.mgrid[: shape[0], : shape[1]] + 1.0
    images = [mosaic("GBRG", shape) * (1 + 0.01 * (x - px) + 0.02 * (y - py)) for px, py in at]
    stack = stack_of(images, [tan(p, BAYERPAT="GBRG") for p in at])
    planes = (stack.ccd.to_dataset() if flagged else stack).ccd.bayer_planes()
    grid = xccd.Grid.of(tan((10, 10)), shape=(20, 20))
    made = planes.ccd.align(grid, method="drizzle", kernel=kernel).ccd.combine("mean", weights="drizzle")
    y, x = np.mgrid[:20, :20] - 9.0
    for node, letter in NODES.items():
        image = made[node]["data"].values
        assert np.isfinite(image).all()
        np.testing.assert_allclose(image, LEVELS[letter] * (1 + 0.01 * x + 0.02 * y), rtol=0.015)


PLAIN = xccd.open_stack([(np.ones((4, 4)), {})] * 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: PLAIN.ccd.bayer_planes(), ValueError, r"frame 0 \(frame-1\) has no BAYERPAT: give pattern='RGGB'"),
        (lambda: xr.DataArray(np.ones((1, 2, 2)), dims=("frame", "y", "x")).ccd.bayer_planes(), ValueError,
         "these frames have no headers, and so no BAYERPAT: give pattern="),
        (lambda: xccd.open_stack([(np.ones((4, 4)), {"BAYERPAT": "TRUE"})]).ccd.bayer_planes(), ValueError,
         r"frame 0 \(frame-1\) has BAYERPAT = 'TRUE', which is none of RGGB, BGGR, GRBG, GBRG: give pattern="),
        (lambda: xccd.open_stack([(np.ones((4, 4)), {"BAYERPAT": "RGBG"})]).ccd.bayer_planes(), ValueError,
         "has BAYERPAT = 'RGBG', which is none"),
        (lambda: xccd.open_stack([(np.ones((4, 4)), {"BAYERPAT": "RGGB", "XBAYROFF": 0.5})]).ccd.bayer_planes(),
         ValueError, r"has BAYERPAT = 'RGGB at \(0.5, 0\)', which is none"),
        (lambda: xccd.open_stack([(np.ones((4, 4)), c) for c in ({"BAYERPAT": "RGGB"}, {})]).ccd.bayer_planes(),
         ValueError, r"frame 1 \(frame-2\) has no BAYERPAT"),
        (lambda: PLAIN.ccd.bayer_planes("RGBG"), ValueError, "pattern='RGBG' is unknown: use one of RGGB, BGGR"),
        (lambda: PLAIN.ccd.bayer_planes(7), ValueError, "pattern=7 is unknown"),
        (lambda: PLAIN[0].ccd.bayer_planes(), ValueError, "has the dimension 'frame'"),
        (lambda: PLAIN.expand_dims("z").ccd.bayer_planes("RGGB"), ValueError,
         r"bayer_planes takes frames \(frame, y, x\), this stack has"),
        (lambda: PLAIN.ccd.align(offsets=[(0, 0), (1, 0)]).ccd.bayer_planes("RGGB"), ValueError,
         "these frames are aligned, so their pixels have no colour of their own: split them before"),
        (lambda: xr.DataTree.from_dict({"r": PLAIN.to_dataset(name="data")}).ccd.bayer_planes(), TypeError,
         r"bayer_planes takes a DataArray or a Dataset, not a DataTree: pick a variable, as tree\['r'\]\['data'\]"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
