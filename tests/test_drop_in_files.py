"""The drop-in for ccdproc on files: what is read and written, memory limits, a pipeline with one line changed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ccdproc
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

import xccd.ccdproc as ours
from drop_in import assert_same, frames
from xccd.ccdproc import files as files_module
from xccd.ccdproc.files import Bands

pytestmark = pytest.mark.filterwarnings("ignore")  # of empty pixels, and of clips out of reach; one test is about these


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files, some of them with a mask."""
    for i, ccd in enumerate(frames(dtype="float32")):
        ccd.mask = None if i % 4 else np.arange(91).reshape(13, 7) % 11 == i
        ccd.write(tmp_path / f"flat-{i}.fits")
    return tmp_path


def names(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.glob("flat-*.fits"))]


@pytest.mark.parametrize(
    "given_as",
    [list, ",".join, np.array, lambda n: map(Path, n), lambda n: [CCDData.read(f) for f in n]],
    ids=["list", "text", "array", "paths", "ccds"],
)
def test_files(folder: Path, given_as: Callable[[list[str]], Any]) -> None:
    theirs, mine = (p.combine(given_as(names(folder)), weights=None, method="median") for p in (ccdproc, ours))
    assert_same(theirs, mine)


def test_collection_and_one_file(folder: Path) -> None:
    collection = ccdproc.ImageFileCollection(folder)
    assert_same(ccdproc.combine(names(folder)), ours.combine(collection))
    assert_same(ccdproc.combine(collection.ccds()), ours.combine(collection.ccds()))
    assert_same(ccdproc.combine(names(folder)[:1]), ours.combine(names(folder)[0]))


def test_output_file(folder: Path) -> None:
    path = folder / "master.fits"
    made = ours.combine(names(folder), path)
    back = CCDData.read(path)
    np.testing.assert_array_equal(back.data, made.data)
    np.testing.assert_array_equal(back.uncertainty.array, made.uncertainty.array)
    np.testing.assert_array_equal(back.mask, made.mask)
    with pytest.raises(OSError, match=r"output_file=.*master.fits' is there already: overwrite_output=True"):
        ours.combine(names(folder), path)
    ours.combine(names(folder), str(path), method="sum", overwrite_output=True)
    assert CCDData.read(path).data.mean() > 8000


def test_unit_and_hdu_are_those_asked_for(tmp_path: Path) -> None:
    for i in range(3):
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.full((4, 5), i, "i2"), name="A"),
                             fits.ImageHDU(np.full((4, 5), 10 * i, "i2"), name="B")])  # fmt: skip
        hdus.writeto(tmp_path / f"flat-{i}.fits")
    for options in ({"unit": "adu"}, {"unit": "electron", "hdu": 2}, {"unit": "adu", "hdu": 0}):
        theirs, mine = (p.combine(names(tmp_path), **options) for p in (ccdproc, ours))
        assert_same(theirs, mine)


@pytest.mark.parametrize(
    "shape", [(1, 4, 5), (1, 1, 5), (5,), (1,), (2, 4, 5), (1, 1, 4, 5), (3, 1, 5), (4, 1)], ids=str
)
@pytest.mark.parametrize("kind", ["ccds", "files"])
def test_images_of_any_shape_combine_as_those_of_a_combiner(
    tmp_path: Path, shape: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "LEAST_BYTES", 0)
    rng = np.random.default_rng(0)
    ccds = [CCDData(rng.random(shape), unit="adu", mask=rng.random(shape) < 0.2) for _ in range(3)]
    for i, ccd in enumerate(ccds if kind == "files" else []):
        ccd.write(tmp_path / f"{i}.fits")
    given = ccds if kind == "ccds" else [tmp_path / f"{i}.fits" for i in range(3)]
    for weights in (None, np.arange(1, 4), rng.random((3, *shape))):
        combiner = ours.Combiner(ccds)
        combiner.weights = weights
        combiner.clip_extrema(nhigh=1)
        for limit in (1, 16e9):
            made = ours.combine(given, weights=weights, clip_extrema=True, nlow=0, mem_limit=limit)
            assert made.shape == shape
            made.meta = {"NCOMBINE": 3}
            assert_same(combiner.average_combine(), made)


# Memory


