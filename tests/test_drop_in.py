"""The drop-in for ccdproc: one script run with both packages, and each difference that is intended.

The rows of DIFFERENCES are those of the table in docs/drop_in_for_ccdproc.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bottleneck
import ccdproc
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from astropy.stats import mad_std
from astropy.utils.exceptions import AstropyDeprecationWarning
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd.ccdproc as ours

PAGE = Path(__file__).parents[1] / "docs" / "drop_in_for_ccdproc.md"
V = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
METHODS = ("average_combine", "median_combine", "sum_combine")
pytestmark = pytest.mark.filterwarnings("ignore")  # of empty pixels, and of clips out of reach; one test is about these


def column(values: Any, masked: tuple[int, ...] = ()) -> list[CCDData]:
    """Frames of 2 x 3 equal pixels."""
    return [
        CCDData(np.full((2, 3), float(v)), unit="adu", mask=np.full((2, 3), i in masked)) for i, v in enumerate(values)
    ]


def frames(
    n: int = 9, shape: tuple[int, ...] = (13, 7), seed: int = 1, dtype: str = "float64", **more: Any
) -> list[CCDData]:
    rng = np.random.default_rng(seed)
    data = rng.normal(1000, 10, (n, *shape))
    data[rng.random(data.shape) < 0.05] += 300
    return [CCDData(d.astype(dtype), unit="adu", meta={"EXPTIME": 10.0 + i}, **more) for i, d in enumerate(data)]


def assert_same(theirs: CCDData, mine: CCDData, rtol: float = 1e-12) -> None:
    assert type(mine) is type(theirs) is CCDData
    assert (mine.unit, mine.data.dtype, dict(mine.meta)) == (theirs.unit, theirs.data.dtype, dict(theirs.meta))
    assert type(mine.uncertainty) is type(theirs.uncertainty) is StdDevUncertainty
    assert type(mine.uncertainty.array) is np.ndarray
    assert mine.uncertainty.array.dtype == theirs.uncertainty.array.dtype
    np.testing.assert_array_equal(mine.mask, theirs.mask)
    good = ~theirs.mask
    np.testing.assert_allclose(mine.data[good], theirs.data[good], rtol=rtol)
    size = np.abs(theirs.data[good]).max(initial=1)  # deviations of equal samples are rounding noise
    np.testing.assert_allclose(
        mine.uncertainty.array[good], theirs.uncertainty.array[good], rtol=rtol, atol=size * rtol
    )


def script(
    package: Any,
    ccds: list[CCDData],
    end: str = "average_combine",
    /,
    *,
    dtype: Any = None,
    weights: Any = None,
    scaling: Any = None,
    clip: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> CCDData:
    combiner = package.Combiner(ccds, dtype=dtype)
    combiner.weights, combiner.scaling = weights, scaling
    for name, arguments in (clip or {}).items():
        getattr(combiner, name.rstrip("_"))(**arguments)  # a second call of one is spelled with _
    return getattr(combiner, end)(**options)


# The same answers


def spelled(options: dict[str, Any]) -> str:
    """Without the addresses of functions, which differ between the processes of a parallel run."""
    return re.sub(r" at 0x\w+", "", str(options))


@pytest.mark.parametrize("end", METHODS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "int32"},
        {"scale_to": 2.5},
        {"scale_to": np.linspace(1, 2, 7)},
        {"scaling": [1, 2, 1, 3, 1, 1, 1, 0.5, 1]},
        {"scaling": lambda frame: 1 / np.ma.average(frame)},
        {"clip": {"clip_extrema": {"nlow": 1, "nhigh": 2}}},
        {"clip": {"clip_extrema": {"nlow": None, "nhigh": 1}}},
        {"clip": {"minmax_clipping": {"min_clip": 990, "max_clip": 1200}}},
        {"clip": {"minmax_clipping": {"min_clip": 2000}}},
        {"clip": {"sigma_clipping": {"low_thresh": 2, "high_thresh": 2}}},
        {"clip": {"sigma_clipping": {"func": np.ma.median, "dev_func": "mad_std"}}},
        {"clip": {"sigma_clipping": {"func": np.nanmedian, "dev_func": np.nanstd, "high_thresh": 2}}},
        {"clip": {"sigma_clipping": {"func": lambda a, axis: np.nanmin(a, axis=axis), "high_thresh": 1}}},
        {"clip": {"sigma_clipping": {"low_thresh": None, "high_thresh": None, "sigma": 2}}},
        {"uncertainty_func": lambda a, axis: np.nanmax(a, axis=axis) - np.nanmin(a, axis=axis)},
        {"uncertainty_func": np.nanstd},
        {"uncertainty_func": np.ma.std},
        {"uncertainty_func": mad_std},
        {"uncertainty_func": ccdproc.sigma_func},
    ],
    ids=spelled,
)
def test_same_script(end: str, options: dict[str, Any]) -> None:
    theirs, mine = (script(package, frames(), end, **options) for package in (ccdproc, ours))
    assert_same(theirs, mine)


@pytest.mark.parametrize("end", METHODS)
def test_same_float32(end: str) -> None:
    clip = {"clip_extrema": {"nhigh": 1}}
    assert_same(*(script(p, frames(), end, dtype="float32", clip=clip) for p in (ccdproc, ours)), rtol=2e-6)


@pytest.mark.parametrize("end", ["average_combine", "sum_combine"])
@pytest.mark.parametrize("weights", [np.arange(9), np.random.default_rng(2).random((9, 13, 7))], ids=["frame", "pixel"])
@pytest.mark.parametrize("function", [np.nansum, lambda a, axis: np.nansum(a, axis=axis)], ids=["known", "own"])
def test_same_weights(end: str, weights: Any, function: Any) -> None:
    options = {"weights": weights, "sum_func": function, "scale_to": 2}
    assert_same(*(script(p, frames(), end, **options) for p in (ccdproc, ours)))


@pytest.mark.parametrize(
    ("end", "name", "function"),
    [
        ("average_combine", "scale_func", lambda a, axis: np.ma.max(a, axis=axis)),
        ("median_combine", "median_func", lambda a, axis: np.ma.median(a, axis=axis)),
        ("sum_combine", "sum_func", lambda a, axis: np.ma.sum(a, axis=axis)),
        *(("average_combine", "scale_func", f) for f in (np.ma.mean, np.ma.average, np.nanmean, bottleneck.nanmean)),
        *(("median_combine", "median_func", f) for f in (np.ma.median, bottleneck.nanmedian, np.nanmedian)),
        *(("sum_combine", "sum_func", f) for f in (np.ma.sum, np.nansum, bottleneck.nansum)),
    ],
)
def test_same_functions(end: str, name: str, function: Any) -> None:
    assert_same(*(script(p, frames(), end, **{name: function}) for p in (ccdproc, ours)))


def test_functions_are_called_as_ccdproc_calls_them() -> None:
    seen: dict[Any, list[Any]] = {}

    def spy(package: Any, role: str, reduce: Callable[..., Any]) -> Callable[..., Any]:
        def function(values: Any, axis: Any) -> Any:
            seen.setdefault((role, package), []).append(
                (type(values), values.dtype, values.shape, np.ravel(axis)[0])
            )  # a clip's is (0,) in ccdproc
            return reduce(values, axis=axis)

        return function

    for package in (ccdproc, ours):
        script(package, column(V, (3,)), scale_func=spy(package, "masked", np.ma.mean))
        script(package, column(V, (3,)), uncertainty_func=spy(package, "nan", np.nanstd))
        script(package, column(V, (3,)), scale_func=np.ma.mean, uncertainty_func=spy(package, "both", np.ma.std))
        script(package, column(V, (3,)), clip={"sigma_clipping": {"func": spy(package, "clip", np.nanmedian)}})
        package.combine(column(V, (3,)), scale=lambda a, p=package: seen.setdefault(("scale", p), [type(a)]) and 1)
    for role in ("masked", "nan", "both", "clip", "scale"):
        assert seen[role, ccdproc][0] == seen[role, ours][0], role


@st.composite
def cases(draw: Any) -> tuple[list[CCDData], dict[str, Any]]:
    """Frames with masks, and a clip before which nothing was rejected: ccdproc measures what is masked too."""
    n, shape = draw(st.integers(1, 8)), draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    dtype = draw(st.sampled_from(["uint16", "int32", "float32", "float64", ">f4"]))
    data = rng.normal(1000, 50, (n, *shape)).astype(dtype)
    masks = [None] * n
    clip: dict[str, Any] = {}
    kind = draw(st.sampled_from(["masks", "sigma", "extrema"]))
    if kind == "masks":
        masks = list(rng.random(data.shape) < draw(st.sampled_from([0.1, 0.5, 1.0])))
        clip["minmax_clipping"] = {
            "min_clip": draw(st.none() | st.just(980)),
            "max_clip": draw(st.none() | st.just(1010)),
        }
    elif kind == "extrema":
        nlow = draw(st.integers(0, n))
        clip["clip_extrema"] = {"nlow": nlow, "nhigh": draw(st.integers(0, n - nlow))}
    else:
        threshold = st.sampled_from([1.3, 1.77, 2.1])  # away from bounds that small integers can meet
        clip["sigma_clipping"] = {
            "low_thresh": draw(threshold), "high_thresh": draw(threshold),
            "func": draw(st.sampled_from(["mean", "median"])), "dev_func": "std",
        }  # fmt: skip
    return [CCDData(d, mask=m, unit="adu") for d, m in zip(data, masks, strict=True)], clip


@settings(deadline=None)
@given(cases(), st.sampled_from(METHODS), st.sampled_from([None, "float32"]))
def test_same_whatever_the_frames(case: Any, end: str, dtype: Any) -> None:
    ccds, clip = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, mine = (script(package, ccds, end, clip=clip, dtype=dtype) for package in (ccdproc, ours))
    assert_same(theirs, mine, rtol=1e-5 if dtype else 1e-9)


@pytest.mark.parametrize("method", ["average", "median", "sum"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_extrema": True, "nhigh": 2},
        {"minmax_clip": True, "minmax_clip_min": 990, "minmax_clip_max": 1100},
        {"sigma_clip": True, "sigma_clip_high_thresh": 2, "sigma_clip_func": np.ma.median},
        {"scale": lambda a: 1 / np.median(a)},
        {"scale": np.arange(1, 10.0), "combine_uncertainty_function": np.nanstd},
        {"dtype": "float32"},
    ],
    ids=spelled,
)
def test_same_combine(method: str, options: dict[str, Any]) -> None:
    theirs, mine = (p.combine(frames(wcs=a_wcs()), method=method, **options) for p in (ccdproc, ours))
    assert_same(theirs, mine, 2e-6 if "dtype" in options else 1e-12)
    assert mine.wcs.wcs.compare(theirs.wcs.wcs)


@pytest.mark.parametrize("weights", [np.arange(9), np.random.default_rng(2).random((9, 13, 7))], ids=["frame", "pixel"])
def test_same_combine_with_weights(weights: Any) -> None:
    assert_same(*(p.combine(frames(), weights=weights) for p in (ccdproc, ours)))


def a_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return wcs


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


# Memory


@pytest.mark.parametrize("method", ["average", "median", "sum"])
def test_bands_have_the_same_bits(folder: Path, method: str) -> None:
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
    for limit in (20e6, 16e9):
        tracemalloc.start()
        ours.combine(names(tmp_path), mem_limit=limit, **options)
        used[limit] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert used[20e6] <= 20e6 < used[16e9]  # the frames are 38 MB as float64


# Differences

DIFFERENCES: list[tuple[str, str, str, Callable[[Any], Any]]] = [
    ("Mean with unit weights of 1, 1, 1 and a masked 100", "0.75", "1",
     lambda p: script(p, column([1, 1, 1, 100], (3,)), weights=np.ones(4))),
    ("Median with weights 1, 1, 5 of 1, 2, 3", "2", "3",
     lambda p: script(p, column([1, 2, 3]), "median_combine", weights=np.array([1, 1, 5]))),
    ("Mean with weights -1, 1, 1 of 1, 2, 3", "4", "ValueError",
     lambda p: script(p, column([1, 2, 3]), weights=np.array([-1, 1, 1]))),
    ("Mean with weights that are all 0", "nan", "ValueError",
     lambda p: script(p, column([1, 2, 3]), weights=np.zeros(3))),
    ("A list of weights", "TypeError", "2", lambda p: script(p, column([1, 2, 3]), weights=[1, 1, 1])),
    ("Clip at 3 about the median where a 5000 is masked and a 150 is not", "105.556", "100",
     lambda p: script(p, column([*V[:8], 150, 5000], (9,)), clip={"sigma_clipping": {"func": "median"}})),
    ("The same clip twice, of ten samples with a 150 and a 90", "98.889", "100",
     lambda p: script(p, column(V), clip={k: {"func": "median"} for k in ("sigma_clipping", "sigma_clipping_")})),
    ("`sigma_clipping(maxiters=5)`", "TypeError", "100",
     lambda p: script(p, column(V), clip={"sigma_clipping": {"func": "median", "maxiters": 5}})),
    ("`low_thresh=None` with a 90 that lies low", "100", "98.889", lambda p: script(p, column(V), clip={
        "sigma_clipping": {"low_thresh": None, "high_thresh": 2, "func": "median", "dev_func": "mad_std"}})),
    ("`low_thresh=0` of 1, 2, 3", "2", "2.5",
     lambda p: script(p, column([1, 2, 3]), clip={"sigma_clipping": {"low_thresh": 0}})),
    ("`low_thresh=-2`", "masked", "98.889",
     lambda p: script(p, column(V), clip={"sigma_clipping": {"low_thresh": -2, "high_thresh": 2}})),
    ("Clip at 2 of 6, 3, 6, 6, 6, where the 3 is on the bound", "6", "5.4",
     lambda p: script(p, column([6, 3, 6, 6, 6]), clip={"sigma_clipping": {"low_thresh": 2}})),
    ("`combine(sigma_clip=True)` where one of eleven is NaN", "masked", "104",
     lambda p: p.combine(column([*V, np.nan]), sigma_clip=True)),
    ("`np.median` (not `nanmedian`) in a lambda as `func`, one sample masked", "98.688", "ValueError", lambda p: script(
        p, column(V, (3,)), clip={"sigma_clipping": {"func": lambda a, axis: np.median(a, axis=axis)}})),
    ("`func=bottleneck.nanmedian`", "TypeError", "98.889",
     lambda p: script(p, column(V), clip={"sigma_clipping": {"func": bottleneck.nanmedian}})),
    ("`sigma_clipping(grow=1)`", "104", "TypeError",
     lambda p: script(p, column(V), clip={"sigma_clipping": {"grow": 1}})),
    ("`clip_extrema(nhigh=1)` of 1, 2, 3, 4 and a masked 100", "2.5", "2",
     lambda p: script(p, column([1, 2, 3, 4, 100], (4,)), clip={"clip_extrema": {"nhigh": 1}})),
    ("`clip_extrema(nlow=4)` of three frames", "IndexError", "masked",
     lambda p: script(p, column([1, 2, 3]), clip={"clip_extrema": {"nlow": 4}})),
    ("`minmax_clipping(5, 1)`", "masked", "ValueError",
     lambda p: script(p, column([1, 2, 3]), clip={"minmax_clipping": {"min_clip": 5, "max_clip": 1}})),
    ("Mean of 1, 2 and infinity", "inf", "1.5", lambda p: script(p, column([1, 2, np.inf]))),
    ("`scale_func=np.ma.average` of 1, 2 and NaN", "nan", "1.5",
     lambda p: script(p, column([1, 2, np.nan]), scale_func=np.ma.average)),
    ("Uncertainty with `scale_func=np.ma.average`, the 150 masked", "5.218", "1.108",
     lambda p: script(p, column(V, (8,)), scale_func=np.ma.average).uncertainty),
    ("Uncertainty with `uncertainty_func=np.ma.std`, the 150 masked", "nan", "1.108",
     lambda p: script(p, column(V, (8,)), uncertainty_func=np.ma.std).uncertainty),
    ("Pixel value where all samples are masked, `sum_combine`", "0", "nan",
     lambda p: script(p, column([1, 2], (0, 1)), "sum_combine").data),
    ("Mean of a thousand 30000.1, `dtype=\"float32\"`", "30000.01", "30000.1",
     lambda p: script(p, column([30000.1] * 1000), dtype="float32")),
    ("`dtype=int` of 1, 3 and a masked 9", "TypeError", "2",
     lambda p: script(p, column([1, 3, 9], (2,)), dtype=int)),
    ("Uncertainty of `combine(dtype=int)`", "4", "4.959", lambda p: p.combine(column(V), dtype=int).uncertainty),
    ("Kind of uncertainty of `combine` where the first image has a variance", "VarianceUncertainty",
     "StdDevUncertainty", lambda p: type(p.combine([with_variance(), *column(V)]).uncertainty)),
    ("Its dtype where the first image has one of float32", "float32", "float64",
     lambda p: p.combine([with_variance(), *column(V)]).uncertainty.array.dtype.type),
    ("`combine` with weights for each sample and a small `mem_limit`", "ValueError", "104",
     lambda p: p.combine(column(V), weights=np.ones((10, 2, 3)), mem_limit=500)),
    ("`combine` of cubes", "ValueError", "1", lambda p: p.combine([CCDData(np.ones((2, 3, 4)), unit="adu")] * 3)),
    ("Weights for each frame of cubes", "ValueError", "1",
     lambda p: script(p, [CCDData(np.ones((2, 3, 4)), unit="adu")] * 3, weights=np.ones(3))),
]  # fmt: skip


def with_variance() -> CCDData:
    return CCDData(np.ones((2, 3)), unit="adu", uncertainty=VarianceUncertainty(np.ones((2, 3), "float32")))


def outcome(run: Callable[[Any], Any], package: Any) -> str:
    """A pixel of the answer, "masked", or the name of the error or the class."""
    try:
        result = run(package)
    except Exception as error:
        return type(error).__name__
    if isinstance(result, type):
        return result.__name__
    if isinstance(result, CCDData) and result.mask.all():
        return "masked"
    pixels = getattr(result, "data", result) if isinstance(result, CCDData) else getattr(result, "array", result)
    value = np.asarray(pixels).flat[0]
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) > 1e4 else f"{value:.3f}".rstrip("0").rstrip(".")


@pytest.mark.skipif(not ccdproc.__version__.startswith("2.5."), reason="what ccdproc does here was found with 2.5.1")
@pytest.mark.parametrize(("what", "before", "after", "run"), DIFFERENCES, ids=[row[0] for row in DIFFERENCES])
def test_differences(what: str, before: str, after: str, run: Callable[[Any], Any]) -> None:
    assert (outcome(run, ccdproc), outcome(run, ours)) == (before, after)


def test_page_lists_the_differences() -> None:
    rows = [f"| {what} | {before} | {after} |" for what, before, after, _ in DIFFERENCES]
    page = PAGE.read_text("utf-8").splitlines()
    start = page.index("|---|---|---|") + 1
    assert page[start : start + len(rows) + 1] == [*rows, ""]


# One line changed

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


def test_ccdproc_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['ccdproc'] = None\n"
        "import numpy as np; from astropy.nddata import CCDData; from xccd.ccdproc import Combiner, combine\n"
        "print(combine([CCDData(np.full((2, 2), v), unit='adu') for v in (1., 2., 6.)]).data[0, 0])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3.0\n"


# Attributes and errors


def test_attributes() -> None:
    ccds = column(V, (8,))
    combiner, theirs = ours.Combiner(ccds), ccdproc.Combiner(ccds)
    assert combiner.dtype is theirs.dtype is np.float64
    assert combiner.unit == theirs.unit
    assert combiner.ccd_list == ccds
    assert combiner.weights is combiner.scaling is None
    np.testing.assert_array_equal(combiner.data_arr.data, theirs.data_arr.data)
    np.testing.assert_array_equal(combiner.mask, theirs.data_arr.mask)
    with pytest.raises(ValueError, match="read-only"):
        combiner.data_arr.mask[0] = True
    for each in (combiner, theirs):
        each.scaling = range(1, 11)
    np.testing.assert_array_equal(combiner.scaling, theirs.scaling)


@pytest.mark.filterwarnings("default")
def test_warnings_of_a_clip_come_once() -> None:
    with pytest.warns(UserWarning, match="can reject nothing with 9 frame") as seen:
        ours.combine(frames(), sigma_clip=True, mem_limit=1)
    assert len(seen) == 1
    with pytest.warns(AstropyDeprecationWarning, match="use_astropy has no effect any more"):
        ours.Combiner(frames()).sigma_clipping(1, 1, use_astropy=True)


def combiner() -> ours.Combiner:
    return ours.Combiner(column(V))


@pytest.mark.parametrize(
    ("error", "match", "run"),
    [
        (TypeError, "ccd_iter is a NoneType: give a list", lambda: ours.Combiner(None)),
        (TypeError, "ccd_iter is a CCDData: give a list", lambda: ours.Combiner(column(V)[0])),
        (TypeError, "ccd_iter is empty", lambda: ours.Combiner([])),
        (TypeError, "image 1 is a ndarray, not CCDData", lambda: ours.Combiner([column(V)[0], np.ones((2, 3))])),
        (TypeError, r"image 1 has shape \(3,\), not the same as the first \(2, 3\)",
         lambda: ours.Combiner([column(V)[0], CCDData(np.ones(3), unit="adu")])),
        (TypeError, "image 1 has the unit s, not the same as the first adu",
         lambda: ours.Combiner([column(V)[0], CCDData(np.ones((2, 3)), unit="s")])),
        (TypeError, "dtype='complex' is not one of real numbers", lambda: ours.Combiner(column(V), dtype="complex")),
        (TypeError, "weights='EXPTIME' is no array of numbers", lambda: setattr(combiner(), "weights", "EXPTIME")),
        (ValueError, r"weights has shape \(2,\): give one number for each of the 10 frames, or \(10, 2, 3\)",
         lambda: setattr(combiner(), "weights", np.ones(2))),
        (TypeError, "scaling=3 is neither a function nor 10 factors", lambda: setattr(combiner(), "scaling", 3)),
        (ValueError, "scaling has 1 factors: give one for each of the 10", lambda: setattr(combiner(), "scaling", [3])),
        (ValueError, "scaling has 60 factors", lambda: setattr(combiner(), "scaling", np.ones((10, 2, 3)))),
        (TypeError, "does not take grow", lambda: combiner().sigma_clipping(grow=1)),
        (ValueError, "axis=1: a clip is over the frames", lambda: combiner().sigma_clipping(axis=1)),
        (ValueError, "center='mode' is unknown", lambda: combiner().sigma_clipping(func="mode")),
        (ValueError, "high=-1: thresholds are 0 or more", lambda: combiner().sigma_clipping(3, -1)),
        (ValueError, "nlow=-1 is not a whole number", lambda: combiner().clip_extrema(-1)),
        (ValueError, "method='mean' is unknown: use one of average, median, sum",
         lambda: ours.combine(column(V), method="mean")),
        (ValueError, "img_list=None is a NoneType", lambda: ours.combine(None)),
        (ValueError, "img_list is empty", lambda: ours.combine([])),
        (ValueError, "mem_limit=0 is not a number of bytes above 0", lambda: ours.combine(column(V), mem_limit=0)),
        (TypeError, "combine does not take wieghts", lambda: ours.combine(column(V), wieghts=1)),
        (TypeError, "img_list: image 1 has the unit s, the first image adu",
         lambda: ours.combine([column(V)[0], CCDData(np.ones((2, 3)), unit="s")])),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], match: str, run: Callable[[], Any]) -> None:
    with pytest.raises(error, match=match):
        run()


def test_units_of_files(folder: Path) -> None:
    with fits.open(folder / "flat-3.fits", mode="update") as hdus:
        hdus[0].header["BUNIT"] = "electron"
    with pytest.raises(TypeError, match=r"flat-3.fits has the unit electron, the first image adu: give unit="):
        ours.combine(names(folder))
