"""Which samples survive: beside IRAF, Siril, gnuastro, astropy and ccdproc, on columns of 3 to 25 samples.

`tests/peers/make_reference.py` ran the programs. A case has the program's setting, the same here, in how many columns
the survivors differ, and why. docs/coming_from.md tells the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

import xccd  # noqa: F401
from peers import models
from peers.columns import COPIES, FIXTURE, HERE, frames_of, kept_columns

pytestmark = pytest.mark.filterwarnings("ignore:.*(can reject nothing|rejects nothing|leaves nothing):UserWarning")
Explains = Callable[[np.ndarray, np.ndarray, "Case"], bool]


class Case(NamedTuple):
    """A setting of a program, and the same here; ``differ`` columns differ, for the reason ``why``."""

    setting: str
    algorithm: str
    low: float | None
    high: float | None
    options: Mapping[str, Any] = MappingProxyType({})
    differ: int = 0
    why: Explains | None = None
    unexplained: int = 0
    rows: int = 2  # pixels in a row: two equal ones, or so many columns
    least: float = 0  # samples below are masked

    def __str__(self) -> str:
        return self.setting


# --- reasons


def rounding(column: np.ndarray, theirs: np.ndarray, case: Case) -> bool:
    """A sample is on a bound: float32 falls to either side."""
    moved = [case._replace(low=shifted(case.low, by), high=shifted(case.high, by)) for by in (1 - 1e-5, 1 + 1e-5)]
    return any(same(column, survivors(column[:, None], other)[:, 0], theirs) for other in moved)


def shifted(threshold: float | None, by: float) -> float | None:
    return None if threshold is None else threshold * by


def follows(model: Callable[..., np.ndarray], *args: Any, **kwargs: Any) -> Explains:
    """The survivors are those of a model of the program."""

    def explains(column: np.ndarray, theirs: np.ndarray, case: Case) -> bool:
        given = [a(column.size) if a is models.line_of else a for a in args]
        left = model(column, *given, **kwargs)
        return same(column, np.isin(np.arange(column.size), left), theirs)

    return explains


def median_of_nothing(column: np.ndarray, theirs: np.ndarray, case: Case) -> bool:
    """Nothing is left; the program then gives the median."""
    nothing = not survivors(column[:, None], case).any()
    return nothing and bool(np.isclose(column[theirs].mean(), np.median(column), rtol=1e-6))


# --- cases

IRAF = {"center": "median", "ddof": 1, "about": "center", "maxiters": None, "minimum": 3, "nkeep": 1}
SIRIL = {"center": "median", "ddof": 1, "maxiters": None, "minimum": 5}
MAD = {"center": "median", "deviation": models.mad, "maxiters": None, "minimum": 5}
CCD = {"readnoise": 5, "gain": 2, "nkeep": 1}
CASES = {
    "iraf": [
        *(Case(f"sigclip {k} mclip=yes", "sigma", k, k, IRAF) for k in (3, 2, 1.5)),
        Case("sigclip 2 mclip=yes nkeep=4", "sigma", 2, 2, IRAF | {"nkeep": 4}),
        *(Case(f"avsigclip {k} mclip=yes", "average_sigma", k, k) for k in (3, 2)),
        *(Case(f"avsigclip {k} mclip=no", "average_sigma", k, k, {"center": "mean"}) for k in (3, 2)),
        Case("avsigclip 2 mclip=yes nkeep=4", "average_sigma", 2, 2, {"nkeep": 4}),
        Case("avsigclip 2 mclip=no nkeep=4", "average_sigma", 2, 2, {"nkeep": 4, "center": "mean"}),
        Case("avsigclip over rows mclip=yes", "average_sigma", 3, 3, rows=16),
        Case("avsigclip over rows mclip=no", "average_sigma", 3, 3, {"center": "mean"}, rows=16),
        Case("ccdclip mclip=yes", "noise", 3, 3, CCD),
        Case("ccdclip mclip=no", "noise", 3, 3, CCD | {"center": "mean"}),
        Case("ccdclip mclip=yes snoise=0.05", "noise", 3, 3, CCD | {"sensitivity": 0.05}),
        Case("ccdclip mclip=yes nkeep=4", "noise", 3, 3, CCD | {"nkeep": 4}),
        Case("ccdclip mclip=no nkeep=4", "noise", 3, 3, CCD | {"nkeep": 4, "center": "mean"}),
        Case("crreject mclip=yes", "noise", None, 3, CCD),
        Case("crreject mclip=no", "noise", None, 3, CCD | {"center": "mean"}),
        *(Case(f"pclip {p}", "percentile_rank", 3, 3, {"pclip": p}) for p in (-0.5, 0.5, -0.25, 2, -2)),
        Case("pclip -0.5 nkeep=4", "percentile_rank", 3, 3, {"nkeep": 4}),
        Case("minmax 1 2", "extrema", 1, 2),
        Case("minmax 0 1", "extrema", 0, 1),
        Case("minmax 1 2 above 990.3", "extrema", 1, 2, {"fraction": True}, least=990.3),
        Case("minmax 2 1 above 990.3", "extrema", 2, 1, {"fraction": True}, least=990.3),
    ],
    "siril": [
        Case("sigma 3", "sigma", 3, 3, SIRIL),
        Case("sigma 2", "sigma", 2, 2, SIRIL, 49, follows(models.siril, 2, 2, models.about_median), 1),
        *(
            Case(f"winsorized {a} {b}", "winsorized", a, b, {}, d, follows(models.siril, a, b, models.winsorized))
            for a, b, d in ((3, 3, 71), (4, 3, 71), (2, 2, 124))
        ),
        *(
            Case(f"MAD {k}", "sigma", k, k, MAD, d, follows(models.siril, k, k, models.about_median_by_mad), u)
            for k, d, u in ((3, 259, 173), (5, 140, 111))
        ),
        Case("percentile 0.2 0.1", "percentile", 0.2, 0.1),
        Case("percentile 0.02 0.03", "percentile", 0.02, 0.03, {}, 4, median_of_nothing),
        *(
            Case(
                f"linear fit {a} {b}", "linear_fit", a, b, {}, d,
                follows(models.siril, a, b, models.line_of, in_order=True),
            )
            for a, b, d in ((5, 2.5, 187), (4, 3, 122))
        ),
    ],
    "gnuastro": [
        Case(
            f"sigclip {k} 0.2", "sigma", k, k, {"center": "median", "maxiters": None}, d,
            follows(models.gnuastro, k, 0.2),
        )
        for k, d in ((3, 0), (2, 162))
    ],
    "astropy": [
        Case("defaults", "sigma", 3, 3, {"center": "median", "maxiters": 5}),
        Case("sigma=2", "sigma", 2, 2, {"center": "median", "maxiters": 5}),
        Case("maxiters=1", "sigma", 3, 3, {"center": "median"}),
        Case("sigma=2, maxiters=None", "sigma", 2, 2, {"center": "median", "maxiters": None}),
        Case("mean", "sigma", 2, 2, {"maxiters": 5}),
        Case("mad_std", "sigma", 3, 3, {"center": "median", "deviation": "mad_std"}),
    ],
    "ccdproc": [
        Case("defaults", "sigma", 3, 3),
        Case("2, 2", "sigma", 2, 2),
        Case("median and mad_std", "sigma", 3, 3, {"center": "median", "deviation": "mad_std"}),
        Case("clip_extrema 1 2", "extrema", 1, 2),
    ],
}  # fmt: skip


# --- the comparison


@cache
def reference(program: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"{program}.npz") as file:
        return dict(zip(file["settings"].tolist(), file["survivors"], strict=True))


def survivors(x: np.ndarray, case: Case) -> np.ndarray:
    """Ours, True where a sample survives: (frames, columns)."""
    across = case.rows if case.rows > 2 else 1
    image = np.repeat(x.reshape(len(x), -1, across), 2 if across == 1 else 1, axis=2)
    stack = xr.DataArray(np.where(image >= case.least, image, np.nan), dims=("frame", "y", "x"))
    left = np.isfinite(stack.ccd.reject(case.algorithm, case.low, case.high, **case.options).values)
    return left.reshape(len(x), -1) if across > 1 else left[:, :, 0]


def same(column: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether the same values survive: of equal samples it does not matter which."""
    return np.array_equal(np.sort(column[ours]), np.sort(column[theirs]))


