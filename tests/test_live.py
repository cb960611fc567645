"""`LiveStack`: against the batch, frame by frame; what it refuses, and what it leaves out."""

import statistics
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import xccd
from xccd.kernels.compiled import running as compiled
from xccd.kernels.plain import running as plain
from xccd.night.live.limits import deviation_within, limits, quantile

some = settings(max_examples=25, deadline=None)
CARDS = {"EXPTIME": 30.0, "FILTER": "r", "IMAGETYP": "Light Frame", "BUNIT": "adu", "GAIN": 1.5, "RDNOISE": 7.0}
WCS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 15.0, "CRPIX2": 10.0,
    "CDELT1": -1e-4, "CDELT2": 1e-4,
}  # fmt: skip
SHAPE = (20, 30)


def noise(number: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(number).normal(1000, 20, shape).astype("f4")


def frame(number: int, shape: tuple[int, ...] = SHAPE, **cards: Any) -> tuple[np.ndarray, dict[str, Any]]:
    return noise(number, shape), CARDS | {"DATE-OBS": f"2026-01-01T00:{number:02d}:00"} | cards


def filled(count: int, **options: Any) -> xccd.LiveStack:
    live = xccd.LiveStack(**options)
    for number in range(count):
        assert live.add(frame(number))
    return live


# The kernel and its limits


@st.composite
def states(draw: st.DrawFn) -> tuple[Any, ...]:
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    dtype = draw(st.sampled_from(["f4", "f8"]))
    values = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 3.0, 1e30, *rng.normal(0, 3, 8)], n).astype(dtype)
    count = rng.integers(0, 12, n).astype(np.int32)
    mean, squares = rng.normal(0, 1, n), rng.choice([0.0, 1.0, *rng.exponential(9, 4)], n)
    mean[count == 0] = squares[count == 0] = 0.0
    squares[count == 1] = 0.0
    low, high = (draw(st.sampled_from([np.inf, 0.5, 3.0])) for _ in range(2))
    return values, mean, squares, count, np.zeros((2, n), np.int32), limits(low, high, 12), draw(st.integers(2, 9))


@some
@given(states(), st.sampled_from([0.0, 0.3]), st.integers(1, 9))
def test_kernels_are_equal_to_the_bit_for_any_split(given: tuple[Any, ...], floor: float, step: int) -> None:
    values, mean, squares, count, sides, bounds, least = given
    found = []
    for engine, piece in ((compiled, len(values)), (plain, len(values)), (compiled, step), (plain, step)):
        own = [a.copy() for a in (mean, squares, count, *sides)]
        ends = [(i, min(i + piece, len(values))) for i in range(0, len(values), piece)]
        totals = [engine.added(values, *own, bounds, least, floor, *end) for end in ends]
        found.append([*(a.tobytes() for a in own), tuple(np.sum(totals, 0).tolist())])
    assert found[0] == found[1] == found[2] == found[3]


@given(st.floats(0.3, 6), st.integers(1, 1000))
def test_a_limit_is_a_quantile_of_student(k: float, freedom: int) -> None:
    assert quantile(k, freedom) == pytest.approx(stats.t.isf(stats.norm.sf(k), freedom), rel=2e-6)


@given(st.floats(0.3, 8), st.floats(0.3, 8))
def test_the_scatter_within_thresholds(low: float, high: float) -> None:
    assert deviation_within(low, high) == pytest.approx(stats.truncnorm(-low, high).std(), rel=1e-6)
    assert deviation_within(np.inf, np.inf) == 1


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_threads_change_no_bit(engine: str) -> None:
    found = []
    for threads in (1, 3):
        with xccd.set_options(engine=engine, threads=threads):
            live = filled(12, low=2, high=2)
            found.append(live.snapshot())
    xr.testing.assert_identical(*found)


# Against the batch


