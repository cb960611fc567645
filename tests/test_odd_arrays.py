"""Stacks that are not of plain NumPy numbers are refused with the way out; odd indexes are no trouble."""

import logging
import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u

pytestmark = pytest.mark.versions


class Pint:
    """An array of another package, as xarray takes it: not NumPy's, nor dask's."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape, self.dtype, self.ndim = self.values.shape, self.values.dtype, self.values.ndim

    def __array_function__(self, *_):
        return NotImplemented

    def __array_ufunc__(self, *_, **__):
        return NotImplemented

    def __getitem__(self, key):
        return Pint(self.values[key])

    def transpose(self, *axes):
        return Pint(self.values.transpose(*axes))


def stack_of(array):
    return xr.DataArray(array, dims=("frame", "y", "x"), name="data")


ODD = {
    "another package": (lambda: Pint(np.ones((3, 2, 2))), r"\.Pint: xccd computes on plain numbers .* \.as_numpy\(\)"),
    "a unit": (lambda: np.ones((3, 2, 2)) * u.adu, r"astropy\.Quantity: .* keep a unit in attrs\['units'\]"),
    "dask of a unit": (
        lambda: da.from_array(np.ones((3, 2, 2)) * u.adu, asarray=False), r"a dask array of astropy\.Quantity: "
    ),
}  # fmt: skip
VERBS = {
    "sigma_clip": lambda s: s.ccd.sigma_clip(1, 1),
    "minmax": lambda s: s.ccd.minmax(max=3),
    "combine": lambda s: s.ccd.combine(),
    "normalize": lambda s: s.ccd.normalize("median"),
    "align": lambda s: s.ccd.align(offsets=[(0, 0)] * 3),
    "mask_where": lambda s: s.ccd.mask_where(np.zeros((2, 2))),
    "find_offsets": lambda s: s.ccd.find_offsets(),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ODD)
def test_other_arrays(kind, verb):
    make, message = ODD[kind]
    stack = stack_of(make())
    if kind == "a unit" and type(stack.data) is np.ndarray:
        pytest.skip("this xarray takes the unit away itself")
    with pytest.raises(TypeError, match=message):
        VERBS[verb](stack)


def test_other_arrays_beside_a_stack():
    stack = stack_of(np.ones((3, 2, 2)))
    with pytest.raises(TypeError, match=r"^weights holds .*\.Pint: "):
        stack.ccd.combine(weights=stack_of(Pint(np.ones((3, 2, 2)))))
    with pytest.raises(TypeError, match=r"^scale= is in s, which a plain product would lose"):
        stack.ccd.combine(scale=[1, 2, 3] * u.s)
    assert stack.ccd.combine(weights=[1, 2, 3] * u.s).values.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("chunks", [{}, {"y": 1}])
def test_arithmetic_on_a_flagged_dataset(chunks):
    ds = stack_of(np.full((4, 2, 3), 9.0)).chunk(chunks).ccd.to_dataset(mask=np.eye(2, 3) > 0, uncertainty=3.0)
    changed = ds - 5.5
    changed["data"].attrs = ds["data"].attrs
    for verb in ("combine", "sigma_clip", "count", "to_stack", "align", "to_ccddata", "to_masked_array"):
        with pytest.raises(TypeError, match=r"'data_flags' has dtype float.*, but flags are uint8.*ds.assign\(data="):
            getattr(changed.ccd, verb)()
    with pytest.raises(TypeError, match="'data_flags' has dtype float"):
        _ = changed.ccd.mask
    lower = ds.assign(data_uncertainty=ds["data_uncertainty"] - 5)
    with pytest.raises(ValueError, match=r"uncertainties are negative: arithmetic on a Dataset"):
        lower.ccd.align(offsets=[(0.5, 0.5)] * 3 + [(0, 0)]).compute()
    with pytest.raises(ValueError, match=r"\d+ uncertainties are negative"):
        lower.ccd.to_ccddata()
    right = ds.assign(data=ds["data"] - 5.5)
    assert right.ccd.combine("mean").data.values[0].tolist() == pytest.approx([np.nan, 3.5, 3.5], nan_ok=True)


INDEXES = {
    "night and number": lambda s: s.assign_coords(
        xr.Coordinates.from_pandas_multiindex(
            pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]], names=["night", "n"]), "frame"
        )
    ),
    "pixels in a row": lambda s: s.stack(p=("y", "x")),
    "cubes": lambda s: s.expand_dims(z=2, axis=1),
}


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("form", ["array", "dataset", "flagged", "lazy"])
def test_odd_indexes(index, form):
    """With every warning an error: xarray warns of levels of an index that are taken apart."""
    values = np.random.default_rng(0).normal(100, 5, (6, 4, 5))
    stack = INDEXES[index](xr.DataArray(values, dims=("frame", "y", "x"), name="data"))
    obj = {"array": stack, "dataset": stack.to_dataset(), "flagged": stack.ccd.to_dataset(),
           "lazy": stack.chunk().to_dataset()}[form]  # fmt: skip
    expected = stack.ccd.sigma_clip(1, 1)
    assert bool((obj.ccd.sigma_clip(1, 1).ccd.mask if form == "array" else obj.ccd.sigma_clip(1, 1).ccd.mask["data"])
                .equals(expected.ccd.mask))  # fmt: skip
    image = obj.ccd.combine("mean")
    np.testing.assert_allclose(image if form == "array" else image["data"], stack.mean("frame"))
    assert obj.ccd.mask_where(np.zeros(stack.shape)).sizes == obj.sizes
    if form != "flagged":
        assert obj.ccd.normalize("median").sizes == obj.sizes


def test_blocks_of_xarray():
    """`coarsen` through `construct`, `map_blocks` with a template: what each says is what the docs say."""
    stack = xr.DataArray(np.arange(48.0).reshape(4, 3, 4), dims=("frame", "y", "x"))
    pairs = stack.coarsen(frame=2).construct(frame=("frame", "pair")).ccd.combine("mean", dim="pair")
    np.testing.assert_array_equal(pairs, stack.coarsen(frame=2).mean())
    lazy = stack.chunk(y=1)
    mapped = xr.map_blocks(lambda block: block.ccd.combine("mean"), lazy, template=lazy.ccd.combine("mean"))
    np.testing.assert_array_equal(mapped, stack.mean("frame"))


def test_no_filter_is_changed_by_a_verb():
    before = list(warnings.filters)
    stack_of(np.ones((3, 2, 2))).ccd.sigma_clip(1, 1).ccd.combine().ccd.header()
    assert warnings.filters == before
    assert logging.getLogger("xccd").handlers == []
