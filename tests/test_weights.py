"""Weights and scales: by name, per frame, per sample, by a function; what may not be one."""

import math

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import oracles
import xccd
from xccd.compute import arrays

NAN, INF = math.nan, math.inf
N = 4
FILES = [f"flat-{i}.fits" for i in range(N)]
EXPTIME = [1.0, 2.0, 3.0, 4.0]


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


def header(seconds):
    """The header text of a frame."""
    return f"EXPTIME =                  1.0\nEXPO    = {seconds:>20}\nBAND    = 'r'"


@pytest.fixture(params=["numpy", "dask", "dask by frame"])
def stack(request):
    """A stack of 4 frames of 3 x 5, with holes and labels."""
    rng = np.random.default_rng(1)
    values = rng.normal(100, 5, (N, 3, 5))
    values[rng.random(values.shape) < 0.15] = np.nan
    values[:, 0, 0] = np.nan
    labels = {
        "file": ("frame", FILES),
        "EXPTIME": ("frame", EXPTIME),
        "header": ("frame", np.array([header(t) for t in EXPTIME], object)),
        "y": np.arange(10, 13),
    }
    stack = xr.DataArray(values, dims=("frame", "y", "x"), coords=labels, attrs={"SHARED": "2.5"}, name="data")
    chunks = {"numpy": None, "dask": {"y": 2, "x": 2}, "dask by frame": {"frame": 3, "y": 2, "x": 2}}
    chosen = chunks[request.param]
    return stack if chosen is None else stack.copy(data=stack.variable.chunk(chosen).data)


def lazily(make, stack, **kwargs):
    """``combine``, which computes nothing now where anything is lazy."""
    with dask.config.set(scheduler=never):
        image = make(stack, **kwargs)
    return image.compute()


def expected(stack, method="mean", **kwargs):
    """The image of the twin."""
    return oracles.over_pixels(oracles.combine, stack.values, method, **kwargs)


def full(stack):
    """A weight for each sample, 0 for some."""
    rng = np.random.default_rng(2)
    return np.broadcast_to(rng.integers(0, 3, (N, 3, 5)), stack.shape).astype(float)


# --- per frame

PER_FRAME = {
    "coordinate": "EXPTIME",
    "header": "EXPO",
    "header in lower case": "expo",
    "list": EXPTIME,
    "whole numbers": [1, 2, 3, 4],
    "array": np.array(EXPTIME, "f4"),
    "dask": da.from_array(np.array(EXPTIME), chunks=3),
    "labelled": xr.DataArray(EXPTIME, dims="frame"),
    "labelled, lazy": xr.DataArray(EXPTIME, dims="frame").chunk(frame=2),
    "in another order": xr.DataArray(EXPTIME[::-1], dims="frame", coords={"file": ("frame", FILES[::-1])}),
    "with one file": xr.DataArray(EXPTIME, dims="frame", coords={"file": "flat.fits"}),
    "function": lambda frame: frame["EXPTIME"],
}


@pytest.mark.parametrize("given", PER_FRAME)
@pytest.mark.parametrize("method", ["mean", "median", "sum"])
def test_one_number_a_frame(stack, given, method):
    image = lazily(xccd.combine, stack, method=method, weights=PER_FRAME[given])
    np.testing.assert_allclose(image, expected(stack, method, weights=EXPTIME), rtol=1e-14)
    scaled = lazily(xccd.combine, stack, method=method, scale=PER_FRAME[given])
    np.testing.assert_allclose(scaled, expected(stack, method, scale=EXPTIME), rtol=1e-14)


@pytest.mark.parametrize("given", ["SHARED", 2.5, np.float32(2.5), xr.DataArray(2.5), da.from_array(np.array(2.5))])
def test_one_number_for_all(stack, given):
    image = lazily(xccd.combine, stack, method="sum", weights=given)
    np.testing.assert_allclose(image, 2.5 * expected(stack, "sum"), rtol=1e-14)