def differing(program: str, case: Case) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The columns in which survivors differ: samples, ours, theirs. Columns of unknown survivors are left out."""
    found, start = [], 0
    for n, x in kept_columns().items():
        numbers = reference(program)[case.setting][start : start + x.shape[1]]
        start += x.shape[1]
        ours, theirs = survivors(x, case), frames_of(numbers, n) & (x >= case.least)
        for j in np.flatnonzero((numbers != 0) & (ours != theirs).any(0)):
            if not same(x[:, j], ours[:, j], theirs[:, j]):
                found.append((x[:, j].astype("f8"), ours[:, j], theirs[:, j]))
    return found


@pytest.mark.parametrize(
    ("program", "case"),
    [pytest.param(program, case, id=f"{program} {case}") for program, cases in CASES.items() for case in cases],
)
def test_survivors(program: str, case: Case) -> None:
    others = differing(program, case)
    unexplained = [column for column, _, theirs in others if case.why is None or not case.why(column, theirs, case)]
    assert (len(others), len(unexplained)) == (case.differ, case.unexplained), unexplained


def test_sirils_gesdt_rejects_a_sample_wherever_it_may() -> None:
    numbers, start = reference("siril")["GESDT 0.3 0.05"], 0
    for n, x in kept_columns().items():
        part, start = numbers[start : start + x.shape[1]], start + x.shape[1]
        rejected = n - frames_of(part[part != 0], n).sum(0)
        assert (rejected >= 1).all() == (int(0.3 * n) >= 1)


# --- the fixture of the docs

PAGE = (HERE.parents[1] / "docs" / "coming_from.md").read_text()
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.count("|") == 5]
FIXTURE_ROWS = {row[0]: row[1:] for row in ROWS if re.fullmatch(r"[\d.]+", row[3])}
SETTINGS = {  # of each row: the program, and its setting in the reference file
    "ccdproc, defaults": ("ccdproc", "defaults"),
    "ccdproc, median and mad_std": ("ccdproc", "median and mad_std"),
    "astropy, defaults": ("astropy", "defaults"),
    "astropy, maxiters=1": ("astropy", "maxiters=1"),
    "IRAF sigclip 3, 3": ("iraf", "sigclip 3 mclip=yes"),
    "IRAF sigclip 2, 2": ("iraf", "sigclip 2 mclip=yes"),
    "IRAF ccdclip, rdnoise 5, gain 2": ("iraf", "ccdclip mclip=yes"),
    "IRAF avsigclip": ("iraf", "avsigclip 3 mclip=yes"),
    "IRAF pclip -0.5": ("iraf", "pclip -0.5"),
    "IRAF minmax, nlow 1, nhigh 2": ("iraf", "minmax 1 2"),
    "Siril sigma 3, 3": ("siril", "sigma 3"),
    "Siril winsorized 3, 3": ("siril", "winsorized 3 3"),
    "Siril winsorized 4, 3": ("siril", "winsorized 4 3"),
    "Siril GESDT 0.3, 0.05": ("siril", "GESDT 0.3 0.05"),
    "Siril percentile 0.2, 0.1": ("siril", "percentile 0.2 0.1"),
    "Siril linear fit 5, 2.5": ("siril", "linear fit 5 2.5"),
    "Siril linear fit 4, 3": ("siril", "linear fit 4 3"),
    "gnuastro sigclip-mean 3, 0.2": ("gnuastro", "sigclip 3 0.2"),
}


def test_every_row_of_the_fixture_has_a_setting() -> None:
    assert FIXTURE_ROWS.keys() == SETTINGS.keys()


@pytest.mark.parametrize("label", FIXTURE_ROWS)
def test_fixture(label: str) -> None:
    code, rejects, mean = FIXTURE_ROWS[label]
    program, setting = SETTINGS[label]
    expected = [] if rejects == "none" else [float(v) for v in rejects.split(",")]
    # one row of a 2 x 2 image for "average_sigma"; all pixels are equal
    pixel = xr.DataArray(np.broadcast_to(FIXTURE[:, None, None], (10, 2, 2)).copy(), dims=("frame", "y", "x"))
    clipped = eval(f"pixel.ccd.{code.strip('`')}", {"pixel": pixel})
    assert sorted(pixel.values[np.isnan(clipped.values)].tolist()) == sorted(4 * expected)
    assert clipped.mean().item() == pytest.approx(float(mean), abs=5e-5)
    before = sum(x.shape[1] for n, x in kept_columns().items() if n < 10)
    first = before + kept_columns()[10].shape[1] - COPIES
    theirs = frames_of(reference(program)[setting][first : first + 1], 10)[:, 0]
    assert sorted(FIXTURE[~theirs].tolist()) == sorted(expected)