@pytest.mark.parametrize(
    ("shape", "frames", "dtype"),
    [((40, 50), 5, "float64"), ((400, 5), 3, "float32"), ((1, 40, 50), 7, "float64"), ((3, 64, 20), 2, "float64")],
)
def test_bands_do_not_get_ever_smaller(
    shape: tuple[int, ...], frames: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccds = [CCDData(np.ones(shape, "f4"), unit="adu")] * frames
    parts = {limit: Bands(ccds, ccds[0], np.dtype(dtype), limit, {}).parts for limit in (1e12, 3e5, 2e4, 100, 1)}
    assert {len(p) for p in parts.values()} == {1}  # 2 MB they may have at least
    monkeypatch.setattr(files_module, "LEAST_BYTES", 0)
    parts = {limit: Bands(ccds, ccds[0], np.dtype(dtype), limit, {}).parts for limit in parts}
    numbers = [len(p) for p in parts.values()]
    assert numbers[0] == 1
    assert numbers == sorted(numbers)
    assert 1 < numbers[-1] == numbers[-2] <= 10 * frames  # one costs some ms whatever it holds
    for cuts in parts.values():
        covered = np.zeros(shape[-2:] if shape[0] == 1 else shape, int)
        for part in cuts:
            covered[part] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize("method", ["average", "median", "sum"])
def test_bands_have_the_same_bits(folder: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "LEAST_BYTES", 0)
    weights = None if method == "median" else np.random.default_rng(0).random((9, 13, 7))
    options = {"method": method, "weights": weights, "scale": np.arange(1, 10), "sigma_clip": True,
               "sigma_clip_func": "median", "sigma_clip_high_thresh": 1.5}  # fmt: skip
    whole = ours.combine(names(folder), **options)
    for limit in (1, 20_000, 40_000):
        banded = ours.combine(names(folder), mem_limit=limit, **options)
        for a, b in (
            (whole.data, banded.data),
            (whole.mask, banded.mask),
            (whole.uncertainty.array, banded.uncertainty.array),
        ):
            np.testing.assert_array_equal(a, b)


def test_memory_stays_within_the_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(20):
        fits.writeto(tmp_path / f"flat-{i:02}.fits", rng.normal(100, 5, (600, 400)).astype("f4"))
    options = {"unit": "adu", "sigma_clip": True, "sigma_clip_func": "median", "sigma_clip_high_thresh": 2}
    ours.combine(names(tmp_path)[:5], **options)  # what is loaded or compiled once
    used = {}
    for limit, number in ((20e6, 20), (16e9, 20), (8e6, 5), (1, 5)):
        tracemalloc.start()
        ours.combine(names(tmp_path)[:number], mem_limit=limit, **options)
        used[limit] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert used[20e6] <= 20e6 < used[16e9]  # the frames are 38 MB as float64
    assert used[8e6] <= 8e6
    assert used[1] <= 6.5e6  # the first image and the product are 5 MB


PIPELINE = """
import numpy as np
from {package} import Combiner, combine

combiner = Combiner(ccds)
combiner.minmax_clipping(min_clip=500)
combiner.sigma_clipping(low_thresh=2, high_thresh=2, func=np.ma.median)
combiner.scaling = [1 / np.median(ccd.data) for ccd in ccds]
flat = combiner.median_combine()
n_masked = combiner.data_arr.mask.sum()
master = combine(files, "{out}", method="average", sigma_clip=True, sigma_clip_low_thresh=2,
                 sigma_clip_high_thresh=2, sigma_clip_func=np.ma.median, mem_limit=1e9)
"""


def test_a_pipeline_with_the_import_changed(folder: Path) -> None:
    results = []
    for i in (4, 8):  # masked pixels enter a clip's statistics in ccdproc
        (folder / f"flat-{i}.fits").unlink()
    (folder / "flat-0.fits").unlink()
    for package in ("ccdproc", "xccd.ccdproc"):
        space: dict[str, Any] = {"ccds": frames(), "files": names(folder)}
        exec(PIPELINE.format(package=package, out=folder / f"{package}.fits"), space)
        results.append(space)
    theirs, mine = results
    assert_same(theirs["flat"], mine["flat"])
    assert_same(theirs["master"], mine["master"])
    assert theirs["n_masked"] == mine["n_masked"] > 0
    np.testing.assert_allclose(*(CCDData.read(folder / f"{p}.fits").data for p in ("ccdproc", "xccd.ccdproc")))


def test_units_of_files(folder: Path) -> None:
    with fits.open(folder / "flat-3.fits", mode="update") as hdus:
        hdus[0].header["BUNIT"] = "electron"
    with pytest.raises(TypeError, match=r"flat-3.fits has the unit electron, the first image adu: give unit="):
        ours.combine(names(folder))


def test_a_plane_of_quality_is_no_mask_of_ccdproc(tmp_path: Path) -> None:
    for i in range(3):
        planes = [fits.ImageHDU(np.eye(4, dtype="u1"), name="DQ"), fits.ImageHDU(np.eye(4)[::-1] * 2, name="ERR")]
        first = fits.PrimaryHDU(np.full((4, 4), i, "f4"), fits.Header({"BUNIT": "adu"}))
        fits.HDUList([first, *planes]).writeto(tmp_path / f"{i}.fits")
    files = [str(tmp_path / f"{i}.fits") for i in range(3)]
    assert_same(*(p.combine(files) for p in (ccdproc, ours)))
    assert not ours.combine(files).mask.any()