def test_a_label_made_from_the_samples_stays_lazy(stack):
    level = stack.max(("y", "x"))
    image = lazily(xccd.combine, stack.assign_coords(level=level), weights="level")
    np.testing.assert_allclose(image, expected(stack, weights=level.values.tolist()), rtol=1e-14)


def test_labels_that_were_chunked_with_the_stack_are_read(stack):
    chunked = stack.chunk(frame=3)
    assert chunked.EXPTIME.chunks
    for weights in ("EXPTIME", "EXPO", PER_FRAME["in another order"], EXPTIME):
        image = chunked.ccd.combine(weights=weights)
        assert image.attrs["EXPTIME"] == 3.0  # the weighted mean
        expected = stack.ccd.combine(weights=weights)
        assert image.attrs == expected.attrs
        np.testing.assert_allclose(image, expected, rtol=1e-14)  # summed by chunks of frames
    image = chunked.ccd.combine(weights=PER_FRAME["function"])
    np.testing.assert_allclose(image, stack.ccd.combine(weights=EXPTIME), rtol=1e-14)
    with pytest.raises(ValueError, match=r"frame 1 \(flat-1.fits\) has weight -1"):
        chunked.ccd.combine(weights=[1, -1, 1, 1])


def test_weighted_ranks(stack):
    for method, options in (("median", {}), ("quantile", {"q": 0.3})):
        image = lazily(xccd.combine, stack, method=method, weights="EXPTIME", **options)
        np.testing.assert_array_equal(image, expected(stack, method, weights=EXPTIME, **options))


# --- per sample

PER_SAMPLE = {
    "array": lambda w: w,
    "Fortran order": np.asfortranarray,
    "whole numbers": lambda w: w.astype("u1"),
    "dask": lambda w: da.from_array(w, chunks=(3, 2, 1)),
    "labelled": lambda w: xr.DataArray(w, dims=("frame", "y", "x")),
    "other order": lambda w: xr.DataArray(w, dims=("frame", "y", "x")).transpose("x", "frame", "y"),
    "other order, lazy": lambda w: xr.DataArray(w, dims=("frame", "y", "x")).transpose("x", "y", "frame").chunk(x=2),
    "by file": lambda w: xr.DataArray(w, dims=("frame", "y", "x"), coords={"file": ("frame", FILES)})[::-1],
}


@pytest.mark.parametrize("given", PER_SAMPLE)
@pytest.mark.parametrize("method", ["mean", "median", "sum"])
def test_one_number_a_sample(stack, given, method):
    weights = full(stack)
    image = lazily(xccd.combine, stack, method=method, weights=PER_SAMPLE[given](weights))
    np.testing.assert_allclose(image, expected(stack, method, weights=weights), rtol=1e-14)
    scaled = lazily(xccd.combine, stack, method=method, scale=PER_SAMPLE[given](weights + 1))
    np.testing.assert_allclose(scaled, expected(stack, method, scale=weights + 1), rtol=1e-14)


@pytest.mark.parametrize("dims", [("y", "x"), ("x", "y"), ("x",), ("y", "frame"), ("x", "frame")])
def test_labelled_along_some_dimensions(stack, dims):
    weights = xr.DataArray(full(stack) + 1, dims=("frame", "y", "x"), coords={"y": stack.y})
    part = weights.isel({d: 0 for d in ("frame", "y", "x") if d not in dims}).transpose(*dims)
    whole = part.broadcast_like(weights).transpose("frame", "y", "x").values
    for given in (part, part.chunk(dict.fromkeys(dims, 2))):
        for argument in ("weights", "scale"):
            image = lazily(xccd.combine, stack, **{argument: given})
            np.testing.assert_allclose(image, expected(stack, **{argument: whole}), rtol=1e-14)


def test_lazy_weights_of_a_stack_in_memory():
    stack = xr.DataArray(np.arange(24.0).reshape(4, 2, 3), dims=("frame", "y", "x"))
    weights = (stack + 1).chunk(frame=3, x=2)
    image = lazily(xccd.combine, stack, weights=weights)
    np.testing.assert_allclose(image, expected(stack, weights=weights.values))
    turned = stack.transpose("y", "frame", "x")
    for given in (weights, weights.transpose("y", "frame", "x").data):
        np.testing.assert_array_equal(lazily(xccd.combine, turned, weights=given), image)


