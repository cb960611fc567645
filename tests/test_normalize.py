"""Normalisation: levels against plain definitions, where they are measured, and the factors that are kept."""

import math
from fractions import Fraction

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from xccd.verbs.levels import LEVELS, level_of

NAN, INF = math.nan, math.inf
FILES = ["a.fits", "b.fits", "c.fits"]
many = settings(max_examples=60, deadline=None)


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


def lazily(stack, *args, **kwargs):
    """The normalised stack; nothing is computed before it is asked for."""
    with dask.config.set(scheduler=never):
        level = stack.ccd.normalize(*args, **kwargs)
    return level.compute()


@pytest.fixture(params=["numpy", "dask"])
def stack(request):
    """Three frames of 6 x 8 at different levels, with holes; cut from a larger detector."""
    rng = np.random.default_rng(3)
    values = rng.normal(1, 0.1, (3, 6, 8)) * np.array([100, 250, 40]).reshape(3, 1, 1)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[1, 2, 2] = np.inf
    labels = {
        "file": ("frame", FILES),
        "EXPTIME": ("frame", [10.0, 20.0, 5.0]),
        "y": np.arange(2, 8),
        "x": np.arange(4, 12),
    }
    stack = xr.DataArray(values, dims=("frame", "y", "x"), coords=labels, name="data")
    chunks = {"frame": 2, "y": 4, "x": 3}
    return stack if request.param == "numpy" else stack.copy(data=stack.variable.chunk(chunks).data)


def valid(frame):
    """The finite samples of a frame, sorted."""
    values = np.asarray(frame, "f8")
    return np.sort(values[np.isfinite(values)])


# --- levels


