"""`preset=`: arguments by the name of another program; those that are given win."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.verbs.presets import PRESETS

pytestmark = pytest.mark.filterwarnings("ignore:.*can reject nothing:UserWarning")
PAGE = (Path(__file__).parents[1] / "docs" / "coming_from.md").read_text()


@pytest.fixture
def stack() -> xr.DataArray:
    x = np.random.default_rng(5).normal(100, 3, (12, 8, 8))
    x[np.random.default_rng(6).random(x.shape) < 0.1] += 40
    return xr.DataArray(x, dims=("frame", "y", "x"), name="data")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_arguments(stack: xr.DataArray, name: str) -> None:
    expected = stack.ccd.sigma_clip(2, 2, **PRESETS[name])
    for clipped in (stack.ccd.sigma_clip(2, 2, preset=name), stack.ccd.reject("sigma", 2, 2, preset=name)):
        xr.testing.assert_equal(clipped, expected)
        assert clipped.attrs["history"].endswith(f", preset={name!r})")
    before = expected.attrs["history"].removesuffix(")")
    assert stack.ccd.sigma_clip(2, 2, preset=name).attrs["history"].startswith(before)


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_given_wins(stack: xr.DataArray, name: str) -> None:
    given = {"center": "mean", "maxiters": 2, "ddof": 0, "nkeep": 11}
    expected = stack.ccd.sigma_clip(2, 2, **{**PRESETS[name], **given})
    for clipped in (
        stack.ccd.sigma_clip(2, 2, preset=name, **given),
        stack.ccd.reject("sigma", 2, 2, preset=name, **given),
    ):
        xr.testing.assert_equal(clipped, expected)
        assert all(f"{k}={v!r}" in clipped.attrs["history"] for k, v in given.items() if v)


def test_until_stable_is_one_pass_if_that_is_given(stack: xr.DataArray) -> None:
    one = stack.ccd.sigma_clip(2, 2, preset="gnuastro", maxiters=1)
    xr.testing.assert_equal(one, stack.ccd.sigma_clip(2, 2, center="median"))
    assert one.count() > stack.ccd.sigma_clip(2, 2, preset="gnuastro").count()


@pytest.mark.parametrize("bad", ["irav", "IRAF", 3])
def test_unknown_names_raise_with_the_list(stack: xr.DataArray, bad: object) -> None:
    expected = re.escape(f"preset={bad!r} is unknown: use one of astropy, ccdproc, iraf, siril, gnuastro")
    for call in (stack.ccd.sigma_clip, lambda **given: stack.ccd.reject("sigma", **given)):
        with pytest.raises(ValueError, match=expected):
            call(preset=bad)
    with pytest.raises(ValueError, match="did you mean 'iraf'"):
        stack.ccd.sigma_clip(preset="irav")


def test_presets_are_for_sigma() -> None:
    pixel = xr.DataArray([1.0, 2, 3, 4, 5], dims="frame")
    with pytest.raises(ValueError, match="preset='siril' is no option of 'percentile'"):
        pixel.ccd.reject("percentile", preset="siril")


@pytest.mark.parametrize("verb", ["sigma_clip", "reject"])
def test_datasets_and_lazy_stacks_take_presets(stack: xr.DataArray, verb: str) -> None:
    first = ("sigma",) if verb == "reject" else ()
    expected = stack.ccd.sigma_clip(2, 2, preset="siril")
    lazy = getattr(stack.chunk({"y": 4}).ccd, verb)(*first, 2, 2, preset="siril")
    assert lazy.chunks is not None
    xr.testing.assert_equal(lazy.compute(), expected)
    flagged = getattr(stack.ccd.to_dataset().ccd, verb)(*first, 2, 2, preset="siril")
    xr.testing.assert_equal(flagged.ccd.to_stack().drop_attrs(), expected.drop_attrs())


def test_the_docs_have_every_preset() -> None:
    section = PAGE.partition("## Presets")[2].partition("\n## ")[0]
    rows = dict(re.findall(r'^\| "(\w+)" \| (.*?) \|', section, re.MULTILINE))
    assert rows.keys() == PRESETS.keys()
    defaults = {k: p.default for k, p in inspect.signature(xccd.sigma_clip).parameters.items()}
    for name, text in rows.items():
        code = re.findall(r"`(.*?)`", text)
        told = eval(f"dict({code[0]})") if code else {}
        assert {k: v for k, v in PRESETS[name].items() if defaults[k] != v} == told
        assert f'"{name}"' in inspect.getdoc(xccd.sigma_clip)


def test_about_must_be_known(stack: xr.DataArray) -> None:
    with pytest.raises(ValueError, match="about='centre' is unknown: use one of mean, center; did you mean 'center'"):
        stack.ccd.sigma_clip(about="centre")
