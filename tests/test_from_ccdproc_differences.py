"""Each difference from ccdproc that is intended, as docs/from_ccdproc.md names them.

What ccdproc does was found with 2.5.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.nddata import CCDData
from ccdproc import Combiner, combine

import xccd
from from_ccdproc import (
    NUMBERS,
    V,
    assert_same_image,
    ccdproc_may_warn,
    column,
    differs_in_2_5,
    exposures,
    mask_of,
    missing,
    rejected,
)


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
    with pytest.raises(
        ValueError, match=r"center=numpy\.ma\.extras\.median gave NaN for 2 pixels that have valid samples"
    ):
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
