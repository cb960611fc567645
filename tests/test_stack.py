"""What all verbs share: one answer for any layout, nothing computed early, any dimensions, Datasets."""

import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from strategies import chunkings
from xccd.compute import run
from xccd.verbs.combine import METHODS

DIMS = ("frame", "y", "x")
N = 9


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


def make(dtype="f4", shape=(N, 5, 7)):
    """A stack with holes, one wholly missing pixel and one outlier a pixel."""
    rng = np.random.default_rng(7)
    values = rng.normal(100, 5, shape)
    values[0] += 70
    values = values.astype(dtype)
    if values.dtype.kind == "f":
        values[rng.random(shape) < 0.1] = np.nan
        values[:, 0, 0] = np.inf
    return xr.DataArray(values, dims=DIMS, coords={"EXPTIME": ("frame", np.arange(1.0, shape[0] + 1))}, name="data")


def per_sample(s):
    """A weight for each sample, 0 where it is missing."""
    return xr.where(np.isfinite(s), abs(s) + 1, 0)


def value_range(values, axis):
    """A user's function."""
    return np.nanmax(values, axis=axis) - np.nanmin(values, axis=axis)


CLIPS = {
    "clip": lambda s: s.ccd.sigma_clip(1.5, 2, maxiters=None),
    "clip median": lambda s: s.ccd.sigma_clip(3, 3, center="median", deviation="mad_std", maxiters=2, nkeep=3),
    "clip function": lambda s: s.ccd.sigma_clip(2, 2, center=lambda v, axis: np.nanmedian(v, axis=axis)),
    "extrema": lambda s: s.ccd.clip_extrema(1, 2),
    "minmax": lambda s: s.ccd.minmax(90, 110),
    "mask": lambda s: s.ccd.mask,
}
RANKS = {
    **{m: lambda s, m=m: s.ccd.combine(m) for m in ("median", "min", "max", "mad_std", "count")},
    "quantile": lambda s: s.ccd.combine("quantile", q=0.3),
    "weighted median": lambda s: s.ccd.combine("median", weights="EXPTIME"),
    "function": lambda s: s.ccd.combine(value_range),
}
SUMS = {
    **{m: lambda s, m=m: s.ccd.combine(m) for m in ("mean", "sum", "std", "var")},
    "by name": lambda s: s.ccd.combine("mean", weights="EXPTIME", scale="EXPTIME"),
    "per sample": lambda s: s.ccd.combine("sum", weights=per_sample(s)),
    "by function": lambda s: s.ccd.combine("mean", weights=lambda frame: frame.std()),
    "per sample, plain": lambda s: s.ccd.combine("mean", weights=per_sample(s).data, scale=(s + 1).data),
    "clip, then mean": lambda s: s.ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "normalize, then mean": lambda s: s.ccd.normalize("mean", "mode").ccd.combine("mean"),
}
LEVELS = {
    "normalize": lambda s: s.ccd.normalize("median"),
    "normalize twice": lambda s: s.ccd.normalize("mean").ccd.normalize(zero="mode", to="mean"),
    "normalize in a region": lambda s: s.ccd.normalize(zero="clipped_median", region=(slice(2), slice(3))),
    "normalize by function": lambda s: s.ccd.normalize(lambda frame: frame.max(), lambda frame: frame.min()),
}
VERBS = CLIPS | RANKS | SUMS | LEVELS


def assert_same_bits(result, expected):
    """Equal to the last bit, NaN where NaN."""
    assert (result.dtype, result.dims) == (expected.dtype, expected.dims)
    np.testing.assert_array_equal(result.values, expected.values, strict=True)
    for name in {"scale", "zero"} & set(expected.coords):
        np.testing.assert_array_equal(result.coords[name], expected.coords[name], strict=True)


def swapped(stack):
    """In the other byte order."""
    return stack.astype(stack.dtype.newbyteorder())


# --- one answer

