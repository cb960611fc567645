"""`apply_flags`: the flags of one image on others."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

DIMS = ("frame", "y", "x")


def flagged(seed, name="data", chunks=None):
    x = np.random.default_rng(seed).normal(100, 5, (7, 4, 5)).astype("f4")
    x[seed % 7, 1, 2], x[3, 0, 0] = 400, np.nan
    s = xr.DataArray(x, dims=DIMS, name=name)
    return (
        (s.chunk(chunks) if chunks else s).ccd.to_dataset().ccd.sigma_clip(3, 3, center="median", deviation="mad_std")
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50), st.sampled_from([None, {"y": 2}, {"frame": 2, "x": 3}]))
def test_flags_are_joined(seed, chunks):
    one, other = flagged(seed, chunks=chunks), flagged(seed + 1, chunks=chunks)
    found = other.ccd.apply_flags(one)
    assert found.chunks.keys() == other.chunks.keys()
    np.testing.assert_array_equal(found.data_flags.values, one.data_flags.values | other.data_flags.values)
    np.testing.assert_array_equal(found.data.values, other.data.values)
    image = found.ccd.combine("median")
    expected = other.data.where(found.data_flags == 0).ccd.combine("median")
    np.testing.assert_array_equal(image.data.values, expected.values)
    np.testing.assert_array_equal(other.ccd.apply_flags(one.data_flags).data_flags, found.data_flags)


def test_by_name_in_a_dataset_and_a_tree():
    ds = xr.merge([flagged(0, "red"), flagged(1, "blue")], combine_attrs="override")
    found = ds.ccd.apply_flags("red")
    union = ds.red_flags.values | ds.blue_flags.values
    np.testing.assert_array_equal(found.blue_flags, union)
    np.testing.assert_array_equal(found.red_flags, ds.red_flags)
    tree = xr.DataTree.from_dict({"a": ds, "b": xr.Dataset()}).ccd.apply_flags("red")
    np.testing.assert_array_equal(tree["a/blue_flags"], union)


def test_an_image_without_flags_gets_nan():
    one = flagged(0)
    plain = flagged(1).ccd.to_stack()
    found = plain.ccd.apply_flags(one)
    np.testing.assert_array_equal(found, plain.where(one.data_flags == 0))


def test_on_lazy_input_nothing_is_computed():
    def forbidden(*_):
        raise AssertionError("computed")

    import dask

    with dask.config.set(scheduler=forbidden):
        found = flagged(1, chunks={"y": 2}).ccd.apply_flags(flagged(0, chunks={"y": 2}))
    assert found.data_flags.chunks


WRONG = [
    (lambda ds: ds.ccd.apply_flags("rad"), ValueError, r"flags='rad' is no variable with flags \(data\)"),
    (lambda ds: ds.ccd.apply_flags(5), TypeError, "flags= is an int: give the name of a variable"),
    (lambda ds: ds.ccd.apply_flags(ds.data > 3), TypeError, "flags= has dtype bool, flags are uint8: mask_where"),
    (
        lambda ds: ds.ccd.apply_flags(ds.data_flags[:, :2]),
        ValueError,
        r"flags has .*, the stack .*: dimensions must be",
    ),
    (lambda ds: ds.data.ccd.apply_flags("data"), ValueError, "names a variable of a Dataset, this is a DataArray"),
    (lambda ds: ds.ccd.apply_flags(xr.Dataset({"a": ds.data.drop_attrs()})), ValueError, "flags='a' is no variable"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(flagged(0))
