"""Stacks that are cut along their frames: sums chunk by chunk, ranks from all frames in small tiles."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from strategies import DIRECT, chunkings, stacks, weights_per_frame
from xccd.compute.ends import Combine
from xccd.compute.partials import ROWS

DIMS = ("frame", "y", "x")
some = settings(max_examples=30, deadline=None)


def stack_of(values: np.ndarray, chunks=None) -> xr.DataArray:
    return xr.DataArray(values if chunks is None else da.from_array(values, chunks), dims=DIMS, name="data")


@some
@given(data=st.data(), values=stacks(dtypes=DIRECT))
def test_parts_put_together_are_the_whole(data, values):
    lazy = stack_of(values, data.draw(chunkings(values.shape)))
    weights = data.draw(weights_per_frame(len(values)))
    factors = data.draw(st.none() | st.lists(st.floats(0.5, 2), min_size=len(values), max_size=len(values)))
    finite = np.where(np.isfinite(values.astype("f8")), values, 0).astype("f8")
    for method, weighted in ((end.method, end.weighted) for end in ROWS if isinstance(end, Combine)):
        w = weights if weighted else None
        result = lazy.ccd.combine(method, weights=w, scale=factors).values
        whole = stack_of(values).ccd.combine(method, weights=w, scale=factors).values
        assert result.dtype == whole.dtype
        np.testing.assert_array_equal(np.isnan(result), np.isnan(whole))
        if method in ("count", "min", "max"):
            np.testing.assert_array_equal(result, whole)
            continue
        used = np.ones(len(values)) if w is None else np.array(w)
        size = np.abs(finite * used[:, None, None] * (1 if factors is None else np.array(factors)[:, None, None]))
        bound = 8 * np.finfo(whole.dtype).eps * size.sum(0) / (1 if method == "sum" else max(used.sum() / 64, 1e-300))
        close = np.isclose(result, whole, rtol=4 * np.finfo(whole.dtype).eps, atol=0, equal_nan=True)
        with np.errstate(all="ignore"):
            assert (close | (np.abs(result - whole) <= bound)).all()


@pytest.mark.versions
@pytest.mark.parametrize("method", ["mean", "sum", "min", "max", "count"])
def test_no_chunk_is_made_anew_and_nothing_is_computed(method):
    computed = []
    values = np.random.default_rng(0).normal(0, 1, (12, 20, 30))

    def block(block_id):
        computed.append(block_id)
        return values[block_id[0] * 2 : block_id[0] * 2 + 2]

    x = da.map_blocks(
        lambda block_id=None: block(block_id), chunks=((2,) * 6, (20,), (30,)), dtype="f8", meta=values[:0]
    )
    image = stack_of(x).ccd.combine(method)
    assert not computed
    assert not [name for name in image.data.dask.layers if "rechunk" in name]
    np.testing.assert_allclose(image, stack_of(values).ccd.combine(method), rtol=1e-14, atol=1e-14)
    assert len(computed) == 6


@some
@given(data=st.data(), values=stacks(dtypes=DIRECT), method=st.sampled_from(["mean", "sum", "min", "max", "count"]))
def test_the_lossless_form_is_put_together_too(data, values, method):
    """With its number of samples and its uncertainty, of samples that flags have left."""
    lazy = stack_of(values, data.draw(chunkings(values.shape)))
    images = lazy.ccd.to_dataset().ccd.minmax(-100, 1000).ccd.combine(method)
    whole = stack_of(values).ccd.to_dataset().ccd.minmax(-100, 1000).ccd.combine(method)
    assert list(images) == list(whole)
    assert not [name for name in images.data.data.dask.layers if "rechunk" in name]
    np.testing.assert_array_equal(images.data, lazy.ccd.minmax(-100, 1000).ccd.combine(method))
    if "data_count" in whole:
        np.testing.assert_array_equal(images.data_count, whole.data_count)
    for name in whole:
        assert images[name].dtype == whole[name].dtype
        eps = np.finfo(whole[name].dtype if whole[name].dtype.kind == "f" else "f8").eps
        np.testing.assert_allclose(images[name], whole[name], rtol=8 * eps, atol=8 * eps * 1000 * len(values))


@pytest.mark.versions
def test_flags_of_a_range_keep_the_chunks():
    values = np.random.default_rng(0).normal(0, 1, (12, 20, 30))
    for lazy in (stack_of(values, (5, 20, 30)), stack_of(values, (5, 20, 30)).ccd.to_dataset()):
        clipped = lazy.ccd.minmax(-1, 1)
        result = clipped.data_flags if isinstance(clipped, xr.Dataset) else clipped
        assert result.chunks == ((5, 5, 2), (20,), (30,))
        assert not [name for name in result.data.dask.layers if "rechunk" in name]
    np.testing.assert_array_equal(clipped.ccd.to_stack(), np.where(np.abs(values) <= 1, values, np.nan))


@pytest.mark.versions
@pytest.mark.parametrize("method", ["median", "mad_std", "std", "quantile"])
def test_what_needs_all_frames_has_the_same_bits(method):
    values = np.random.default_rng(0).normal(0, 1, (12, 20, 30))
    more = {"q": 0.3} if method == "quantile" else {}
    image = stack_of(values, (5, 20, 30)).ccd.combine(method, **more)
    np.testing.assert_array_equal(image, stack_of(values).ccd.combine(method, **more))
    clipped = stack_of(values, (5, 20, 30)).ccd.sigma_clip(1.5, 1.5).ccd.combine("mean")
    np.testing.assert_array_equal(clipped, stack_of(values).ccd.sigma_clip(1.5, 1.5).ccd.combine("mean"))


@pytest.mark.versions
def test_files_by_frames(tmp_path):
    rng = np.random.default_rng(0)
    files = [write(tmp_path / f"{i}.fits", rng.integers(0, 65535, (20, 30)).astype("u2")) for i in range(7)]
    stack = xccd.open_stack(files, chunks={"frame": 2})
    whole = xccd.open_stack(files)
    for method in ("mean", "sum", "max"):
        np.testing.assert_array_equal(stack.ccd.combine(method), whole.ccd.combine(method))  # whole numbers


def test_a_bad_weight_is_named():
    weights = np.ones((4, 2, 2))
    weights[3, 0, 0] = -1
    image = stack_of(np.ones((4, 2, 2)), (2, 2, 2)).ccd.combine("mean", weights=weights)
    with pytest.raises(ValueError, match="weights: 1 valid samples have a weight that is negative"):
        image.compute()


@pytest.mark.versions
def test_tiles_of_a_rank_keep_the_size_of_chunks():
    """All frames, a few pixels: no chunk is larger than dask's limit, and tasks do not explode."""
    x = da.zeros((4000, 1000, 1000), chunks=(1, 1000, 1000), dtype="f4")
    with dask.config.set({"array.chunk-size": "128MiB"}):
        image = stack_of(x).ccd.combine("median")
    sizes = [np.prod([4000, *block]) * 4 for block in zip(*(c for c in image.chunks), strict=False)]
    assert max(sizes) <= 128 << 20
    assert len(image.data.dask) < 40 * 4000