LAYOUTS = {
    "Fortran": lambda s: s.copy(data=np.asfortranarray(s.values)),
    "swapped": swapped,
    "swapped, Fortran": lambda s: swapped(s.copy(data=np.asfortranarray(s.values))),
    "strided": lambda s: s.copy(data=np.repeat(s.values, 2, axis=2)[:, :, ::2]),
    "read-only": lambda s: s.copy(data=np.broadcast_to(s.values[None], (1, *s.shape))[0]),
    "one chunk": lambda s: s.copy(data=s.variable.chunk().data),
    "rows": lambda s: s.copy(data=s.variable.chunk(y=2).data),
    "tiles": lambda s: s.copy(data=s.variable.chunk(y=2, x=3).data),
    "frames": lambda s: s.copy(data=s.variable.chunk(frame=1).data),
    "all ways": lambda s: swapped(s.copy(data=s.variable.chunk(frame=4, y=1, x=2).data)),
}


# `test_dimensions` has all of them in float32, `test_one_frame` all methods in float64.
FEW = (
    "clip median", "clip function", "extrema", "median", "weighted median", "function", "mean", "per sample",
    "normalize",
)  # fmt: skip


@pytest.mark.versions(verb=FEW)
@pytest.mark.parametrize("verb", VERBS)
def test_the_layout_does_not_matter(verb):
    for dtype in ("f4", "f8", "u2"):
        stack = make(dtype)
        expected = VERBS[verb](stack)
        for name, layout in LAYOUTS.items():
            given_stack = layout(stack)
            with dask.config.set(scheduler=never):
                result = VERBS[verb](given_stack)
            with dask.config.set(scheduler="sync"):
                if name in ("frames", "all ways"):  # sums of chunks of frames differ by rounding: test_partials.py
                    assert (result.dtype, result.dims) == (expected.dtype, expected.dims)
                    np.testing.assert_allclose(result, expected, rtol=4 * np.finfo("f4").eps)
                else:
                    assert_same_bits(result.compute(), expected)


@pytest.mark.parametrize("verb", VERBS)
def test_the_number_of_threads_does_not_matter(verb):
    stack = make()
    with xccd.set_options(threads=1):
        expected = VERBS[verb](stack)
    for threads in (2, 3, 64):
        with xccd.set_options(threads=threads):
            assert_same_bits(VERBS[verb](stack), expected)
    with dask.config.set(scheduler="threads", num_workers=3):
        assert_same_bits(VERBS[verb](LAYOUTS["tiles"](stack)).compute(), expected)


@pytest.mark.versions
def test_a_dask_task_starts_no_threads(monkeypatch):
    monkeypatch.setattr(run, "run_all", never)
    with xccd.set_options(threads=3):
        assert VERBS["median"](LAYOUTS["tiles"](make())).compute(scheduler="sync").notnull().any()
        with pytest.raises(AssertionError, match="computed early"):
            VERBS["median"](make())


@pytest.mark.versions
@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(VERBS)))
def test_any_chunks(data, verb):
    stack = make(shape=(6, 3, 4))
    chunks = data.draw(chunkings(stack.shape))
    result = VERBS[verb](stack.copy(data=stack.variable.chunk(dict(zip(DIMS, chunks, strict=True))).data))
    assert_same_bits(result.compute(scheduler="sync"), VERBS[verb](stack))


@pytest.mark.parametrize("verb", sorted((CLIPS | RANKS | SUMS).keys() - {"normalize, then mean"}))
def test_the_order_of_frames_does_not_matter(verb):
    stack = make()
    expected = VERBS[verb](stack)
    order = np.random.default_rng(8).permutation(N)
    result = VERBS[verb](stack[order])
    if verb in CLIPS:
        expected = expected[order]
    if verb in SUMS:
        np.testing.assert_allclose(result, expected, rtol=1e-6)
    else:
        assert_same_bits(result, expected)


@pytest.mark.versions
def test_chunks_stay_where_they_are():
    stack = make().chunk(y=2, x=3)
    for verb in ("clip", "extrema", "minmax", "normalize"):
        assert VERBS[verb](stack).chunks == stack.chunks
    for verb in ("mean", "median", "by function"):
        assert VERBS[verb](stack).chunks == stack.chunks[1:]


# --- any dimensions