def irafs_mode(sample):
    """The loop of IRAF imcombine, word for word, positions from 1."""
    a = [None, *sorted(Fraction(x) for x in sample)]
    n = len(sample)
    if n < 10:
        return float(a[(n + 1) // 2])
    i, j = int(1 + 0.15 * n), int(1 + 0.85 * n)
    z1, z2 = a[i], a[j]
    if z1 == z2:
        return float(z1)
    zstep, zbin = (z2 - z1) / 100, (z2 - z1) / 10
    z1 -= zstep
    k, nmax, mode = i, 0, None
    while True:
        z1 += zstep
        z2 = z1 + zbin
        while i < j and a[i] < z1:
            i += 1
        while k < j and a[k] < z2:
            k += 1
        if k - i > nmax:
            nmax, mode = k - i, a[(i + k) // 2]
        if k >= j:
            return float(mode)


@many
@given(st.lists(st.floats(-1e3, 1e3).filter(lambda x: x != round(x)), min_size=1, max_size=60))
def test_mode_of_any_sample(sample):
    assert LEVELS["mode"](np.array(sample)) == irafs_mode(sample)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 10, 11, 99, 100, 3000])
def test_mode_of_a_sky(n):
    rng = np.random.default_rng(n)
    for _ in range(20 if n <= 100 else 2):
        sample = np.concatenate([rng.normal(100, 3, n), rng.exponential(500, n // 3)])
        assert LEVELS["mode"](sample) == irafs_mode(sample.tolist())
    assert LEVELS["mode"](np.full(n, 7.5)) == 7.5
    counts = np.repeat([100, 101, 200], [n, 2 * n, n])
    assert LEVELS["mode"](counts.astype("f8")) == irafs_mode(counts.tolist())


@pytest.mark.versions
def test_levels(stack):
    for name, of in {
        "mean": np.mean,
        "median": np.median,
        "mode": lambda v: irafs_mode(v.tolist()),
        "clipped_median": clipped_median,
    }.items():
        expected = [of(valid(frame)) for frame in stack.values]
        level = lazily(stack, zero=name, to=0)
        np.testing.assert_allclose(level.zero, expected, rtol=1e-14)
        assert level_of(name)(stack[1].compute()) == pytest.approx(expected[1], rel=1e-14)
    assert level_of("EXPTIME") is None


def clipped_median(values):
    out = np.array(oracles.sigma_clip(values.tolist(), center="median", maxiters=None))
    return np.median(values[~out])


# --- what is done

GIVEN = {
    "name": "median",
    "keyword": "EXPTIME",
    "list": [3.0, 6.0, 1.0],
    "dask": da.from_array(np.array([3.0, 6.0, 1.0]), chunks=2),
    "labelled": xr.DataArray([1.0, 6.0, 3.0], dims="frame", coords={"file": ("frame", FILES[::-1])}),
    "function": lambda frame: frame.max() + frame["EXPTIME"],
}


def levels(stack, given_level):
    """The numbers that each of `GIVEN` stands for."""
    frames = stack.where(np.isfinite(stack)).compute()
    if given_level == "name":
        return frames.median(("y", "x")).values
    if given_level == "keyword":
        return stack.EXPTIME.values
    if given_level == "function":
        return (frames.max(("y", "x")) + frames.EXPTIME).values
    return np.array([3.0, 6.0, 1.0])


@pytest.mark.parametrize("given_level", GIVEN)
@pytest.mark.parametrize("to", ["first", "mean", 7, np.float32(2.5)])
@pytest.mark.parametrize("argument", ["scale", "zero"])
def test_to_a_common_level(stack, argument, given_level, to):
    level = lazily(stack, **{argument: GIVEN[given_level]}, to=to)
    found = levels(stack, given_level)
    reference = {"first": found[0], "mean": found.mean()}[to] if isinstance(to, str) else float(to)
    scale = reference / found if argument == "scale" else np.ones(3)
    zero = found - reference if argument == "zero" else np.zeros(3)
    np.testing.assert_allclose(level.coords["scale"], scale, rtol=1e-14)
    np.testing.assert_allclose(level.coords["zero"], zero, rtol=1e-13, atol=1e-12)
    expected = stack.values * scale.reshape(3, 1, 1) - zero.reshape(3, 1, 1)
    np.testing.assert_allclose(level.values[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=1e-12)
    assert level.count() >= np.isfinite(expected).sum()
    assert (level.dtype, level.dims, level.name) == (stack.dtype, stack.dims, "data")


def test_scale_and_zero(stack):
    level = lazily(stack, scale="EXPTIME", zero="median")
    f, middle = 10 / stack.EXPTIME.values, levels(stack, "name")
    expected = f * (stack.values.transpose(1, 2, 0) - middle) + middle[0]
    np.testing.assert_allclose(level.values, expected.transpose(2, 0, 1), rtol=1e-12)


@pytest.mark.versions
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "u2", "i4"])
@pytest.mark.parametrize("chunks", [None, {"x": 2}])
def test_the_factors_say_what_was_done_since_the_start(dtype, chunks):
    rng = np.random.default_rng(4)
    values = rng.integers(20, 100, (4, 3, 5)).astype(dtype)
    stack = xr.DataArray(values, dims=("frame", "y", "x"))
    stack = stack if chunks is None else stack.chunk(chunks)
    level = stack
    for arguments in ({"scale": "median"}, {"zero": "mean", "to": 3}, {"scale": [1, 2, 3, 4], "zero": "mode"}):
        level = level.ccd.normalize(**arguments)
        assert level.dtype == (np.float64 if dtype in ("f8", "i4") else np.float32)
        rtol = 1e-12 if level.dtype == np.float64 else 1e-6
        np.testing.assert_allclose(level, level.scale * stack.astype("f8") - level.zero, rtol=rtol, atol=rtol * 100)


def test_normalised_frames_have_one_level(stack):
    for name in LEVELS:
        for argument in ("scale", "zero"):
            level = lazily(stack, **{argument: name})
            again = lazily(level, **{argument: name}, to="mean")
            np.testing.assert_allclose(again, level, rtol=1e-12)


def test_dims_and_variables():
    stack = xr.DataArray(np.arange(1.0, 25).reshape(2, 3, 4), dims=("y", "time", "x"))
    level = stack.ccd.normalize("mean", dim="time")
    assert level.dims == stack.dims
    np.testing.assert_allclose(level.mean(("y", "x")), [stack[:, 0].mean()] * 3)
    spectra = xr.DataArray([[1.0, 2, 3], [10, 20, 30]], dims=("frame", "wave"))
    assert spectra.ccd.normalize("median").values.tolist() == [[1, 2, 3]] * 2
    assert spectra.isel(wave=0).ccd.normalize([1, 2]).values.tolist() == [1, 5]
    ds = xr.Dataset({"data": spectra, "flag": ("wave", [0, 0, 1])})
    xr.testing.assert_identical(ds.ccd.normalize("mean")["data"], spectra.ccd.normalize("mean").rename("data"))
    twice = ds.ccd.normalize("mean").ccd.normalize([1, 2])
    assert twice["scale"].values.tolist() == [1, 0.05]


def test_variables_with_factors_of_their_own_need_a_dataset_each():
    spectra = xr.DataArray([[1.0, 2, 3], [10, 20, 30]], dims=("frame", "wave"))
    for chunks in ({}, {"wave": 2}):
        ds = xr.Dataset({"a": spectra, "b": spectra**2}).chunk(chunks)
        with pytest.raises(ValueError, match=r"need a coordinate 'scale' each.* ds\['b'\]\.ccd"):
            ds.ccd.normalize("mean")
        both = ds.ccd.normalize([1, 2])
        assert both["b"].values.tolist() == [[1, 4, 9], [50, 200, 450]]


# --- regions


@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 3), slice(2, None)),
        {"y": slice(2, 4), "x": slice(6, 11)},
        "[7:12,3:5]",
        "DATASEC",
        "TRIMSEC",
        np.outer(np.arange(6) < 3, np.arange(8) >= 2),
        da.from_array(np.outer(np.arange(6) < 3, np.arange(8) >= 2), chunks=3),
        xr.DataArray(np.outer(np.arange(8) >= 2, np.arange(6) < 3), dims=("x", "y")),
    ],
)
def test_region(stack, region):
    stack = stack.assign_coords(DATASEC=("frame", ["[7:12, 3:5]"] * 3)).assign_attrs(TRIMSEC="[7:12,3:5]")
    inside = stack.isel(y=slice(0, 3), x=slice(2, None))
    xr.testing.assert_allclose(lazily(stack, "mean", region=region).scale, lazily(inside, "mean").scale)
    mirrored = lazily(stack[:, ::-1, ::-1], "mean", region=region) if isinstance(region, str) else None
    if mirrored is not None:
        np.testing.assert_allclose(mirrored.scale, lazily(inside, "mean").scale)


