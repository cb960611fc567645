"""Errors after a clip: the factors of the table, where they are applied, and what the map says where they are not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xccd
from test_propagation import assert_claimed, dataset, with_common
from xccd.compute import options
from xccd.kernels import clip_errors
from xccd.kernels.clip_errors import COUNTS, PASSES, RULES, SIDES, clip_of, factors
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions
from xccd.labels.flags import with_maps
from xccd.verbs.clip_history import only_clip

DOCS = Path(__file__).parents[1] / "docs"
CORRECTED, NOT = "corrected for normal noise", "not corrected: the error is too small"
ROBUST = {"center": "median", "deviation": "mad_std"}
pytestmark = pytest.mark.filterwarnings("ignore:sigma_clip")


def noise(n: int, size: tuple[int, int] = (200, 300), sigma: float = 2.0, seed: int = 0) -> xr.Dataset:
    """Normal samples with their errors."""
    values = np.random.default_rng([seed, n]).normal(100, sigma, (n, *size)).astype("f4")
    return dataset(values, np.full(n, sigma))


# --- Monte Carlo


@pytest.mark.parametrize("way", ["scatter", "propagate"])
@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize(
    ("n", "sides", "clip"),
    [
        (5, (3, 3), ROBUST), (10, (2, 2), {}), (10, (3, 3), ROBUST), (12, (2.5, 2.5), ROBUST | {"maxiters": None}),
        (18, (3, None), {"center": "median", "maxiters": 5}), (25, (3, 3), {}), (40, (2, 3), {"center": "median"}),
    ],
)  # fmt: skip
def test_the_claim_is_the_truth(n: int, sides: Any, clip: Any, method: str, way: str) -> None:
    image = noise(n).ccd.sigma_clip(*sides, **clip).ccd.combine(method, uncertainty=way)
    assert image.data_uncertainty.attrs["clip"] == CORRECTED
    assert_claimed(image)


@pytest.mark.parametrize("method", ["mean", "median"])
def test_pixels_with_masked_samples_have_their_own_factor(method: str) -> None:
    ds = noise(16)
    ds.data_flags[:10, :100] = 1
    image = ds.ccd.sigma_clip(3, 3, **ROBUST).ccd.combine(method, uncertainty="scatter")
    for half in (image.isel(y=slice(100)), image.isel(y=slice(100, 200))):
        assert_claimed(half)


def test_what_frames_share_is_not_multiplied() -> None:
    rng, n = np.random.default_rng(5), 10
    values = rng.normal(0, 1, (n, 200, 300)) + rng.normal(0, 1.5, (200, 300))
    ds = with_common(dataset(values.astype("f4"), np.full(n, np.hypot(1, 1.5))), 1.5)
    clipped = ds.ccd.sigma_clip(2, 2, **ROBUST)
    image = clipped.ccd.combine()
    assert image.data_uncertainty.attrs["clip"] == CORRECTED
    assert_claimed(image, 0.01)
    plain = float(
        factors(only_clip(with_maps(clipped, "data"), "frame"), "mean", "propagate", n)[n]
    )  # of all that is claimed
    assert float(image.data_uncertainty.mean()) < 0.95 * plain * np.hypot(1.5, 1 / np.sqrt(n))


def test_after_align_of_noise_that_was_independent() -> None:
    moved = noise(12).ccd.align(offsets=[(3 * i, 0) for i in range(12)]).isel(y=slice(40, 190))
    image = moved.ccd.sigma_clip(2.5, 2.5, **ROBUST).ccd.combine()
    assert image.data_uncertainty.attrs["clip"] == CORRECTED
    assert_claimed(image)


# --- the table


def test_the_table_is_that_of_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some entries made anew, from other samples."""
    monkeypatch.syspath_prepend(str(DOCS))
    make: Any = __import__("make_clip_errors")
    assert sys.modules.pop("make_clip_errors")
    for n, rule, passes, low, high in ((4, 2, 1, 3, 3), (9, 1, -1, 2.5, 4), (21, 0, 2, 2, np.inf)):
        clip = make.options(RULES[rule], passes, low, high)
        found = make.measured(make.Pixels.of(n, seed=1), clip)
        table = [[factors(clip_of(clip), m, w, n)[n] for w in clip_errors.WAYS] for m in clip_errors.METHODS]
        np.testing.assert_allclose(found, table, rtol=0.01)