@pytest.mark.versions
@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"normalize in a region"}))
def test_dimensions(verb):
    stack = make()
    expected = VERBS[verb](stack)
    for order in (("y", "frame", "x"), ("x", "y", "frame")):
        for turned in (stack.transpose(*order), stack.transpose(*order).chunk(x=3, frame=4)):
            result = VERBS[verb](turned)
            assert result.dims == tuple(d for d in order if d in expected.dims)
            turned_back = result.transpose(*expected.dims)
            if "function" in verb:  # which may sum in another order
                np.testing.assert_allclose(turned_back, expected, rtol=1e-6)
            else:
                np.testing.assert_array_equal(turned_back, expected)


@pytest.mark.parametrize("verb", sorted((CLIPS | RANKS | SUMS).keys() - {"by function", "normalize, then mean"}))
def test_cubes_and_columns(verb):
    stack = make()
    expected = VERBS[verb](stack)
    cube = stack.expand_dims(wave=2, axis=2)
    column = stack[:, 2, 3]
    for chunk in (lambda s: s, lambda s: s.chunk()):
        assert_same_bits(VERBS[verb](chunk(cube)).isel(wave=1).compute(), expected)
        np.testing.assert_array_equal(VERBS[verb](chunk(column)), expected[..., 2, 3])


@pytest.mark.parametrize(
    "call",
    [
        lambda s, **dim: xccd.sigma_clip(s, 1, 1, **dim),
        lambda s, **dim: xccd.clip_extrema(s, 1, 1, **dim),
        lambda s, **dim: xccd.minmax(s, max=100, **dim),
        lambda s, **dim: xccd.normalize(s, "mean", **dim),
        lambda s, **dim: xccd.combine(s, weights="EXPTIME", **dim),
        lambda s, **dim: xccd.count(s, **dim),
    ],
)
class TestStacks:
    """What is a stack for every verb, and what is none."""

    def test_dim(self, call):
        stack = make()
        renamed = stack.rename(frame="time")
        result, expected = call(renamed, dim="time"), call(stack)
        np.testing.assert_array_equal(result, expected)
        assert result.dims == tuple("time" if d == "frame" else d for d in expected.dims)
        ds = call(renamed.to_dataset(), dim="time")
        np.testing.assert_array_equal(ds["data"], expected)

    def test_no_frames(self, call):
        message = r"no dimension 'frame', it has \{'time': 9, 'y': 5, 'x': 7\}: .* dim='time', or rename it to 'frame'"
        with pytest.raises(ValueError, match=message):
            call(make().rename(frame="time"))
        with pytest.raises(ValueError, match=r"no dimension 'frame', it has \{\}: .*single image has nothing"):
            call(make()[0, 0, 0])
        with pytest.raises(
            ValueError, match=r"no variable of this Dataset has the dimension 'frame' \(variables: .*'y'"
        ):
            call(make()[0].to_dataset())
        with pytest.raises(ValueError, match=r"the stack is empty: its dimension 'frame' has size 0"):
            call(make()[:0])
        with pytest.raises(TypeError, match=r"takes an xarray DataArray, Dataset or DataTree, not ndarray: wrap"):
            call(make().values)

    @pytest.mark.parametrize("dtype", ["c16", "U3", "M8[ns]", "O"])
    def test_not_numbers(self, call, dtype):
        stack = xr.DataArray(np.zeros((3, 2), dtype), dims=("frame", "x"), coords={"EXPTIME": ("frame", [1, 2, 3])})
        for data in (stack, stack.chunk()):
            with pytest.raises(TypeError, match=r"cannot be clipped or combined: samples must be real numbers"):
                call(data)

    def test_one_frame_and_no_pixels(self, call):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert call(make()[:1]).shape in {(1, 5, 7), (5, 7)}
        if "normalize" not in call.__code__.co_names:
            for empty in (make()[:, :0], make()[:, :0].chunk()):
                assert call(empty).compute().shape in {(N, 0, 7), (0, 7)}


@pytest.mark.versions
def test_one_frame():
    frame = make("f8")[:1]
    image = frame[0].where(np.isfinite(frame[0]))
    for method in (name for name, row in METHODS.items() if not row.needs):
        expected = {"count": image.notnull(), "std": image * 0, "var": image * 0, "mad_std": image * 0}
        result = frame.ccd.combine(method, q=0.3 if method == "quantile" else None)
        np.testing.assert_array_equal(result, expected.get(method, image))
    assert frame.ccd.combine("std", ddof=1).isnull().all()


