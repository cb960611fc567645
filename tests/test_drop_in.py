"""The drop-in for ccdproc: one script run with both packages gives the same answers, attributes and errors."""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Callable
from typing import Any

import bottleneck
import ccdproc
import dask.array
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import mad_std
from astropy.utils.exceptions import AstropyDeprecationWarning
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd.ccdproc as ours
from drop_in import METHODS, V, assert_same, column, frames, script

pytestmark = pytest.mark.filterwarnings("ignore")  # of empty pixels, and of clips out of reach; one test is about these


def a_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return wcs


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


@pytest.mark.versions
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


@pytest.mark.versions
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


@pytest.mark.versions
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


# Attributes and errors


@pytest.mark.versions
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
    np.testing.assert_array_equal(combiner.data, theirs.data_arr.data)
    assert type(combiner.data) is np.ndarray
    combiner.minmax_clipping(99.6, 101)
    np.testing.assert_array_equal(combiner.data, theirs.data_arr.data)  # as they were given
    with pytest.raises(ValueError, match="read-only"):
        combiner.data[0] = 1
    for each in (combiner, theirs):
        each.scaling = range(1, 11)
    np.testing.assert_array_equal(combiner.scaling, theirs.scaling)


@pytest.mark.versions
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
        (TypeError, r"weights=1 is no array: give one for each of the 10 frames, or \(10, 2, 3\)",
         lambda: ours.combine(column(V), weights=1)),
        (ValueError, "weights has masked values: fill them first",
         lambda: setattr(combiner(), "weights", np.ma.masked_less(np.arange(10), 1))),
        (TypeError, "ccd_iter: image 0 is one number", lambda: ours.Combiner([CCDData(1.0, unit="adu")])),
        (ValueError, r"weights has shape \(2,\): give one number for each of the 10 frames, or \(10, 2, 3\)",
         lambda: setattr(combiner(), "weights", np.ones(2))),
        (TypeError, "scaling=3 is neither a function nor 10 factors", lambda: setattr(combiner(), "scaling", 3)),
        (ValueError, "scaling has 1 factors: give one for each of the 10", lambda: setattr(combiner(), "scaling", [3])),
        (ValueError, "scaling has 60 factors", lambda: setattr(combiner(), "scaling", np.ones((10, 2, 3)))),
        (TypeError, "scaling=.* is no array of numbers", lambda: setattr(combiner(), "scaling", ["a"] * 10)),
        (TypeError, r"array_package= is dask\.array: xccd\.ccdproc computes with NumPy alone; leave array_package= out",
         lambda: ours.combine(column(V), array_package=dask.array)),
        (TypeError, "xp= is str", lambda: ours.Combiner(column(V), xp="numpy")),
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("weights", v) for v in (1, 2.5, np.float64(1), "a", True, {"a": 1}, {1, 2, 3}, lambda frame: 1,
                                   np.array(1.0), np.ones(2), np.ones((2, 3)), np.ones((3, 3, 2)), np.ones((1, 2, 3)))),
        *(("scaling", v) for v in (1, 2.5, [1, 2], np.ones(4), np.array(1.0), range(2))),
    ],
)  # fmt: skip
def test_same_errors_of_what_is_no_weight_or_factor(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="") as theirs:
        setattr(ccdproc.Combiner(column([1, 2, 3])), name, value)
    with pytest.raises(theirs.type, match=f"^{name}"):
        setattr(ours.Combiner(column([1, 2, 3])), name, value)


@pytest.mark.parametrize("value", [[1, 2], ["a", "b", "c"], [[1], [1, 2], [3]], [1, None, 2], [1, 2j, 3]], ids=str)
def test_lists_are_judged_as_arrays(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^weights"):
        ours.Combiner(column([1, 2, 3])).weights = value


def test_arguments_of_the_next_release() -> None:
    """None is the default of functions there, and arrays of other packages are taken by ccdproc alone."""
    ccds = frames()
    compat = types.ModuleType("array_api_compat.numpy")
    for package in (None, np, np.ones(1), compat):
        assert_same(ours.combine(ccds), ours.combine(ccds, array_package=package))
        assert_same(ours.Combiner(ccds).average_combine(), ours.Combiner(ccds, xp=package).average_combine())
    given = {"sigma_clip_func": None, "sigma_clip_dev_func": None}
    assert_same(ours.combine(ccds, sigma_clip=True), ours.combine(ccds, sigma_clip=True, **given))
    weighted = ours.Combiner(ccds)
    weighted.weights = np.arange(1, 10)
    assert_same(weighted.average_combine(), weighted.average_combine(None, None, None, None))
    assert_same(weighted.sum_combine(), weighted.sum_combine(None, None, None))