def test_a_section_counts_pixels_where_there_are_no_labels():
    stack = xr.DataArray(np.random.default_rng(5).uniform(1, 2, (2, 4, 6)), dims=("frame", "y", "x"))
    level = stack.ccd.normalize("mean", region="[2:5,1:3]")
    xr.testing.assert_identical(level.scale, stack[:, 0:3, 1:5].ccd.normalize("mean").scale)
    half = xr.DataArray(np.arange(4) < 2, dims="y")
    level = stack.ccd.normalize("mean", region=half)
    np.testing.assert_allclose(level.scale, stack[:, :2].ccd.normalize("mean").scale)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("[1:2]", r"region='\[1:2\]': '\[1:2\]' is no section; a section is '\[x1:x2,y1:y2\]'"),
        ("[5:2,1:3]", r"'\[5:2,1:3\]' does not run from 1 or more upwards"),
        ("BIASSEC", r"region='BIASSEC': the frames have no BIASSEC with a section; a section is"),
        ("TRIMSECC", r"the frames have no TRIMSECC with a section; .*; did you mean 'TRIMSEC'\?$"),
        (
            "[100:200,1:5]",
            r"'\[100:200,1:5\]' reaches beyond the image of 12 x 8 pixels \(x, y\): give",
        ),
        ("[1:2,1:2]", r"holds no pixel of the frames \{'frame': 3, 'y': 6, 'x': 8\}"),
        ((slice(0, 3),), r"give a slice for each of 'y', 'x'"),
        ((slice(9, 12), slice(0, 3)), r"holds no pixel"),
        (np.ones((6, 8)), r"region has dtype float64 and sizes \{'y': 6, 'x': 8\}: give a boolean image"),
        (np.ones((8, 6), bool), r"region has dtype bool and sizes \{'y': 8, 'x': 6\}: give a boolean image of"),
        (True, r"region has dtype bool and sizes \{\}"),
        (xr.DataArray(np.ones(6, bool), dims="z"), r"sizes \{'z': 6\}"),
        (xr.DataArray(np.ones(6, bool), dims="y", coords={"y": np.arange(6)}), r"coordinate 'y' .*: cut both alike"),
    ],
)
def test_bad_region(stack, region, message):
    with pytest.raises(ValueError, match=message):
        stack.ccd.normalize("mean", region=region)
    with pytest.raises(ValueError, match=r"a section is of 'x' and 'y', the stack has \{'frame': 3, 'y': 6, 'z': 8\}"):
        stack.rename(x="z").ccd.normalize("mean", region="[1:2,1:2]")