# --- Datasets


def dataset():
    """Two science variables, their companions, and what has no frames."""
    stack = make("f8").assign_attrs(units="adu", ancillary_variables="a_quality a_uncertainty")
    image = xr.DataArray(np.ones((5, 7)), dims=("y", "x"))
    return xr.Dataset(
        {
            "a": stack,
            "a_quality": (DIMS, np.zeros(stack.shape, "u1")),
            "a_uncertainty": (DIMS, np.ones(stack.shape)),
            "b": (stack * 2).assign_attrs(units="electron"),
            "flat": image,
            "note": "text",
        },
        coords={"header": ("frame", np.array([f"A       = {i}" for i in range(N)], object))},
        attrs={"night": 1},
    )


@pytest.mark.versions
def test_a_clip_of_a_dataset():
    ds = dataset()
    clipped = ds.ccd.sigma_clip(1.5, 2)
    assert list(clipped.data_vars) == list(ds.data_vars)
    for name in ("a_quality", "a_uncertainty", "flat", "note"):
        xr.testing.assert_identical(clipped[name].drop_vars("header", errors="ignore"),
                                    ds[name].drop_vars("header", errors="ignore"))  # fmt: skip
    for name in ("a", "b"):
        xr.testing.assert_identical(clipped[name], ds[name].ccd.sigma_clip(1.5, 2))
    assert clipped.attrs == {"night": 1}
    step = "xccd.sigma_clip(low=1.5, high=2, center='mean', deviation='std', maxiters=1)"
    assert [clipped[name].attrs["history"] for name in ("a", "b")] == [step] * 2
    assert clipped["header"].values.tolist() == ds["header"].values.tolist()


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [{}, {"y": 2}, {"frame": 2, "x": 3}])
def test_combining_a_dataset(chunks):
    ds = dataset().chunk(chunks)
    image = ds.ccd.combine()
    assert set(image.data_vars) == {"a", "b", "flat", "note"}
    assert "frame" not in image.dims
    for name in ("a", "b"):
        xr.testing.assert_equal(image[name].drop_vars("image_header").compute(),
                                ds[name].ccd.combine().drop_vars("image_header").compute())  # fmt: skip
        assert image[name].ccd.header()["BUNIT"] == ds[name].attrs["units"]
    assert "ancillary_variables" not in image["a"].attrs  # as they are gone
    assert image.attrs == {"night": 1}
    assert set(ds.ccd.count().data_vars) == {"a", "b", "flat", "note"}


@pytest.mark.versions
def test_a_dataset_of_one_variable_keeps_what_was_done():
    ds = dataset()[["a"]]
    level = ds.ccd.normalize("mean").ccd.normalize(zero="mean")
    expected = ds["a"].ccd.normalize("mean").ccd.normalize(zero="mean")
    xr.testing.assert_identical(level["a"], expected)
    assert level["a"].attrs["history"].count("xccd.normalize") == 2


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [None, {"x": 3}])
def test_groups(chunks):
    stack = make().assign_coords(FILTER=("frame", list("rgrgrgrgr")))
    stack = stack if chunks is None else stack.copy(data=stack.variable.chunk(chunks).data)
    images = stack.groupby("FILTER").map(lambda group: group.ccd.combine("median"))
    assert images.FILTER.values.tolist() == ["g", "r"]
    for name in "gr":
        expected = stack[stack.FILTER.values == name].ccd.combine("median")
        np.testing.assert_array_equal(images.sel(FILTER=name).transpose("y", "x"), expected)
    clipped = stack.groupby("FILTER").map(lambda group: group.ccd.clip_extrema(1, 1))
    assert clipped.sizes == stack.sizes
    both = stack.to_dataset().groupby("FILTER").map(lambda group: group.ccd.combine())
    np.testing.assert_array_equal(both["data"].sel(FILTER="g").transpose("y", "x"), stack[1::2].ccd.combine())
