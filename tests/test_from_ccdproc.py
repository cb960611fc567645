"""Every example of ccdproc's page on combining images beside its twin here, and each difference that is intended.

The page of the docs, docs/from_ccdproc.md, names these tests in its tables. What ccdproc does was found with 2.5.1.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ccdproc
import numpy as np
import pytest
import xarray as xr
from astropy.io.fits.verify import VerifyWarning
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from ccdproc import Combiner, ImageFileCollection, combine

import oracles
import xccd

PAGE = Path(__file__).parents[1] / "docs" / "from_ccdproc.md"
NUMBERS = [5, 12, 25]
SHAPE = (20, 30)
V = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
differs_in_2_5 = pytest.mark.skipif(
    not ccdproc.__version__.startswith("2.5."), reason="what ccdproc does here was found with 2.5.1"
)


# The same frames for both


def exposures(n: int, *, masks: bool = False) -> list[CCDData]:
    """Frames of one scene: read noise, cosmic rays, cold pixels, and on request input masks, one pixel all masked."""
    rng = np.random.default_rng(n)
    scene = 1000 + 200 * np.hypot(*np.meshgrid(*(np.linspace(-1, 1, s) for s in SHAPE), indexing="ij"))
    data = scene + rng.normal(0, 8, (n, *SHAPE))
    struck, cold = rng.random((2, n, *SHAPE)) < 0.01
    data[struck] += rng.exponential(2000, struck.sum())
    data[cold] -= 300
    bad = rng.random((n, *SHAPE)) < 0.04
    bad[:, 3, 4] = True
    times = rng.uniform(20, 90, n)
    return [CCDData(data[i], unit="adu", mask=bad[i] if masks else None, meta={"EXPTIME": times[i]}) for i in range(n)]


def column(values: list[float], masked: list[int] | None = None) -> list[CCDData]:
    """Frames of 1 x 2 pixels, both with these values."""
    return [
        CCDData(np.full((1, 2), float(v)), unit="adu", mask=np.full((1, 2), masked is not None and i in masked))
        for i, v in enumerate(values)
    ]


def rejected(ccds: list[CCDData], **clip: Any) -> list[int]:
    """Which frames of a column ccdproc masks."""
    combiner = Combiner(ccds)
    combiner.sigma_clipping(**clip)
    return np.flatnonzero(mask_of(combiner)[:, 0, 0]).tolist()


def missing(stack: xr.DataArray) -> list[int]:
    """Which frames of a column are missing here."""
    return np.flatnonzero(stack.ccd.mask.values[:, 0, 0]).tolist()


def mask_of(combiner: Combiner) -> np.ndarray[Any, Any]:
    """The mask of a combiner: the page says ``combiner.mask``, which 2.5.1 lacks."""
    return np.asarray(combiner.mask if hasattr(combiner, "mask") else combiner.data_arr.mask)


def assert_same_mask(combiner: Combiner, stack: xr.DataArray) -> None:
    np.testing.assert_array_equal(stack.ccd.mask.values, mask_of(combiner))


def assert_same_image(theirs: CCDData, ours: xr.DataArray) -> None:
    """Equal to 1e-6, and missing in the same pixels."""
    empty = np.zeros(theirs.shape, bool) if theirs.mask is None else theirs.mask
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.isnan(ours.values), empty)
    np.testing.assert_allclose(ours.values[~empty], theirs.data[~empty], rtol=1e-6)
    assert ours.attrs["units"] == str(theirs.unit)


@contextmanager
def ccdproc_may_warn() -> Iterator[None]:
    """Empty pixels make NumPy warn, a NaN before a clip makes astropy warn, and so do long names in headers."""
    with warnings.catch_warnings():
        for category in (RuntimeWarning, AstropyUserWarning, VerifyWarning):
            warnings.simplefilter("ignore", category)
        yield


# One test for each code block of the page


@pytest.mark.parametrize("n", NUMBERS)
def test_creating_a_combiner(n: int) -> None:
    ccds = exposures(n, masks=True)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    assert stack.dims == ("frame", "y", "x")
    assert stack.shape == combiner.data_arr.shape
    assert_same_mask(combiner, stack)
    good = ~mask_of(combiner)
    np.testing.assert_array_equal(stack.values[good], combiner.data_arr.data[good])


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize(("low", "high"), [(900, 1200), (900, None), (None, 1200)])
def test_min_max_clipping(n: int, low: float | None, high: float | None) -> None:
    ccds = exposures(n, masks=True)
    combiner = Combiner(ccds)
    combiner.minmax_clipping(min_clip=low, max_clip=high)
    assert_same_mask(combiner, xccd.open_stack(ccds).ccd.minmax(low, high))


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"func": "mean"}, {}),
        ({"func": "median"}, {"center": "median"}),
        ({"func": np.ma.median}, {"center": "median"}),
        ({"func": "median", "dev_func": "mad_std"}, {"center": "median", "deviation": "mad_std"}),
        ({"func": np.nanmedian, "dev_func": np.nanstd}, {"center": np.nanmedian, "deviation": np.nanstd}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*can reject nothing")  # the page's 5 is beyond reach for few frames
def test_sigma_clipping(n: int, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    ccds = exposures(n)
    combiner = Combiner(ccds)
    combiner.sigma_clipping(low_thresh=2, high_thresh=5, **theirs)
    stack = xccd.open_stack(ccds).ccd.sigma_clip(2, 5, **ours)
    assert_same_mask(combiner, stack)
    assert stack.ccd.mask.any() or n == 5


@pytest.mark.parametrize("n", NUMBERS)
def test_extrema_clipping(n: int) -> None:
    ccds = exposures(n)
    combiner = Combiner(ccds)
    combiner.clip_extrema(nlow=1, nhigh=2)
    stack = xccd.open_stack(ccds).ccd.clip_extrema(nlow=1, nhigh=2)
    assert_same_mask(combiner, stack)
    assert (stack.ccd.count() == n - 3).all()


@pytest.mark.parametrize("n", [12, 25])
def test_iterative_clipping(n: int) -> None:
    ccds = exposures(n)
    combiner = Combiner(ccds)
    old_n_masked = 0
    new_n_masked = mask_of(combiner).sum()
    rounds = 0
    while rounds == 0 or new_n_masked > old_n_masked:
        combiner.sigma_clipping(func=np.ma.median)
        old_n_masked = new_n_masked
        new_n_masked = mask_of(combiner).sum()
        rounds += 1
    stack = xccd.open_stack(ccds)
    once = stack.ccd.sigma_clip(center="median")
    assert_same_mask(combiner, once)
    assert rounds == 2  # the second found nothing new, as it measured the rejected samples again
    stable = stack.ccd.sigma_clip(center="median", maxiters=None)
    twin = oracles.over_pixels(oracles.sigma_clip, stack.values, center="median", maxiters=None)
    np.testing.assert_array_equal(stable.ccd.mask.values, twin)
    assert stable.ccd.mask.sum() > once.ccd.mask.sum()


@pytest.mark.parametrize("n", NUMBERS)
def test_average(n: int) -> None:
    ccds = exposures(n, masks=True)
    combiner = Combiner(ccds)
    combiner.minmax_clipping(max_clip=1500)
    with ccdproc_may_warn():
        theirs = combiner.average_combine()
    assert_same_image(theirs, xccd.open_stack(ccds).ccd.minmax(max=1500).ccd.combine("mean"))


@pytest.mark.parametrize("n", NUMBERS)
def test_median(n: int) -> None:
    ccds = exposures(n, masks=True)
    combiner = Combiner(ccds)
    combiner.minmax_clipping(max_clip=1500)
    with ccdproc_may_warn():
        theirs = combiner.median_combine()
    assert_same_image(theirs, xccd.open_stack(ccds).ccd.minmax(max=1500).ccd.combine("median"))


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize(
    ("method", "name"), [("average_combine", "mean"), ("median_combine", "median"), ("sum_combine", "sum")]
)
def test_scaling(n: int, method: str, name: str) -> None:
    ccds = exposures(n)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    combiner.minmax_clipping(max_clip=1500)
    clipped = stack.ccd.minmax(max=1500)
    combiner.scaling = lambda arr: 1 / np.ma.average(arr)
    theirs = getattr(combiner, method)()
    assert_same_image(theirs, clipped.ccd.combine(name, scale=lambda frame: 1 / frame.mean()))
    assert_same_image(theirs, clipped.ccd.normalize(scale="mean", to=1).ccd.combine(name))
    combiner.scaling = factors = np.linspace(0.5, 1.5, n)
    assert_same_image(getattr(combiner, method)(), clipped.ccd.combine(name, scale=factors))


@pytest.mark.parametrize("n", NUMBERS)
def test_weights_for_each_image(n: int) -> None:
    ccds = exposures(n)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    combiner.weights = np.array([ccd.header["EXPTIME"] for ccd in ccds])
    theirs = combiner.average_combine()
    assert_same_image(theirs, stack.ccd.combine("mean", weights=combiner.weights))
    assert_same_image(theirs, stack.ccd.combine("mean", weights="EXPTIME"))
    assert_same_image(combiner.sum_combine(), stack.ccd.combine("sum", weights="EXPTIME"))


@pytest.mark.parametrize("n", NUMBERS)
def test_weights_for_each_pixel(n: int) -> None:
    ccds = exposures(n)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    combiner.weights = np.random.default_rng(1).random((n, *SHAPE))
    assert_same_image(combiner.average_combine(), stack.ccd.combine("mean", weights=combiner.weights))
    labelled = xr.DataArray(combiner.weights, dims=("frame", "y", "x")).transpose("x", "frame", "y")
    assert_same_image(combiner.average_combine(), stack.ccd.combine("mean", weights=labelled))
    assert_same_image(combiner.sum_combine(), stack.ccd.combine("sum", weights=combiner.weights))


def folder_of_images(folder: Path) -> ImageFileCollection:
    """The page's folder; frames that differ, so that their order shows."""
    for i in range(3):
        rng = np.random.default_rng(i)
        CCDData(rng.normal(100, 3, (5, 5)), unit="adu").write(folder / f"ccd-{i}.fits")
    return ImageFileCollection(folder)