@some
@given(
    hnp.arrays(
        st.sampled_from(["f4", "f8", "i2", "u2", "i4", "u1"]),
        st.tuples(st.integers(1, 12), st.just(2), st.integers(1, 3)),
        elements=st.integers(0, 100),
    ),
    st.integers(0, 1 << 30),
)
@pytest.mark.filterwarnings("ignore:LiveStack")
def test_without_rejection_it_is_the_batch(samples: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if samples.dtype.kind == "f":
        samples = samples + rng.normal(1000, 1, samples.shape).astype(samples.dtype)
        samples[rng.random(samples.shape) < 0.3] = rng.choice([np.nan, np.inf])
    stack = xr.DataArray(samples, dims=("frame", "y", "x"), name="data")
    live = xccd.LiveStack(None, None)
    for one in rng.permutation(samples):
        live.add(one)
    found, expected = live.snapshot(), stack.ccd.to_dataset().ccd.combine("mean")
    eps = 4 * np.finfo(expected["data"].dtype).eps
    for name in ("data", "data_uncertainty", "data_count"):
        np.testing.assert_allclose(found[name], expected[name], rtol=eps, atol=1e-9)
    assert found["data"].dtype == expected["data"].dtype
    assert found["data_count"].dtype == expected["data_count"].dtype


@pytest.mark.versions
def test_the_header_is_that_of_combine(tmp_path: Path) -> None:
    paths = [tmp_path / f"l{i}.fits" for i in range(5)]
    live = xccd.LiveStack()
    for number, path in enumerate(paths):
        data, cards = frame(number, TEMP=-10 - number, OBJECT="M 51", **WCS)
        fits.writeto(path, data, fits.Header(cards))
        live.add(path)
    image = live.snapshot()
    expected = xccd.open_dataset(paths, chunks=None).ccd.combine("mean")
    ours, theirs = image["data"].ccd.header(), expected["data"].ccd.header()
    assert ours["HISTORY"][0] == "xccd.LiveStack(low=3, high=3, minimum=8)"
    assert (ours["NCOMBINE"], ours["EXPTOTAL"], ours["IMCMB005"]) == (5, 150.0, "l4.fits")
    for header in (ours, theirs):
        header.remove("HISTORY", remove_all=True)
    assert ours.tostring() == theirs.tostring()
    rest = {k: v for k, v in image["data"].attrs.items() if k != "ancillary_variables"}
    assert rest == {k: v for k, v in expected["data"].attrs.items() if k != "ancillary_variables"}
    image.ccd.to_fits(tmp_path / "live.fits")
    with fits.open(tmp_path / "live.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["UNCERT", "COUNT", "REJ_LOW", "REJ_HIGH"]
        np.testing.assert_array_equal(hdus[0].data, image["data"].values)
    with pytest.raises(FileExistsError, match="is a file that this was made of"):
        image.ccd.to_fits(paths[0], overwrite=True)


def test_the_first_frames_are_clipped_together() -> None:
    frames = [noise(i) for i in range(6)]
    frames[1][3, 4], frames[2][5, 6] = 9000, 0
    live = xccd.LiveStack(4, 4, minimum=6)
    for one in frames[:5]:
        assert live.add(one).rejected == 0
    assert live.snapshot()["data_rejected_high"].sum() == 0
    live.add(frames[5])
    found = live.snapshot()
    batch = xr.DataArray(frames, dims=("frame", "y", "x"), name="data").ccd.to_dataset()
    batch = batch.ccd.sigma_clip(4, 4, center="median", deviation="mad_std")
    expected = batch.ccd.combine("mean")
    scatter = batch.ccd.to_stack().std("frame", ddof=1) / np.sqrt(expected["data_count"])
    for name, value in (
        ("data", expected["data"]),
        ("data_uncertainty", scatter),
        ("data_count", expected["data_count"]),
    ):
        np.testing.assert_allclose(found[name], value, rtol=1e-6)
    assert found["data_uncertainty"].attrs["clip"] == "not corrected: the error is too small"
    assert (found["data_rejected_high"][3, 4], found["data_rejected_low"][5, 6]) == (1, 1)
    total = found["data_rejected_low"] + found["data_rejected_high"] + found["data_count"]
    assert (total == 6).all()


def test_rejection_is_that_of_the_threshold_at_any_count() -> None:
    """Of a normal sample, and of one that is 8 deviations too high."""
    rng, shape = np.random.default_rng(5), (200, 250)
    live, false, found = xccd.LiveStack(), [], []
    for number in range(40):
        image = rng.normal(100, 2, shape).astype("f4")
        rays = rng.random(shape) < 0.01
        before = live.snapshot()["data_rejected_high"] if number >= 8 else 0
        live.add(image + 16 * rays)
        if number >= 8:
            out = (live.snapshot()["data_rejected_high"] - before).values > 0
            false.append(out[~rays].mean())
            found.append(out[rays].mean())
    assert max(false) < 0.01
    assert np.mean(false[20:]) < 2 * stats.norm.sf(3)
    assert min(found) > 0.9
    assert np.mean(found[20:]) > 0.995
    assert live.snapshot()["data_uncertainty"].mean() == pytest.approx(2 / np.sqrt(40), rel=0.03)


def judged(samples: list[float], low: float, high: float, minimum: int, floor: float) -> tuple[list[float], int, int]:
    """The samples of a pixel that stay, and how many are rejected below and above: the rules in plain Python."""
    first = xr.DataArray(samples[:minimum], dims="frame", name="data").ccd.to_dataset()
    first = first.ccd.sigma_clip(low, high, center="median", deviation="mad_std", floor=floor)
    flags = first["data_flags"].values
    kept = [v for v, bits in zip(samples, flags, strict=False) if not bits]
    below, above = (int(((flags & bit) != 0).sum()) for bit in (16, 32))
    for value in samples[minimum:]:
        n, k = len(kept), low if value < statistics.fmean(kept or [0.0]) else high
        if np.isfinite(value) and n >= max(2, (minimum + 1) // 2):
            deviation = max(statistics.stdev(kept), floor) / stats.truncnorm(-low, high).std()
            limit = stats.t.isf(stats.norm.sf(k), n - 1) * deviation * np.sqrt(1 + 1 / n)
            if abs(value - statistics.fmean(kept)) > limit:
                below, above = below + (k == low), above + (k != low)
                continue
        kept += [value] if np.isfinite(value) else []
    return kept, below, above


@pytest.mark.parametrize(("low", "high", "minimum", "floor"), [(2, 2.5, 3, 0), (1.5, 3, 8, 0), (3, 2, 5, 25.0)])
def test_rejection_by_the_rules(low: float, high: float, minimum: int, floor: float) -> None:
    rng = np.random.default_rng(minimum)
    frames = rng.normal(1000, 20, (20, 6, 7)) + rng.choice([0, 0, 0, 90, -90], (20, 6, 7))
    frames[rng.random(frames.shape) < 0.1] = np.nan
    live = xccd.LiveStack(low, high, minimum=minimum, floor=floor, zero=None)
    with warnings.catch_warnings(action="ignore"):
        for one in frames:
            live.add(one)
    found = live.snapshot()
    for y, x in np.ndindex(6, 7):
        kept, below, above = judged(frames[:, y, x].tolist(), low, high, minimum, floor)
        here = {name: image[y, x].item() for name, image in found.data_vars.items()}
        assert (here["data_count"], here["data_rejected_low"], here["data_rejected_high"]) == (len(kept), below, above)
        assert here["data"] == pytest.approx(statistics.fmean(kept), rel=1e-12)
        assert here["data_uncertainty"] == pytest.approx(statistics.stdev(kept) / np.sqrt(len(kept)), rel=1e-9)


def test_a_pixel_with_few_samples_rejects_none() -> None:
    live = xccd.LiveStack(minimum=6)
    for number in range(8):
        image = noise(number)
        image[0, 0] = np.nan if number < 5 else 5000.0 * number
        live.add(image)
    found = live.snapshot()
    assert (found["data_count"][0, 0], found["data_rejected_high"][0, 0]) == (3, 0)


def test_thresholds_of_one_side_and_the_floor() -> None:
    images = [np.full(SHAPE, 7.0) + i * 1e-3 * np.eye(*SHAPE) for i in range(6)]
    cases = ({"low": None}, (8, 6), (0, 1)), ({"high": None}, (6, 8), (1, 0)), ({"floor": 9.0}, (6, 8), (0, 0))
    for options, levels, expected in cases:
        live = xccd.LiveStack(**options, minimum=6)
        for image in images:
            live.add(image)
        for level in levels:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                live.add(np.full(SHAPE, level) + 1e-3 * np.eye(*SHAPE))
        found = live.snapshot()
        assert (found["data_rejected_low"][3, 9], found["data_rejected_high"][3, 9]) == expected


def test_a_snapshot_is_a_copy_and_memory_does_not_grow() -> None:
    live = filled(9)
    image = live.snapshot()
    kept, size = image.copy(deep=True), sum(a.nbytes for a in live._clipped.arrays().values())
    for number in range(9, 20):
        live.add(frame(number))
    xr.testing.assert_identical(image, kept)
    assert sum(a.nbytes for a in live._clipped.arrays().values()) == size == 28 * 600
    image["data"][:] = 0
    assert live.snapshot()["data"].min() > 900


def test_an_array_that_the_caller_uses_again() -> None:
    live, other, buffer = xccd.LiveStack(), xccd.LiveStack(), np.empty(SHAPE, "f4")
    for number in range(10):
        buffer[:] = noise(number)
        live.add(buffer)
        other.add(noise(number))
    np.testing.assert_array_equal(live.snapshot()["data"], other.snapshot()["data"])


# What a frame may be


@pytest.mark.versions
def test_every_form_of_a_frame(tmp_path: Path) -> None:
    data, cards = frame(1)
    data[0, 0] = np.nan
    path = tmp_path / "a.fits"
    fits.writeto(path, data, fits.Header(cards))
    opened = xccd.open_stack(path, chunks=None)
    ccd = CCDData(data, unit="adu", meta=cards, mask=np.isnan(data))
    forms = [path, str(path), opened, opened[0], xccd.open_dataset(path), (data, cards), ccd, fits.PrimaryHDU(data)]
    for form in [*forms, xr.DataArray(data, dims=("y", "x")), data]:
        live = xccd.LiveStack()
        assert live.add(form).samples == 599
        np.testing.assert_array_equal(live.snapshot()["data"], data)
    assert [xccd.LiveStack().add(form).name for form in (path, opened[0])] == [str(path), str(path)]


def test_dimensions_in_any_order() -> None:
    """Also of a frame that is read by its columns."""
    live, other = xccd.LiveStack(), xccd.LiveStack()
    for number in range(4):
        image = xr.DataArray(noise(number), dims=("y", "x"))
        live.add(image if number % 2 else image.T)
        other.add(image)
    xr.testing.assert_identical(live.snapshot(), other.snapshot())
    with pytest.raises(ValueError, match="has the dimensions row, col, the frames before it y, x"):
        live.add(xr.DataArray(noise(9), dims=("row", "col")))


def test_missing_samples(tmp_path: Path) -> None:
    raw = np.arange(12, dtype="i2").reshape(3, 4) * 10
    first = fits.PrimaryHDU(raw)
    first.header["BLANK"] = 20
    mask = fits.ImageHDU(np.eye(3, 4, dtype="u1"), name="MASK")
    fits.HDUList([first, mask]).writeto(tmp_path / "a.fits")
    live = xccd.LiveStack(min=15, max=100)
    assert live.add(tmp_path / "a.fits").samples == 6
    assert np.isnan(live.snapshot()["data"]).values.tolist() == [
        [True, True, True, False], [False, True, False, False], [False, False, True, True],
    ]  # fmt: skip
    assert live.snapshot()["data_rejected_high"].sum() == 0


def test_a_level(recwarn: pytest.WarningsRecorder) -> None:
    """Without ``zero`` a brighter sky is rejected, and a warning tells so."""
    for zero, warned in ((None, 1), ("median", 0)):
        live = xccd.LiveStack(zero=zero, minimum=5)
        for number in range(6):
            live.add(noise(number) + 500 * (number == 5))
        assert sum("zero='median' brings" in str(w.message) for w in recwarn.list) == warned
        recwarn.clear()
        assert live.snapshot()["data_count"].median() == (6 if zero else 5)
    with pytest.raises(ValueError, match="frame 7 has no valid sample: there is no level"):
        live.add(np.full(SHAPE, np.nan))


# What is refused


UNFIT = {
    "shape": (frame(3, (20, 31)), "has 20 x 31 pixels, the frames before it 20 x 30: align='wcs' or 'transforms'"),
    "unit": (frame(3, BUNIT="electron"), r"is in 'electron', the frames before it in 'adu' \(frame-1\): convert it"),
    "filter": (frame(3, FILTER="g", **WCS), r"differ in FILTER \(r, g\). Stack it by itself, or allow it with mixed="),
    "kind": (frame(3, IMAGETYP="Dark"), r"differ in IMAGETYP \(Light Frame, Dark\)"),
    "wcs": (frame(3, **WCS | {"CRPIX1": 17.0}), "has another WCS than the first frame: align='wcs' brings it there"),
    "no wcs": (frame(3), "has no WCS, unlike the first frame"),
    "rows": (frame(3, **WCS, ROWORDER="TOP-DOWN"), "ROWORDER"),
    "crop": (frame(3, **WCS, LTV1=-10), "has the pixels 10 to 39 along x, the frames before it 0 to 29"),
    "twice": ((noise(1), CARDS | WCS), r"frame-2 is there already, as frame-1: it has the same samples \(again=True"),
    "several": (np.ones((2, *SHAPE)), "has the dimensions z, y, x, the frames before it y, x: rename"),
    "complex": (np.ones(SHAPE, complex), "complex"),
    "gone": ("none.fits", "none.fits does not exist"),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "message"), UNFIT.values(), ids=UNFIT)
def test_a_frame_that_does_not_fit_changes_nothing(bad: Any, message: str) -> None:
    live = xccd.LiveStack()
    live.add(frame(1, ROWORDER="BOTTOM-UP", **WCS))
    before = live.snapshot()
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        live.add(bad)
    xr.testing.assert_identical(live.snapshot(), before)
    assert (len(live), live.left_out) == (1, [])
    assert live.add(frame(4, **WCS)).number == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[:3000], r"bad\.fits is truncated: HDU 0 needs 2400 bytes of data"),
        (lambda whole: b"", r"bad\.fits is empty, not a FITS file"),
        (lambda whole: b"II*\0" * 900, r"bad\.fits is not a FITS file: this is a TIFF"),
    ],
)
def test_a_file_that_cannot_be_opened_changes_nothing(tmp_path: Path, content: Any, message: str) -> None:
    live = xccd.LiveStack()
    for number in range(3):
        live.add(frame(number))
    before = live.snapshot()
    whole = xr.DataArray(noise(9), dims=("y", "x")).ccd.to_fits(tmp_path / "whole.fits").read_bytes()
    bad = tmp_path / "bad.fits"
    bad.write_bytes(content(whole))
    with pytest.raises(OSError, match=message):
        live.add(bad)
    stack = xccd.open_stack([tmp_path / "whole.fits", bad], errors="nan")
    with pytest.raises(ValueError, match=r"bad\.fits.*Leave such frames out: stack\.isel\(frame=stack\."):
        live.add(stack[1])
    xr.testing.assert_identical(live.snapshot(), before)
    live.add(stack[0])
    bad.write_bytes(whole[:-1] + b" ")  # it is whole now
    assert live.add(frame(4)).number == 5


