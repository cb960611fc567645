"""Each difference of the drop-in from ccdproc that is intended: the rows are those of docs/drop_in_for_ccdproc.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bottleneck
import ccdproc
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

import xccd.ccdproc as ours
from drop_in import column, script

PAGE = Path(__file__).parents[1] / "docs" / "drop_in_for_ccdproc.md"
pytestmark = pytest.mark.filterwarnings("ignore")  # of empty pixels, and of clips out of reach; one test is about these

V = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]


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
    ("`combine` of images of shape (1, 4, 5)", "ValueError", "1",
     lambda p: p.combine([CCDData(np.ones((1, 4, 5)), unit="adu")] * 3)),
    ("Weights for each frame of cubes", "ValueError", "1",
     lambda p: script(p, [CCDData(np.ones((2, 3, 4)), unit="adu")] * 3, weights=np.ones(3))),
    ("Kind of uncertainty of `wcs_project`", "NoneType", "StdDevUncertainty",
     lambda p: type(p.wcs_project(on_sky(uncertainty=StdDevUncertainty(np.ones((40, 40)))), sky()).uncertainty)),
    ("`wcs_project` of 1 MJy/sr onto pixels twice as wide", "4", "1",
     lambda p: p.wcs_project(on_sky(unit="MJy/sr"), sky(2e-4), (10, 10))),
    ('`wcs_project(order="bicubic")` where one pixel far away is NaN', "masked", "1",
     lambda p: p.wcs_project(on_sky((39, 39), np.nan), sky(), order="bicubic")),
    ("`wcs_project` where an infinity is", "inf", "nan", lambda p: p.wcs_project(on_sky((0, 0), np.inf), sky()).data),
    ("`wcs_project` of 16777217 as int32", "16777216", "16777217",
     lambda p: p.wcs_project(on_sky((0, 0), 2**24 + 1, "int32"), sky())),
    ("Its header where there is CRVAL1 without CTYPE1", "1", "KeyError",
     lambda p: p.wcs_project(on_sky(header={"CRVAL1": 1}), sky()).header["CRVAL1"]),
]  # fmt: skip


def sky(size: float = 1e-4) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-size, size]
    return wcs


def on_sky(
    at: tuple[int, int] = (0, 0), value: float = 1, dtype: str = "float64", unit: str = "adu", **more: Any
) -> CCDData:
    """An image of 1 with one other pixel."""
    data = np.ones((40, 40), dtype)
    data[at] = value
    return CCDData(data, unit=unit, wcs=sky(), **more)


def with_variance() -> CCDData:
    return CCDData(np.ones((2, 3)), unit="adu", uncertainty=VarianceUncertainty(np.ones((2, 3), "float32")))


def outcome(run: Callable[[Any], Any], package: Any) -> str:
    """A pixel of the answer, "masked", or the name of the error or the class."""
    try:
        result = run(package)
    except Exception as error:
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    if isinstance(result, type):
        return result.__name__
    if isinstance(result, CCDData) and result.mask is not None and result.mask.all():
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


def test_ccdproc_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['ccdproc'] = None\n"
        "import numpy as np; from astropy.nddata import CCDData; from xccd.ccdproc import Combiner, combine\n"
        "print(combine([CCDData(np.full((2, 2), v), unit='adu') for v in (1., 2., 6.)]).data[0, 0])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3.0\n"
