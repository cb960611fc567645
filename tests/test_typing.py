"""Types that editors use: mypy reads two files, and names of arguments are those of the tables."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from xccd.compute.mosaic import REACH
from xccd.kernels.drops import DROPS
from xccd.kernels.rejections import ABOUT, CENTERS, DEVIATIONS, REJECTIONS
from xccd.kernels.table import METHODS, OUTPUTS, UNCERTAINTIES
from xccd.labels import choices
from xccd.sky import shifts
from xccd.sky.gather import ORDERS
from xccd.sky.similarity import MODELS
from xccd.verbs import resampling
from xccd.verbs.bayer_pattern import PATTERNS
from xccd.verbs.calibrate import overscan
from xccd.verbs.presets import PRESETS

FOLDER = Path(__file__).parent / "typing"


def checked(name: str) -> list[str]:
    """The lines of mypy about a file."""
    api = pytest.importorskip("mypy.api")
    out, err, _ = api.run(["--strict", "--config-file", str(FOLDER.parents[1] / "pyproject.toml"), str(FOLDER / name)])
    return [*out.splitlines(), *err.splitlines()]


def test_types_that_must_be_known() -> None:
    assert checked("good.py") == ["Success: no issues found in 1 source file"]


def test_calls_that_must_be_refused() -> None:
    lines = checked("wrong.py")
    refused = {int(found[1]) for line in lines if (found := re.search(r"wrong\.py:(\d+): error", line))}
    text = (FOLDER / "wrong.py").read_text().splitlines()
    first = next(i for i, line in enumerate(text, 1) if line.startswith("xccd."))
    assert refused == set(range(first, len(text) + 1))


@pytest.mark.parametrize(
    ("given", "table"),
    [
        (choices.MethodName, METHODS),
        (choices.RejectionName, [name for name in REJECTIONS if name != "range"]),  # `minmax`
        (choices.MapName, OUTPUTS),
        (choices.ErrorFrom, UNCERTAINTIES),
        (choices.About, ABOUT),
        (get_args(choices.Center)[0], CENTERS),
        (get_args(choices.Deviation)[0], DEVIATIONS),
        (choices.Preset, PRESETS),
        (choices.AlignMethod, resampling.METHODS),
        (choices.Order, ORDERS),
        (choices.Flux, resampling.FLUX),
        (choices.Drop, DROPS),
        (choices.OffsetMethod, shifts.METHODS),
        (choices.Model, MODELS),
        (choices.DebayerMethod, REACH),
        (choices.Pattern, PATTERNS),
        (choices.OverscanMethod, overscan.METHODS),
    ],
    ids=range(17),
)
def test_names_are_those_of_the_tables(given: Any, table: Iterable[str]) -> None:
    assert set(get_args(given)) == set(table)