def test_missing_samples_have_no_weight(stack):
    weights = np.where(stack.isnull(), NAN, full(stack))
    image = lazily(xccd.combine, stack, weights=weights)
    np.testing.assert_array_equal(image, lazily(xccd.combine, stack, weights=np.nan_to_num(weights)))
    scale = np.where(stack.isnull(), INF, 2.0)
    for method in ("mean", lambda values, axis: np.nanmean(values, axis=axis)):
        image = lazily(xccd.combine, stack, method=method, scale=scale)
        np.testing.assert_allclose(image, 2 * expected(stack), rtol=1e-14)


def test_a_frame_without_samples_needs_no_weight():
    stack = xr.DataArray([[NAN, NAN], [1.0, 3.0], [2.0, 5.0]], dims=("frame", "x"))
    stack = stack.assign_coords(EXPTIME=("frame", [50.0, 1, 2]))
    for data in (stack, stack.chunk(x=1)):
        image = data.ccd.combine(weights=lambda frame: 1 / frame.max())
        np.testing.assert_allclose(image, [11 / 8, 15 / 4])
    assert stack.ccd.combine(weights=lambda frame: 1 / frame.max()).attrs["EXPTIME"] == pytest.approx(11 / 8)


# --- functions of a frame


@pytest.mark.parametrize("group_bytes", [1, 300, 1 << 30])
def test_a_function_sees_each_whole_frame_once(stack, group_bytes, monkeypatch):
    monkeypatch.setattr(arrays, "GROUP_BYTES", group_bytes)  # a frame has 120 bytes
    calls = []

    def weight(frame):
        calls.append(frame)
        return frame.max() - 80

    image = lazily(xccd.combine, stack, weights=weight)
    weights = [float(stack[i].max()) - 80 for i in range(N)]
    np.testing.assert_allclose(image, expected(stack, weights=weights), rtol=1e-14)
    assert len(calls) == N
    assert {(type(frame.data), frame.dims, frame.shape) for frame in calls} == {(np.ndarray, ("y", "x"), (3, 5))}
    assert sorted(frame["EXPTIME"].item() for frame in calls) == EXPTIME
    assert all((frame.y == stack.y).all() for frame in calls)


def test_infinities_are_nan_for_a_function():
    stack = xr.DataArray([[1.0, INF], [3, 5], [-INF, 2]], dims=("frame", "x"))
    image = stack.ccd.combine(weights=lambda frame: float(np.isfinite(frame).sum() + np.isinf(frame).sum() * 9))
    np.testing.assert_allclose(image, [7 / 3, 4])


def test_a_function_must_give_one_number(stack):
    with pytest.raises(ValueError, match=r"weights=<lambda> gave shape \(3,\) for frame 0: .* one number"):
        stack.ccd.combine(weights=lambda frame: frame.sum("x")).compute()


# --- bad weights


