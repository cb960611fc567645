"""Names of ccdproc that the drop-in does not have: what is said of them, and that it is true."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import ccdproc
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.stats import mad_std

import xccd
import xccd.ccdproc as ours
from xccd.ccdproc.twins import TWINS

PAGE = Path(__file__).parents[1] / "docs" / "drop_in_for_ccdproc.md"
PUBLIC = {n for n, v in vars(ccdproc).items() if not n.startswith("_") and not inspect.ismodule(v)}


def test_every_public_name_is_there_or_has_a_row() -> None:
    assert {*TWINS, *ours.__all__, "CCDData"} == PUBLIC


@pytest.mark.parametrize("name", TWINS)
def test_an_import_says_what_to_use(name: str) -> None:
    match = re.escape(f"xccd.ccdproc has no {name}: {TWINS[name]}")
    with pytest.raises(ImportError, match=match):
        exec(f"from xccd.ccdproc import Combiner, {name}")
    with pytest.raises(AttributeError, match=match):
        getattr(ours, name)
    assert not hasattr(ours, name)
    assert getattr(ours, name, None) is None
    assert name in PAGE.read_text("utf-8")
    assert all(code in PAGE.read_text("utf-8") for code in re.findall("`.*?stack.*?`", TWINS[name]))


def test_other_names_are_as_in_any_module() -> None:
    assert ours.CCDData is CCDData
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        exec("from xccd.ccdproc import no_such_name")
    with pytest.raises(AttributeError, match=r"module 'xccd\.ccdproc' has no attribute 'no_such_name'"):
        _ = ours.no_such_name
    assert inspect.unwrap(ours) is ours
    assert "block_reduce" not in dir(ours)
    assert dict(inspect.getmembers(ours))["combine"] is ours.combine


def image(seed: int) -> CCDData:
    return CCDData(np.random.default_rng(seed).uniform(90, 110, (4, 8)), unit="adu")


def theirs(name: str, ccd: CCDData) -> Any:
    """What ccdproc's function of this name does."""
    options: dict[str, Any] = {
        "block_reduce": {"block_size": 2},
        "block_average": {"block_size": 2},
        "rebin": {"newshape": (2, 4)},
    }.get(name, {})
    return getattr(ccdproc, name)(ccd, **options)


ARITHMETIC = [n for n, text in TWINS.items() if "`" in text and "import" not in text and "open_tree" not in text]


@pytest.mark.filterwarnings("ignore")  # of ccdproc's own
@pytest.mark.parametrize("name", [n for n in ARITHMETIC if n not in ("sigma_func", "rebin")])
def test_the_twin_gives_what_ccdproc_gives(name: str) -> None:
    ccd = image(0)
    found = eval(re.findall("`(.+?)`", TWINS[name])[-1], {"stack": xccd.open_stack([ccd])})
    expected = theirs(name, ccd)
    np.testing.assert_allclose(found[0], expected.data)
    assert found.attrs["units"] == str(expected.unit)


def test_the_other_twins_exist() -> None:
    ccds = [image(i) for i in range(5)]
    stack = xccd.open_stack(ccds)
    found = eval(re.findall("`(.+?)`", TWINS["sigma_func"])[0], {"stack": stack})
    np.testing.assert_allclose(found, mad_std([c.data for c in ccds], axis=0))
    np.testing.assert_allclose(found, ccdproc.sigma_func(np.array([c.data for c in ccds]), axis=0))
    for name in TWINS:
        for statement in re.findall("`(from .+?)`", TWINS[name]):
            exec(statement)
        assert "xccd.open_tree" not in TWINS[name] or callable(xccd.open_tree)
