"""Every example of ccdproc's page on combining images beside its twin here.

The page of the docs, docs/from_ccdproc.md, names these tests in its tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccdproc
import numpy as np
import pytest
import xarray as xr
from astropy.nddata import CCDData
from astropy.wcs import WCS
from ccdproc import Combiner, ImageFileCollection, combine

import oracles
import test_from_ccdproc_differences as intended
import xccd
import xccd.ccdproc as drop_in
from from_ccdproc import (
    NUMBERS,
    SHAPE,
    assert_same_image,
    assert_same_mask,
    ccdproc_may_warn,
    exposures,
    mask_of,
)

PAGE = Path(__file__).parents[1] / "docs" / "from_ccdproc.md"


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


def reprojected_by_both(images: list[CCDData], target: WCS) -> Iterator[tuple[CCDData, CCDData]]:
    for image in images:
        with ccdproc_may_warn():
            theirs = ccdproc.wcs_project(image, target, add_keyword=None)
        yield theirs, drop_in.wcs_project(image, target)


def shifted_images() -> tuple[list[CCDData], WCS]:
    target, *shifted = (grid(10 + dx, 8 - dx) for dx in (0, 0, 1, 2.5))
    rng = np.random.default_rng(0)
    images = [CCDData(rng.normal(100, 3, (16, 20)), unit="adu", wcs=wcs) for wcs in shifted]
    return images, target


def test_reprojecting_an_image() -> None:
    images, target = shifted_images()
    half = target.deepcopy()
    half.wcs.cdelt = half.wcs.cdelt / 2
    for wcs in (target, half):
        ((theirs, mine),) = reprojected_by_both(images[2:], wcs)
        both = np.isfinite(theirs.data) & np.isfinite(mine.data)
        assert both.sum() > 0.9 * np.isfinite(theirs.data).sum()
        np.testing.assert_allclose(mine.data[both], theirs.data[both], rtol=2e-6)
        assert (mine.unit, mine.wcs) == (theirs.unit, wcs)


def test_reprojecting_a_list() -> None:
    images, target = shifted_images()
    pairs = list(reprojected_by_both(images, target))
    aligned = xccd.open_stack(images).ccd.align(xccd.Grid.of(target, shape=(16, 20)), flux="total")
    for i, (theirs, mine) in enumerate(pairs):
        here, there = np.isfinite(aligned[i].values), np.isfinite(mine.data)
        assert (here != there).sum() <= 1  # a corner that is half a pixel away along both axes
        np.testing.assert_allclose(aligned[i].values[here & there], mine.data[here & there], rtol=1e-9)
        both = there & np.isfinite(theirs.data)
        np.testing.assert_allclose(mine.data[both], theirs.data[both], rtol=2e-6)
    stacked = aligned.ccd.combine("mean")
    np.testing.assert_allclose(stacked.ccd.wcs().wcs.crpix, target.wcs.crpix)


def test_combining_reprojected_images() -> None:
    images, target = shifted_images()
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
    existing = {name for name in {**globals(), **vars(intended)} if name.startswith("test_")} - ABOUT_THE_PAGE
    assert len(named) == len(set(named))
    assert set(named) == existing
    assert all(b.startswith("`test_") for b in blocks)