def test_the_table_holds_what_is_known() -> None:
    """One pass about the mean: 0.974, 0.919 and 0.818 of the truth for many samples; none where none can go."""
    for k, ratio in ((3.0, 0.974), (2.5, 0.919), (2.0, 0.818)):
        clip = clip_of(ClipOptions(CENTERS["mean"], DEVIATIONS["std"], k, k))
        assert factors(clip, "mean", "scatter", 300)[300] == pytest.approx(1 / ratio, rel=0.006)
        assert (factors(clip, "mean", "scatter", 5)[:6] == 1).all()
    robust = clip_of(ClipOptions(CENTERS["median"], DEVIATIONS["mad_std"], 3, 3))
    for way, ratio in (("scatter", 0.88), ("propagate", 0.95)):
        assert factors(robust, "mean", way, 10)[10] == pytest.approx(1 / ratio, rel=0.01)


def test_counts_between_those_of_the_table() -> None:
    clip = clip_of(ClipOptions(CENTERS["median"], DEVIATIONS["mad_std"], 3, 3))
    found = factors(clip, "mean", "scatter", 1000)
    assert found.shape == (1001,)
    assert (found[:3] == 1).all()
    assert (np.diff(found[20::2]) <= 0.002).all()
    assert (found[301:] == found[301]).any()
    assert found[18] == pytest.approx(found[16] * (1 - 0.4444) + found[20] * 0.4444 + 0.0, rel=0.01)


def test_a_side_is_the_other_side() -> None:
    one, other = (clip_of(ClipOptions(0.0, 0.0, low, high)) for low, high in ((2.0, np.inf), (np.inf, 2.0)))
    np.testing.assert_array_equal(factors(one, "mean", "scatter", 50), factors(other, "mean", "scatter", 50))


@pytest.mark.parametrize(
    "other", [{"low": 2.25}, {"high": 8.0}, {"ddof": 1.0}, {"nkeep": 2.0}, {"floor": 0.1}, {"maxiters": 3.0},
              {"minimum": 3.0}, {"about": 1.0}, {"center": CENTERS["mean"], "deviation": DEVIATIONS["mad_std"]}],
    ids=str,
)  # fmt: skip
def test_what_the_table_does_not_have(other: Any) -> None:
    plain = ClipOptions(CENTERS["median"], DEVIATIONS["mad_std"], 3.0, 3.0)
    assert clip_of(plain) is not None
    assert clip_of(plain._replace(**other)) is None


def test_it_is_small_and_whole() -> None:
    assert clip_errors.FILE.stat().st_size < 120_000
    for clip in (
        clip_errors.Clip(r, p, s) for r in range(len(RULES)) for p in range(len(PASSES)) for s in ((0, 0), (0, 6))
    ):
        for method in clip_errors.METHODS:
            scatter, propagated = (factors(clip, method, way, max(COUNTS))[list(COUNTS)] for way in clip_errors.WAYS)
            assert (scatter > 0.97).all()
            assert (propagated > 0.97).all()
            assert (scatter < 3.5).all()
            assert (propagated < scatter + 0.03).all()
    assert SIDES[-1] == np.inf


# --- where it is applied


def attribute(ds: xr.Dataset, *args: Any, **kwargs: Any) -> str | None:
    return ds.ccd.combine(*args, **kwargs).data_uncertainty.attrs.get("clip")


def history(image: xr.Dataset) -> str:
    """The steps in the header, without the ends of cards."""
    return "".join(str(line).ljust(72) for line in image.data.ccd.header()["HISTORY"]).replace("  ", "")


def test_one_plain_clip_is_corrected() -> None:
    ds = noise(6, (3, 4))
    assert attribute(ds) is None
    clipped = ds.ccd.sigma_clip(3, 3, **ROBUST)
    for one in (
        clipped, clipped.chunk(y=1), ds.ccd.minmax(max=1e5).ccd.sigma_clip(), clipped.ccd.normalize(zero="median"),
        ds.ccd.normalize(scale="median").ccd.sigma_clip(2, 5), ds.ccd.sigma_clip(preset="astropy"),
        ds.ccd.sigma_clip(preset="ccdproc"), ds.ccd.mask_where(ds.data[0] < 0).ccd.sigma_clip(3, None),
    ):  # fmt: skip
        for method in ("mean", "median"):
            for way in ("scatter", "propagate", "larger"):
                assert attribute(one, method, uncertainty=way) == CORRECTED
    image = clipped.ccd.combine()
    assert "the uncertainty is corrected for the clip" in history(image)
    assert "corrected" not in history(ds.ccd.combine()) + history(clipped.ccd.combine(maps=["count"]))


