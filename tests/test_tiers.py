"""`tiers=`: where a pixel has no good sample, its least bad ones are used; image and maps against a slow twin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.compute import options
from xccd.kernels.flags import Flag

MASKED, GROWN, HIGH = int(Flag.MASKED_ON_INPUT), int(Flag.GROWN), int(Flag.REJECTED_HIGH)
few, fewer = (settings(max_examples=n, deadline=None) for n in (40, 12))  # a lazy example takes a tenth of a second
FLAGS = st.sampled_from([0, 0, 1, 2, 8, 9, 16, 32, 64, 65, 96, 128, 129])
TIERS = st.sampled_from(
    [["above_maximum"], ["above_maximum", "masked_on_input"], ["grown", ("rejected_high", 16), Flag.MASKED_ON_INPUT],
     [["masked_on_input", "grown"]]]
)  # fmt: skip


def flagged(values: Any, flags: Any, dtype: str = "float64", **coords: Any) -> xr.Dataset:
    """A flagged Dataset of (frames, pixels)."""
    data = np.asarray(values).astype(dtype)
    stack = xr.DataArray(data[:, None], dims=("frame", "y", "x"), coords=coords).ccd.to_dataset()
    return stack.assign(data_flags=stack["data_flags"] | np.asarray(flags, np.uint8)[:, None])


def in_use(values: list[float], flags: list[int], tiers: list[Any]) -> list[int]:
    """The frames whose samples a pixel takes: the slow twin."""
    names = {name.lower(): int(flag) for name, flag in Flag.__members__.items()}
    sets = [[names[t] if isinstance(t, str) else int(t) for t in (tier if isinstance(tier, list | tuple) else [tier])]
            for tier in tiers]  # fmt: skip
    for k in range(len(sets) + 1):
        allowed = {bit for one in sets[:k] for bit in one}
        bits = [{1 << i for i in range(8) if f >> i & 1} for f in flags]
        found = [i for i, v in enumerate(values) if math.isfinite(v) and bits[i] <= allowed]
        if found:
            return found
    return []


@st.composite
def stacks(draw: st.DrawFn, dtypes: tuple[str, ...] = ("float32", "float64", "int16", "uint16")) -> xr.Dataset:
    frames, pixels = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(dtypes))
    sample = st.integers(0, 9).map(float) | (st.just(math.nan) if dtype[0] == "f" else st.nothing())
    values = [[draw(sample) for _ in range(pixels)] for _ in range(frames)]
    flags = [[draw(FLAGS) for _ in range(pixels)] for _ in range(frames)]
    return flagged(values, flags, dtype, EXPTIME=("frame", 10.0 + np.arange(frames)))


@pytest.mark.parametrize("engine", options.ENGINES)
@few
@given(stacks(), TIERS)
def test_image_and_maps_are_those_of_a_twin(engine: str, ds: xr.Dataset, tiers: list[Any]) -> None:
    with xccd.set_options(engine=engine):
        image = ds.ccd.combine_with_maps("mean", tiers=tiers)
    values, flags = (ds[name].values[:, 0] for name in ("data", "data_flags"))
    for j in range(values.shape[1]):
        x, f = values[:, j].astype(float).tolist(), flags[:, j].tolist()
        used = in_use(x, f, tiers)
        found = {name: image[f"data_{name}"][0, j].item() for name in ("count", "rejected_high", "exposure", "flags")}
        assert found["count"] == len(used)
        assert found["exposure"] == sum(10.0 + i for i in used)
        assert found["rejected_high"] == sum(i not in used and bool(f[i] & HIGH) for i in range(len(f)))
        assert found["flags"] == np.bitwise_or.reduce([f[i] for i in used or range(len(f))])
        value = image["data"][0, j].item()
        assert math.isnan(value) if not used else value == pytest.approx(np.mean([x[i] for i in used]), rel=1e-6)


def own(values: Any, axis: int) -> Any:
    return np.nanmedian(values, axis=axis)


METHODS = ["mean", "median", "max", "count", own]
CHUNKS = [{"frame": -1, "x": 2}, {"frame": 1}, {"frame": 2, "x": 1}]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: getattr(m, "__name__", m))
@fewer
@given(stacks(), TIERS)
def test_lazy_stacks_give_the_same(method: Any, ds: xr.Dataset, tiers: list[Any]) -> None:
    image = ds.ccd.combine(method, tiers=tiers, maps=["count", "flags", "rejected_high"])
    for chunks in CHUNKS:
        lazy = ds.chunk(chunks).ccd.combine(method, tiers=tiers, maps=["count", "flags", "rejected_high"])
        assert lazy["data"].chunks is not None
        xr.testing.assert_equal(lazy.compute(scheduler="sync"), image)


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_files_with_a_clip(tmp_path: Any, chunks: Any) -> None:
    rng = np.random.default_rng(1)
    paths = []
    for k in range(6):
        frame = rng.integers(90, 110, (8, 9)).astype("uint16")
        frame[2, 3] = 60000 + k  # a saturated star
        frame[5, 5] = 400 if k == 4 else 100  # a cosmic ray
        paths.append(xr.DataArray(frame, dims=("y", "x")).ccd.to_fits(tmp_path / f"{k}.fits"))
    ds = xccd.open_dataset(paths, chunks=chunks).ccd.minmax(max=50000).ccd.sigma_clip(2, 2, center="median")
    plain = ds.ccd.combine_with_maps("mean")
    image = ds.ccd.combine_with_maps("mean", tiers=["above_maximum"])
    star = {"y": 2, "x": 3}
    assert np.isnan(plain["data"][star])
    assert image["data"][star] == pytest.approx(60002.5, rel=1e-6)
    assert (image["data_count"][star], image["data_flags"][star]) == (6, int(Flag.ABOVE_MAXIMUM))
    # Samples that no clip looked at may be in use, so the error is not corrected for the clip.
    assert plain["data_uncertainty"].attrs["clip"] == "corrected for normal noise"
    assert image["data_uncertainty"].attrs["clip"] == "not corrected: the error is too small"
    for name in set(plain.data_vars) - {"data_uncertainty"}:  # elsewhere nothing changes
        same = plain[name].values == image[name].values
        same[2, 3] = True
        assert same.all(), name
    assert "tiers=['above_maximum']" in str(image["data"].ccd.header()["HISTORY"])


def test_planes_of_quality_give_flags(tmp_path: Any) -> None:
    paths = []
    for k, quality in enumerate([[0, 256, 4, 1], [2048, 256, 16, 1], [0, 4, 4, 1]]):
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.full((2, 4), 10 + k, "int16"), name="SCI"),
                fits.ImageHDU(np.array([quality, [0] * 4], "int16"), name="DQ")]  # fmt: skip
        fits.HDUList(hdus).writeto(tmp_path / f"{k}.fits")
        paths.append(tmp_path / f"{k}.fits")
    bits = {"above_maximum": [256, 2048], Flag.GROWN: 4, 32: 16 + 4, "not_finite": 1}
    expected = [[0, 8, 96, 2], [8, 8, 32, 2], [0, 96, 96, 2]]
    for chunks in (None, "auto", {"frame": 1}):
        ds = xccd.open_dataset(paths, bits=bits, chunks=chunks)
        np.testing.assert_array_equal(ds["data_flags"][:, 0], expected)
        assert not ds["data_flags"][:, 1].any()
        image = ds.ccd.combine("mean", tiers=["above_maximum", "rejected_high", "grown"], maps=["count", "flags"])
        np.testing.assert_array_equal(image["data"][0], [11, 10.5, 11, np.nan])
        np.testing.assert_array_equal(image["data_count"][0], [2, 2, 1, 0])
        np.testing.assert_array_equal(image["data_flags"][0], [0, 8, 32, 2])
    own = xccd.open_dataset(paths, mask=[(np.array([[0, 256, 4, 1]] * 2), {})] * 3, bits=bits)
    np.testing.assert_array_equal(own["data_flags"][2, 0], [0, 8, 96, 2])
    for wrong, message in [({}, "names no bit"), ({"grwn": 4}, "bits: 'grwn' is no flag.*did you mean 'grown'"),
                           ({"grown": None}, "names no bit"), ({"grown": [3]}, "3 is not a power of two")]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            xccd.open_dataset(paths, bits=wrong)


def test_blank_pixels_have_no_value(tmp_path: Any) -> None:
    hdu = fits.PrimaryHDU(np.array([[7, -1]], "int16"))
    hdu.header["BLANK"] = -1
    hdu.writeto(tmp_path / "a.fits")
    ds = xccd.open_dataset(tmp_path / "a.fits").ccd.mask_where([[True, True]])
    assert ds["data_flags"].values.tolist() == [[[1, 3]]]
    np.testing.assert_array_equal(ds.ccd.combine("mean", tiers=["masked_on_input"])["data"], [[7, np.nan]])


def test_errors_and_history() -> None:
    ds = flagged([[3.0], [5.0]], [[GROWN], [MASKED]])
    image = ds.ccd.combine("mean", tiers=[(Flag.GROWN, "masked_on_input")])
    assert image["data"].item() == 4.0
    text = " ".join(str(image["data"].ccd.header()["HISTORY"]).split())
    assert "tiers=[['masked_on_input', 'grown']]" in text
    for tiers, message in [
        ("grown", r"tiers='grown' is no list of tiers: give one, as tiers=\['grown'\]"),
        (64, "tiers=64 is no list"), ([], "names no flag"), (["grwn"], "'grwn' is no flag.*did you mean 'grown'"),
        (["not_finite"], "'not_finite' has a sample without a value"), ([("grown", 128)], "without a value"),
        (["grown", 64], "64 adds nothing to the tiers before it"), ([0], "0 is no flag"), ([True], "True is no flag"),
        ([256], "256 is no flag"), ([1.0], "1.0 is no flag"), ([[]], "adds nothing"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            ds.ccd.combine("mean", tiers=tiers)
    with pytest.raises(ValueError, match="tiers= goes with a flagged Dataset"):
        ds["data"].ccd.combine("mean", tiers=["grown"])