def test_ways_out() -> None:
    live = xccd.LiveStack(mixed=True, align="pixels")
    first = frame(1, **WCS)
    live.add(first)
    assert live.add(first, again=True).number == 2
    assert live.add(frame(2, FILTER="g", **WCS | {"CRPIX1": 17.0})).number == 3
    assert "CTYPE1" not in live.snapshot()["data"].ccd.header()
    product = live.snapshot()
    with pytest.raises(ValueError, match="is the product of a LiveStack, no new frame"):
        live.add(product["data"])
    stack = xr.DataArray(np.ones((2, *SHAPE)), dims=("frame", "y", "x"))
    with pytest.raises(ValueError, match="frame= holds 2 frames: add them one by one"):
        live.add(stack)
    same = xccd.LiveStack()
    assert same.add(np.ones(SHAPE)).number + same.add(np.ones(SHAPE)).number == 3  # no noise tells them apart


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0}, "low=0: a threshold is above 0"),
        ({"high": "3"}, "high='3' is not a number"),
        ({"align": "wsc"}, "align='wsc' is unknown: .* did you mean 'wcs'"),
        ({"zero": "overlap"}, "zero='overlap' is unknown"),
        ({"minimum": 2}, "minimum=2 is not a whole number of 3 or more"),
        ({"min": 5, "max": 2}, "min=5 is above max=2"),
        ({"floor": -1}, "floor=-1"),
        ({"max": np.nan}, "max=nan is not a number"),
    ],
)
def test_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        xccd.LiveStack(**options)
    with pytest.raises(ValueError, match="has no frame"):
        xccd.LiveStack().snapshot()