# --- bad arguments


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({}, ValueError, r"scale= and zero= are both None: say which level to normalise"),
        ({"scale": "mean", "to": "last"}, ValueError, r"to='last' is unknown: use 'first', 'mean' or a number"),
        ({"scale": "mean", "to": NAN}, ValueError, r"to=nan is unknown"),
        ({"scale": "mean", "to": -1}, ValueError, r"to=-1: the level that frames are scaled to must be positive"),
        ({"scale": "mean", "zero": "mode", "to": 5}, ValueError, r"to=5 with both scale and zero does not say which"),
        ({"scale": "average"}, ValueError, r"scale='average' is no coordinate .*; levels are mean, median, mode, clip"),
        ({"zero": [1, 2]}, ValueError, r"zero has shape \(2,\), the stack"),
        ({"zero": 5.0}, ValueError, r"zero=5.0: give one level for each of the 3 frames"),
        ({"zero": xr.DataArray(np.ones(6), dims="y")}, ValueError, r"give one level for each of the 3 frames"),
        ({"zero": ["a", "b", "c"]}, TypeError, r"zero has dtype <U1"),
        ({"scale": [1, 0, 2]}, ValueError, r"scale: frame 1 \(b.fits\) has the level 0.0, which must be a positive n"),
        ({"scale": [1, 1, NAN]}, ValueError, r"scale: frame 2 \(c.fits\) has the level nan, which must be a positive"),
        ({"zero": [INF, 1, 1]}, ValueError, r"zero: frame 0 \(a.fits\) has the level inf, which must be a finite"),
    ],
)
def test_bad_arguments(stack, kwargs, error, message):
    with pytest.raises(error, match=message), dask.config.set(scheduler=never):
        stack.ccd.normalize(**kwargs)


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("median", r"scale: frame 2 \(c.fits\) has the level nan, which must be a positive number"),
        (lambda frame: frame.mean() - 200, r"scale: frame 0 \(a.fits\) has the level -\d.*, which must be a positive"),
    ],
)
def test_bad_levels_are_named_when_they_are_measured(stack, level, message):
    stack = stack.where(stack.file != "c.fits")
    with pytest.raises(ValueError, match=message):
        lazily(stack, level)


def test_a_section_of_a_file_that_is_a_crop():
    """Sections count the pixels of the file, whatever its LTV; a keyword that leads beyond the image raises."""
    frames = [np.arange(48.0).reshape(6, 8) + i for i in range(2)]
    cards = {"LTV1": -100, "LTV2": -50, "DATASEC": "[2:5,1:3]", "BIASSEC": "[2:5,1:7]"}
    stack = xccd.open_stack([(frame, cards) for frame in frames])
    assert stack.x[0] == 100
    expected = stack[:, :3, 1:5].ccd.normalize("mean").scale
    rows = stack.ccd.normalize("mean", region="[*,2:3]")
    xr.testing.assert_identical(rows.scale, stack[:, 1:3].ccd.normalize("mean").scale)
    for region in ("DATASEC", "[2:5,1:3]"):
        xr.testing.assert_identical(stack.ccd.normalize("mean", region=region).scale, expected)
        xr.testing.assert_identical(stack[:, :, 1:].ccd.normalize("mean", region=region).scale, expected)
    message = r"region='BIASSEC': '\[2:5,1:7\]' in BIASSEC reaches beyond the image of 8 x 6 pixels \(x, y\)"
    with pytest.raises(ValueError, match=message):
        stack.ccd.normalize("mean", region="BIASSEC")