def test_folder_of_images(tmp_path: Path) -> None:
    collection = folder_of_images(tmp_path)
    stack = xccd.open_stack(collection)
    assert stack.file.values.tolist() == collection.files_filtered(include_path=True)
    xr.testing.assert_identical(stack, xccd.open_stack(tmp_path))
    xr.testing.assert_identical(stack, xccd.open_stack(f"{tmp_path}/*.fits"))
    for frame, ccd in zip(stack, collection.ccds(), strict=True):
        np.testing.assert_array_equal(frame.values, ccd.data)


def test_combiner_of_a_collection(tmp_path: Path) -> None:
    collection = folder_of_images(tmp_path)
    theirs = Combiner(collection.ccds()).average_combine()
    assert_same_image(theirs, xccd.open_stack(collection).ccd.combine("mean"))
    assert_same_image(theirs, xccd.open_stack(collection.ccds()).ccd.combine("mean"))


def test_combine_of_file_names(tmp_path: Path) -> None:
    names = folder_of_images(tmp_path).files_filtered(include_path=True)
    theirs = combine(names, mem_limit=1e9)
    assert_same_image(theirs, xccd.open_stack(names).ccd.combine("mean"))


def test_combine_of_a_collection(tmp_path: Path) -> None:
    collection = folder_of_images(tmp_path)
    for method, name in (("average", "mean"), ("median", "median"), ("sum", "sum")):
        theirs = combine(collection.ccds(), method=method)
        assert_same_image(theirs, xccd.open_stack(collection).ccd.combine(name))