@pytest.mark.parametrize("argument", ["weights", "scale"])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([1, 2, 3], ValueError, r"has shape \(3,\), the stack \{'frame': 4, 'y': 3, 'x': 5\}: .*a frame \(4\).*dims="),
        (np.ones((3, 5)), ValueError, r"has shape \(3, 5\), the stack \{'frame': 4"),
        (np.ones((N, 5, 3)), ValueError, r"has shape \(4, 5, 3\)"),
        (xr.DataArray(np.ones(3), dims="frame"), ValueError, r"has \{'frame': 3\}, the stack .* same sizes"),
        (xr.DataArray(np.ones(4), dims="time"), ValueError, r"has \{'time': 4\}, the stack .* among the stack's"),
        (xr.DataArray(np.ones(3), dims="y", coords={"y": [0, 1, 2]}), ValueError,
         r"the stack differ in their coordinate 'y' \(\[0, 1, 2\]\.\.\. and \[10, 11, 12\]\.\.\.\): cut both alike"),
        (xr.DataArray(EXPTIME, dims="frame", coords={"file": ("frame", ["other.fits", *FILES[1:]])}), ValueError,
         r"share some of their files, not all, each once \(flat-0.fits, other.fits\): select the frames"),
        (xr.DataArray(EXPTIME, dims="frame", coords={"file": ("frame", FILES[:1] * 2 + FILES[2:])}), ValueError,
         r"share some of their files, not all, each once \(flat-1.fits\)"),
        ("GAIN", ValueError, r"='GAIN' is no coordinate on 'frame' \(EXPTIME, TIME, file, header\), no keyword"),
        ("file", ValueError, r"='file': frame 0 \(flat-0.fits\) has file = 'flat-0.fits', not a number"),
        ("BAND", ValueError, r"='BAND': frame 0 \(flat-0.fits\) has BAND = 'r', not a number"),
        ("TIME", TypeError, r"='TIME': its dtype is datetime64\[.*\], not that of a number"),
        (["a"] * N, TypeError, r"has dtype <U1: it must hold real numbers"),
        (xr.DataArray([1j] * N, dims="frame"), TypeError, r"has dtype complex128"),
        ([1, NAN, 1, 1], ValueError, r": frame 1 \(flat-1.fits\) has (weight|scale) nan: .* are finite"),
        ([1, 1, INF, 1], ValueError, r": frame 2 \(flat-2.fits\) has (weight|scale) inf"),
    ],
)  # fmt: skip
def test_bad_numbers(stack, argument, given, error, message):
    stack = stack.assign_coords(TIME=("frame", np.arange(N).astype("datetime64[ns]")))
    with pytest.raises(error, match=argument + ".*" + message), dask.config.set(scheduler=never):
        stack.ccd.combine(**{argument: given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 1, 1, -1], r"weights: frame 3 \(flat-3.fits\) has weight -1.0: weights are finite, 0 or more"),
        (-2.0, r"weights: frame 0 \(flat-0.fits\) has weight -2.0"),
        ([0, 0, 0, 0], r"weights are 0 for every frame: nothing would be left"),
        ("ZERO", r"weights are 0 for every frame"),
        ("COOL", r"weights: frame 1 \(flat-1.fits\) has weight -100.0"),
    ],
)
def test_bad_weights(stack, given, message):
    stack = stack.assign_coords(ZERO=("frame", [0] * N), COOL=("frame", [100, -100, 1, 1]))
    with pytest.raises(ValueError, match=message), dask.config.set(scheduler=never):
        stack.ccd.combine(weights=given)


def test_a_keyword_that_one_frame_lacks(stack):
    stack = stack.assign_coords(GAIN=("frame", [1.5, NAN, 1.5, 1.5]))
    with pytest.raises(ValueError, match=r"weights='GAIN': frame 1 \(flat-1.fits\) has GAIN = nan, not a number"):
        stack.ccd.combine(weights="GAIN")
    texts = stack.header.values.copy()
    texts[2] = "BAND    = 'r'"
    with pytest.raises(ValueError, match=r"weights='EXPO': frame 2 \(flat-2.fits\) has EXPO = None, not a number"):
        stack.assign_coords(header=("frame", texts)).ccd.combine(weights="EXPO")


@pytest.mark.parametrize("bad", [-1.0, NAN, INF])
def test_bad_numbers_of_samples_are_found_while_computing(stack, bad):
    values = np.where(stack.notnull() & (stack.x == 1), bad, 1.0)
    for weights in (values, xr.DataArray(values, dims=stack.dims).chunk(x=2)):
        with pytest.raises(ValueError, match=r"weights: \d+ valid samples have a weight that is negative, NaN or inf"):
            stack.ccd.combine(weights=weights).compute()
        if bad != -1:
            with pytest.raises(ValueError, match=r"scale: \d+ valid samples have a scale that is NaN or infinite"):
                stack.ccd.combine("median", scale=weights).compute()
    assert lazily(xccd.combine, stack, weights=np.zeros(stack.shape)).isnull().all()