def test_others_say_that_they_are_not() -> None:
    ds = noise(6, (3, 4))
    clipped = ds.ccd.sigma_clip(3, 3, **ROBUST)
    for one in (
        clipped.ccd.sigma_clip(3, 3), ds.ccd.clip_extrema(1, 1), ds.ccd.reject("winsorized"), clipped.ccd.grow(1),
        ds.ccd.sigma_clip(2.2, 2.2), ds.ccd.sigma_clip(3, 3, ddof=1), ds.ccd.sigma_clip(preset="iraf"),
        ds.ccd.sigma_clip(3, 3, center=np.nanmedian), clipped.ccd.mask_where(ds.data[0] < 0),
    ):  # fmt: skip
        assert attribute(one) == NOT
    assert attribute(clipped, weights=np.arange(1.0, 7)) == NOT
    assert attribute(clipped, scale=np.arange(1.0, 7)) == NOT
    for method in ("sum", "ivar"):
        assert attribute(clipped, method) == NOT
    stack = ds.data.drop_attrs().ccd.sigma_clip(3, 3, **ROBUST)
    assert stack.ccd.combine_with_maps().data_uncertainty.attrs["clip"] == NOT
    again = clipped.ccd.to_stack().ccd.to_dataset()  # which samples were missing before the clip is lost
    for one in (clipped.isel(frame=slice(4)), xr.concat([clipped, clipped], "frame"), again):
        assert attribute(one) == NOT
    for plain in (clipped.ccd.combine("sum"), clipped.ccd.combine(weights=np.ones(6))):
        assert "corrected" not in history(plain)


def test_a_clip_along_another_dimension() -> None:
    stack = xr.DataArray(np.random.default_rng(0).normal(size=(5, 6, 3)), dims=("night", "frame", "x"), name="data")
    ds = stack.ccd.to_dataset().ccd.sigma_clip(dim="night")
    assert attribute(ds) == NOT
    assert attribute(ds, dim="night") == CORRECTED


@pytest.mark.parametrize("history", ["", "something else", "xccd.sigma_clip(low=", "xccd.sigma_clip(1)", "x.y()"])
def test_a_history_that_says_nothing(history: str) -> None:
    ds = noise(6, (3, 4)).ccd.sigma_clip()
    assert only_clip(with_maps(ds, "data"), "frame") is not None
    other = ds.assign(data=ds.data.assign_attrs(history=history))
    assert only_clip(with_maps(other, "data"), "frame") is None


# --- all ways to compute it


@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize("way", ["scatter", "propagate", "larger"])
@pytest.mark.parametrize("method", ["mean", "median"])
def test_lazy_or_not(engine: str, way: str, method: str) -> None:
    """The factor goes by the samples before the clip: those that are finite, unmasked and within the limits."""
    ds = with_common(noise(9, (12, 14)), 0.5)
    ds.data[1, 2, 3], ds.data[2, 2, 3], ds.data[0, 5, 5] = np.nan, np.inf, 1e6
    ds.data_flags[3:6, :4] = 1
    with xccd.set_options(engine=engine):

        def made(one: xr.Dataset) -> xr.Dataset:
            clipped = one.ccd.minmax(max=110).ccd.sigma_clip(2, 2, **ROBUST)
            return clipped.ccd.combine(method, uncertainty=way, dtype="float64").compute()

        ds = ds.assign(data_flags=ds.data.ccd.to_dataset().data_flags | ds.data_flags)
        whole = made(ds)
        clipped = ds.ccd.minmax(max=110).ccd.sigma_clip(2, 2, **ROBUST)
        for chunks in ({"y": 5}, {"frame": 4}):
            xr.testing.assert_equal(made(ds.chunk(chunks)), whole)
        parts = clipped.chunk(frame=4).ccd.combine(method, uncertainty=way, dtype="float64").compute()
        xr.testing.assert_allclose(parts, whole, rtol=1e-12)
    before = ((clipped.data_flags & 15) == 0).sum("frame")
    raw = clipped.data.assign_attrs(history="")
    raw = clipped.assign(data=raw).ccd.combine(method, uncertainty=way, dtype="float64")
    if way == "scatter":
        table = factors(only_clip(with_maps(clipped, "data"), "frame"), method, way, 9)
        np.testing.assert_allclose(whole.data_uncertainty, raw.data_uncertainty * table[before.values])
    assert (whole.data_uncertainty >= raw.data_uncertainty * 0.98).all()


def test_both_engines_have_the_same_bits() -> None:
    found = []
    for engine in options.ENGINES:
        with xccd.set_options(engine=engine):
            clipped = noise(9, (12, 14)).ccd.sigma_clip(2, 2, **ROBUST)
            found.append([clipped.ccd.combine(m, uncertainty="larger").data_uncertainty for m in ("mean", "median")])
    np.testing.assert_array_equal(*found)