def test_combining_reprojected_images() -> None:
    target, *shifted = (grid(10 + dx, 8 - dx) for dx in (0, 0, 1, 2.5))
    rng = np.random.default_rng(0)
    images = [CCDData(rng.normal(100, 3, (16, 20)), unit="adu", wcs=wcs) for wcs in shifted]
    with ccdproc_may_warn():
        reprojected = [ccdproc.wcs_project(image, target, add_keyword=None) for image in images]
        logged = [ccdproc.wcs_project(image, target) for image in images]  # with what it did as a card
        theirs = Combiner(reprojected).average_combine()
    image = xccd.open_stack(reprojected).ccd.combine("mean")
    assert_same_image(theirs, image)
    assert_same_image(theirs, xccd.open_stack(logged).ccd.combine("mean"))
    np.testing.assert_allclose(image.ccd.wcs().wcs.crpix, target.wcs.crpix)
    assert theirs.wcs is None


def grid(x: float, y: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [150, 41], [-3e-4, 3e-4]
    wcs.wcs.crpix = [x, y]
    return wcs


# One test for each difference that is intended


def test_a_clip_gives_a_new_stack() -> None:
    ccds = column(V)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    combiner.minmax_clipping(max_clip=120)
    assert mask_of(combiner)[8].all()  # changed in place
    clipped = stack.ccd.minmax(max=120)
    assert missing(clipped) == [8]
    assert missing(stack) == []


@pytest.mark.filterwarnings("ignore:.*can reject nothing")  # three frames, as on the page
def test_the_page_s_own_three_images() -> None:
    """Run in order, the page's clips leave nothing of its three equal images."""
    first = CCDData(np.random.default_rng(0).normal(size=(10, 10)), unit="adu")
    ccds = [first, first.copy(), first.copy()]
    combiner = Combiner(ccds)
    combiner.minmax_clipping(min_clip=-0.3, max_clip=0.1)
    combiner.sigma_clipping(low_thresh=2, high_thresh=5, func=np.ma.median)
    combiner.clip_extrema(nlow=1, nhigh=2)
    with ccdproc_may_warn():
        theirs = combiner.average_combine()
    clipped = xccd.open_stack(ccds).ccd.minmax(-0.3, 0.1).ccd.sigma_clip(2, 5, center="median")
    with pytest.warns(UserWarning, match=r"clip_extrema\(nlow=1, nhigh=2\) leaves nothing of 3 frame"):
        clipped = clipped.ccd.clip_extrema(1, 2)
    assert_same_image(theirs, clipped.ccd.combine("mean"))
    assert theirs.mask.all()


@differs_in_2_5
def test_masked_samples_in_the_statistics_of_a_clip() -> None:
    values = [*V[:9], 5000]
    ccds = column(values, masked=[9])
    assert rejected(ccds, low_thresh=2, high_thresh=2) == [9]  # 5000 hides 150
    assert missing(xccd.open_stack(ccds).ccd.sigma_clip(2, 2)) == [8, 9]


@differs_in_2_5
def test_a_second_pass() -> None:
    ccds = column(V)
    combiner = Combiner(ccds)
    for _ in range(3):
        combiner.sigma_clipping(func="median")
        assert np.flatnonzero(mask_of(combiner)[:, 0, 0]).tolist() == [8]
    stack = xccd.open_stack(ccds)
    once = stack.ccd.sigma_clip(center="median")
    assert missing(once) == [8]
    assert missing(once.ccd.sigma_clip(center="median")) == [8, 9]
    assert missing(stack.ccd.sigma_clip(center="median", maxiters=None)) == [8, 9]


@differs_in_2_5
def test_maxiters_cannot_be_passed() -> None:
    with pytest.raises(TypeError, match="multiple values for keyword argument 'maxiters'"):
        Combiner(column(V)).sigma_clipping(maxiters=2)
    assert missing(xccd.open_stack(column(V)).ccd.sigma_clip(center="median", maxiters=2)) == [8, 9]


@differs_in_2_5
def test_threshold_of_none_or_zero() -> None:
    ccds = column([0.0] * 19 + [-100])
    assert rejected(ccds, low_thresh=None, high_thresh=5) == [19]  # 3 in place of none
    stack = xccd.open_stack(ccds)
    assert missing(stack.ccd.sigma_clip(None, 4)) == []
    three = [100.0, 99, 101, 100, 101]
    assert rejected(column(three), low_thresh=0, high_thresh=5) == []
    with pytest.warns(UserWarning, match="high can reject nothing with 5 frame"):
        clipped = xccd.open_stack(column(three)).ccd.sigma_clip(0, 5)
    assert missing(clipped) == [0, 1, 3]  # all that is below the mean of 100.2
    assert rejected(column(V), low_thresh=5, high_thresh=None, func="median") == [8]
    assert missing(xccd.open_stack(column(V)).ccd.sigma_clip(3, None, center="median")) == []


@differs_in_2_5
def test_negative_thresholds() -> None:
    assert rejected(column(V), low_thresh=-2, func="median") == list(range(10))
    with pytest.raises(ValueError, match="low=-2: thresholds are 0 or more deviations"):
        xccd.open_stack(column(V)).ccd.sigma_clip(-2, 3)


@differs_in_2_5
def test_thresholds_beyond_reach() -> None:
    ccds = column([100.0] * 9 + [1e6])
    assert rejected(ccds, low_thresh=3, high_thresh=3) == []  # and no word
    with pytest.warns(UserWarning, match=r"can reject nothing with 10 frame"):
        clipped = xccd.open_stack(ccds).ccd.sigma_clip(3, 3)
    assert missing(clipped) == []
    assert missing(xccd.open_stack(ccds).ccd.sigma_clip(3, 3, center="median", deviation="mad_std")) == [9]


@differs_in_2_5
def test_a_sample_on_a_bound() -> None:
    ccds = column([6, 3, 6, 6, 6])  # mean 5.4, deviation 1.2: 3 is 2 deviations below, and not beyond
    assert rejected(ccds, low_thresh=2, high_thresh=2) == [1]
    with pytest.warns(UserWarning, match="can reject nothing with 5 frame"):
        clipped = xccd.open_stack(ccds).ccd.sigma_clip(2, 2)
    assert missing(clipped) == []


@differs_in_2_5
def test_one_nan_and_the_functions_of_combine() -> None:
    values = [np.nan, *V[1:]]
    with ccdproc_may_warn():
        theirs = combine(column(values), sigma_clip=True, sigma_clip_low_thresh=2, sigma_clip_high_thresh=2)
    assert theirs.mask.all()  # its default functions, np.ma.mean and np.ma.std, make NaN of the pixel
    clipped = xccd.open_stack(column(values)).ccd.sigma_clip(2, 2)
    assert missing(clipped) == [0, 8]
    assert clipped.ccd.combine("mean").values[0, 0] == pytest.approx(np.mean([*V[1:8], V[9]]))


def test_functions_are_given_nan() -> None:
    stack = xccd.open_stack(column([np.nan, *V[1:]]))
    assert missing(stack.ccd.sigma_clip(2, 2, center=np.nanmedian)) == [0, 8]
    with pytest.raises(ValueError, match="center='median' gave NaN for 2 pixels that have valid samples"):
        missing(stack.ccd.sigma_clip(2, 2, center=np.ma.median))


@differs_in_2_5
def test_masked_samples_in_extrema_clipping() -> None:
    ccds = column([1, 2, 3, 4, 100], masked=[4])
    combiner = Combiner(ccds)
    combiner.clip_extrema(nlow=1, nhigh=1)
    assert np.flatnonzero(mask_of(combiner)[:, 0, 0]).tolist() == [0, 4]  # 100 was the highest
    assert missing(xccd.open_stack(ccds).ccd.clip_extrema(1, 1)) == [0, 3, 4]


@differs_in_2_5
def test_more_extrema_than_frames() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        Combiner(column([1, 2, 3])).clip_extrema(nlow=4)
    with pytest.warns(UserWarning, match="leaves nothing of 3 frame"):
        clipped = xccd.open_stack(column([1, 2, 3])).ccd.clip_extrema(4)
    assert missing(clipped) == [0, 1, 2]


@differs_in_2_5
def test_masked_samples_in_the_weighted_mean() -> None:
    ccds = column([1, 1, 1, 100], masked=[3])
    combiner = Combiner(ccds)
    assert combiner.average_combine().data[0, 0] == 1
    combiner.weights = np.ones(4)
    assert combiner.average_combine().data[0, 0] == 0.75
    stack = xccd.open_stack(ccds)
    assert stack.ccd.combine("mean", weights=np.ones(4)).values[0, 0] == 1
    assert stack.ccd.combine("sum", weights=np.ones(4)).values[0, 0] == 3 == combiner.sum_combine().data[0, 0]


@differs_in_2_5
def test_median_with_weights() -> None:
    ccds = column([1, 2, 3])
    combiner = Combiner(ccds)
    combiner.weights = np.array([0, 0, 5.0])
    assert combiner.median_combine().data[0, 0] == 2
    stack = xccd.open_stack(ccds)
    assert stack.ccd.combine("median", weights=[0, 0, 5]).values[0, 0] == 3
    assert stack.ccd.combine("median", weights=[0.1, 0.1, 0.1]).values[0, 0] == 2


@differs_in_2_5
def test_weights_that_make_no_sense() -> None:
    ccds = column([1, 2, 3])
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    combiner.weights = np.array([-1.0, 1, 1])
    assert combiner.average_combine().data[0, 0] == 4  # beyond all three
    with pytest.raises(ValueError, match=r"weights: frame 0 .* has weight -1\.0"):
        stack.ccd.combine("mean", weights=[-1, 1, 1])
    combiner.weights = np.zeros(3)
    with ccdproc_may_warn():
        theirs = combiner.average_combine()
    assert np.isnan(theirs.data).all()
    assert not theirs.mask.any()
    with pytest.raises(ValueError, match="weights are 0 for every frame"):
        stack.ccd.combine("mean", weights=np.zeros(3))
    with pytest.raises(TypeError, match=r"weights must be a numpy\.ndarray"):
        combiner.weights = [1, 2, 3]
    assert stack.ccd.combine("mean", weights=[1, 2, 3]).values[0, 0] == pytest.approx(14 / 6)


@differs_in_2_5
def test_the_sum_of_nothing() -> None:
    ccds = column([1, 2, 3], masked=[0, 1, 2])
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    theirs = combiner.sum_combine()
    assert (theirs.data == 0).all()
    assert theirs.mask.all()  # the number is 0 all the same, in every program that reads no mask
    combiner.weights = np.ones(3)
    assert (combiner.average_combine().data == 0).all()
    for weights in (None, np.ones(3)):
        assert np.isnan(stack.ccd.combine("sum", weights=weights)).all()
        assert np.isnan(stack.ccd.combine("mean", weights=weights)).all()
    assert (stack.ccd.count() == 0).all()


@differs_in_2_5
def test_infinities() -> None:
    ccds = column([1, 2, np.inf])
    assert (Combiner(ccds).average_combine().data == np.inf).all()
    stack = xccd.open_stack(ccds)
    assert missing(stack) == [2]
    assert (stack.ccd.combine("mean") == 1.5).all()


@differs_in_2_5
def test_what_a_scaling_function_sees() -> None:
    ccds = [CCDData(np.array([row]), unit="adu") for row in ([1.0, 2, 300], [1.0, 2, 3])]

    def inverse_mean(arr: Any) -> float:
        return 1 / np.ma.average(arr)

    before, after = Combiner(ccds), Combiner(ccds)
    before.scaling = inverse_mean  # measured here, the bright pixel in it
    for combiner in (before, after):
        combiner.minmax_clipping(max_clip=250)
    after.scaling = inverse_mean  # measured without it
    assert before.scaling.ravel().tolist() == pytest.approx([1 / 101, 1 / 2])
    assert after.scaling.ravel().tolist() == pytest.approx([1 / 1.5, 1 / 2])

    seen = []
    combine(ccds, minmax_clip=True, minmax_clip_max=250, scale=lambda arr: seen.append(arr.copy()) or 1.0)
    assert [arr.tolist() for arr in seen] == [[[1, 2, 300]], [[1, 2, 3]]]  # combine() measures before its clips

    clipped = xccd.open_stack(ccds).ccd.minmax(max=250)
    factors: list[float] = []
    image = clipped.ccd.combine("mean", scale=lambda frame: factors.append(1 / float(frame.mean())) or factors[-1])
    image = image.compute()
    assert_same_image(after.average_combine(), image)
    assert factors == pytest.approx([1 / 1.5, 1 / 2])
    early = xccd.open_stack(ccds).ccd.normalize(scale="mean", to=1).ccd.minmax(max=2.5)
    assert_same_image(before.average_combine(), early.ccd.combine("mean"))


def test_precision() -> None:
    values = np.full((1000, 1, 2), 30000.1, np.float32)
    theirs = Combiner([CCDData(v, unit="adu") for v in values], dtype="float32").average_combine()
    assert theirs.data[0, 0] == pytest.approx(30000.1, abs=0.1)
    stack = xccd.open_stack([CCDData(v, unit="adu") for v in values])
    image = stack.ccd.combine("mean")
    assert image.dtype == stack.dtype == np.float32
    assert (image == np.float32(30000.1)).all()
    assert Combiner([CCDData(v, unit="adu") for v in values]).average_combine().dtype == np.float64
    assert stack.ccd.combine("mean", dtype="float64").dtype == np.float64


@differs_in_2_5
def test_header_of_the_product(tmp_path: Path) -> None:
    ccds = column([1, 2])
    for ccd, seconds in zip(ccds, (10.0, 30.0), strict=True):
        ccd.header.update(OBJECT="M 51", EXPTIME=seconds)
    assert dict(Combiner(ccds).average_combine().header) == {"NCOMBINE": 2}
    theirs = combine(ccds).header  # the first frame's
    assert (theirs["EXPTIME"], "NCOMBINE" in theirs) == (10, False)
    ours = xccd.open_stack(ccds).ccd.combine("mean").ccd.header()
    assert (ours["OBJECT"], ours["NCOMBINE"], ours["EXPTIME"], ours["EXPTOTAL"]) == ("M 51", 2, 20, 40)
    assert list(ours["HISTORY"]) == ["xccd.combine(method='mean')"]


@pytest.mark.parametrize("n", NUMBERS)
def test_uncertainty_of_the_product(n: int) -> None:
    ccds = exposures(n, masks=True)
    combiner, stack = Combiner(ccds), xccd.open_stack(ccds)
    number = stack.ccd.count()
    with ccdproc_may_warn():
        theirs = [combiner.average_combine(), combiner.median_combine(), combiner.sum_combine()]
    ours = [
        stack.ccd.combine("std") / np.sqrt(number),
        stack.ccd.combine("mad_std") / np.sqrt(number),
        stack.ccd.combine("std") * np.sqrt(number),
    ]
    for ccd, uncertainty in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(uncertainty.values[~ccd.mask], ccd.uncertainty.array[~ccd.mask], rtol=1e-6)


# The page

BLOCKS = [
    "Create a combiner",
    "Min/max clipping",
    "Sigma clipping",
    "Extrema clipping",
    "Iterative clipping",
    "Average",
    "Median",
    "Image scaling",
    "Weights for each image",
    "Weights for each pixel",
    "A folder of images",
    "`Combiner` of a collection's `ccds()`",
    "`combine` of file names, with a memory limit",
    "`combine` of a collection's `ccds()`",
    "Reproject an image",
    "Reproject a list of images",
    "Combine reprojected images",
]
ABOUT_THE_PAGE = {"test_the_page_lists_every_code_block", "test_the_page_names_the_tests_that_exist"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the page, without its head."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_lists_every_code_block() -> None:
    table = rows("## Every code block and its test")
    assert [row[1] for row in table] == BLOCKS
    assert [row[0] for row in table] == [str(i) for i in range(1, len(BLOCKS) + 1)]


def test_the_page_names_the_tests_that_exist() -> None:
    blocks = [row[2] for row in rows("## Every code block and its test")]
    differences = [row[1] for row in rows("## Every difference and its test")]
    named = re.findall(r"`(test_\w+)`", " ".join(blocks + differences))
    existing = {name for name in globals() if name.startswith("test_")} - ABOUT_THE_PAGE
    assert len(named) == len(set(named))
    assert set(named) == existing
    assert [b for b in blocks if not b.startswith("`test_")] == ["not offered yet"] * 2
