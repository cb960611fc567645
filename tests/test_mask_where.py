"""`mask_where`: samples masked by an image, by masks in files, by bits; labels stay."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.compute.deferred import Deferred
from xccd.kernels.flags import Flag
from xccd.labels.lazy import array_of

SHAPE = (4, 3, 5)
TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CDELT1": -1e-4, "CDELT2": 1e-4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, and beside them their masks and planes of bits, in files of other names."""
    folder, rng = tmp_path_factory.mktemp("masks"), np.random.default_rng(2)
    for sub in ("", "same"):
        (folder / sub).mkdir(exist_ok=True)
    for i in range(SHAPE[0]):
        cards = fits.Header(TAN | {"CRPIX1": 3.0, "CRPIX2": 2.0, "EXPTIME": 10.0 + i})
        bits = rng.choice([0, 1, 4, 64, 5], SHAPE[1:]).astype("i2")
        fits.writeto(folder / f"img-{i}.fits", rng.normal(100, 5, SHAPE[1:]).astype("f4"), cards)
        fits.writeto(folder / f"dq-{i}.fits", bits, fits.Header({"EXPTIME": 0.0}))
        fits.writeto(folder / "same" / f"img-{i}.fits", bits)
    return folder


def bits_of(folder):
    return np.stack([fits.getdata(folder / f"dq-{i}.fits") for i in range(SHAPE[0])])


FORMS = {"numpy": "auto", "dask": {"y": 2}, "frames cut": {"frame": 1}, "deferred": None}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("dtype", [None, "native"])
def test_masks_in_files(folder, form, flagged, dtype):
    opened = xccd.open_dataset if flagged else xccd.open_stack
    stack = opened(folder / "img-*.fits", chunks=FORMS[form])
    planes = xccd.open_stack(folder / "dq-*.fits", chunks=FORMS[form], dtype=dtype)
    stack, planes = (x.compute() if form == "numpy" else x for x in (stack, planes))
    bits = bits_of(folder)

    def never(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=never):
        made = (
            stack.ccd.mask_where(planes),
            stack.ccd.mask_where(planes, bits=[4, 64]),
            stack.ccd.mask_where(planes, bits=1),
        )
    if form == "deferred":
        assert all(isinstance(array_of(m["data_flags"] if flagged else m), Deferred) for m in made)
    for found, bad in zip(made, (bits != 0, bits & 68 != 0, bits & 1 != 0), strict=True):
        missing = (found.ccd.mask["data"] if flagged else found.ccd.mask).values
        np.testing.assert_array_equal(missing, bad)
        labels = found.drop_vars("data_flags", errors="ignore").coords
        assert labels["header"].values.tolist() == stack.header.values.tolist()
        assert labels["file"].values.tolist() == stack.file.values.tolist()
        data = found["data"] if flagged else found
        assert data.ccd.wcs(0).wcs.crpix.tolist() == [3, 2]
        if flagged:
            assert set(np.unique(found["data_flags"].values)) <= {0, int(Flag.MASKED_ON_INPUT)}
            np.testing.assert_array_equal(found["data"], stack["data"])


def test_by_order_or_by_file(folder):
    stack, bits = xccd.open_stack(folder / "img-*.fits"), bits_of(folder)
    in_another_order = [3, 1, 0, 2]
    alike = xccd.open_stack([folder / "same" / f"img-{i}.fits" for i in in_another_order])
    np.testing.assert_array_equal(stack.ccd.mask_where(alike).ccd.mask, bits != 0)  # by the names of files
    other = xccd.open_stack([folder / f"dq-{i}.fits" for i in in_another_order])
    np.testing.assert_array_equal(stack.ccd.mask_where(other).ccd.mask, bits[in_another_order] != 0)  # by order
    partly = xccd.open_stack([folder / n for n in ("img-0.fits", "dq-1.fits", "dq-2.fits", "dq-3.fits")])
    for verb in (stack.ccd.mask_where, lambda w: stack.ccd.combine(weights=w)):
        with pytest.raises(ValueError, match=r"share some of their files, not all"):
            verb(partly)
    weights = other + 1
    expected = stack.ccd.combine("mean", weights=weights.values)
    np.testing.assert_array_equal(stack.ccd.combine("mean", weights=weights), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["bool", "uint8", "int16", "int32", "float32", "float64"]),
    st.sampled_from([None, 1, 5, [2, 8], np.uint8(4), range(1, 3)]),
    st.sampled_from(["stack", "frame", "labelled frame", "column", "turned"]),
    st.booleans(),
)
def test_any_mask(dtype, bits, shape, lazy):
    stack = xr.DataArray(np.arange(60.0).reshape(SHAPE), dims=("frame", "y", "x"))
    values = np.random.default_rng(1).integers(0, 16, SHAPE).astype(dtype)
    masks = {
        "stack": (values, values), "frame": (values[0], values[:1]), "column": (xr.DataArray(values[0, :, 0], dims="y"),
        values[:1, :, :1]), "labelled frame": (xr.DataArray(values[0], dims=("y", "x")), values[:1]),
        "turned": (xr.DataArray(values, dims=("frame", "y", "x")).transpose("x", "frame", "y"), values),
    }  # fmt: skip
    given, spread = masks[shape]
    chosen = 0 if bits is None else int(np.bitwise_or.reduce(np.atleast_1d(np.array(bits, int))))
    bad = spread != 0 if bits is None else (spread.astype(int) & chosen) != 0
    if dtype == "bool" and bits is not None:
        with pytest.raises(TypeError, match="booleans, which have no bits"):
            stack.ccd.mask_where(given, bits=bits)
        return
    made = (stack.chunk(y=2) if lazy else stack).ccd.mask_where(given, bits=bits)
    np.testing.assert_array_equal(made.ccd.mask, np.broadcast_to(bad, SHAPE))
    assert made.fillna(stack).equals(stack)


def test_nan_in_a_mask_is_bad_and_reasons_add_up():
    ds = xr.DataArray([[1.0], [9.0]], dims=("frame", "x"), name="data").ccd.to_dataset().ccd.minmax(max=5)
    made = ds.ccd.mask_where(xr.DataArray([[np.nan], [1.0]], dims=("frame", "x")))
    assert made.data_flags.values.tolist() == [[1], [9]]
    image = xr.DataArray([[1.0, 2.0]], dims=("y", "x"))
    assert image.ccd.mask_where([[0, 3]]).values.tolist() == [[1.0, pytest.approx(np.nan, nan_ok=True)]]


@pytest.mark.parametrize(
    ("bad", "bits", "error", "message"),
    [
        (
            np.zeros((2, 2)),
            None,
            ValueError,
            r"^bad= has shape \(2, 2\), the stack .*give its shape, or a frame's",
        ),
        (xr.DataArray(np.zeros(3), dims="z"), None, ValueError, r"^bad has \{'z': 3\}, the stack"),
        (np.full(SHAPE, "x"), None, TypeError, r"^bad= has dtype <U1: give booleans"),
        (xr.Dataset({"a": ("x", [1])}), None, TypeError, r"^bad= is a Dataset: give one array of it"),
        (np.full(SHAPE, 0.5), 1, TypeError, r"not whole, which have no bits"),
        (np.zeros(SHAPE, int), 0, ValueError, r"^bits=0 names no bit"),
        (np.zeros(SHAPE, int), [3], ValueError, r"^bits=\[3\]: 3 is not a power of two"),
        (np.zeros(SHAPE, int), "4", TypeError, r"^bits='4' are no bits"),
    ],
)
def test_what_is_no_mask(bad, bits, error, message):
    stack = xr.DataArray(np.zeros(SHAPE), dims=("frame", "y", "x"))
    with pytest.raises(error, match=message):
        stack.ccd.mask_where(bad, bits=bits)


def test_a_mask_of_another_cut():
    stack = xr.DataArray(np.zeros(SHAPE), dims=("frame", "y", "x"), coords={"x": np.arange(5)})
    with pytest.raises(ValueError, match=r"^bad and the stack differ in their coordinate 'x'"):
        stack.ccd.mask_where(xr.DataArray(np.zeros(5), dims="x", coords={"x": np.arange(5) + 1}))


@pytest.mark.parametrize("form", ["dask", "numpy", "deferred"])
@pytest.mark.parametrize("verb", ["mask_where", "to_dataset", "uncertainty", "mask", "align"])
def test_a_lazy_argument_of_a_stack_that_is_not(form, verb):
    """An array of dask goes with any stack, and with it the result waits."""
    frames = [(np.arange(24.0).reshape(4, 6) + i, {}) for i in range(3)]
    stack = xccd.open_stack(frames, chunks=None if form == "deferred" else "auto")
    stack = stack.load() if form == "numpy" else stack
    bad = np.arange(72).reshape(3, 4, 6) % 5 == 0
    lazy = da.from_array(bad, chunks=(1, 3, 4))
    run = {
        "mask_where": lambda s, m: s.ccd.mask_where(m),
        "to_dataset": lambda s, m: s.ccd.to_dataset(mask=m).data_flags,
        "uncertainty": lambda s, m: s.ccd.to_dataset(uncertainty=m * 2.0).data_uncertainty,
        "mask": lambda s, m: s.ccd.to_dataset().assign(data_flags=(s.dims, m.astype("u1"))).ccd.mask.data,
        "align": lambda s, m: s.ccd.to_dataset(mask=m).ccd.align(offsets=[(0, 0), (0, 1), (1, 0)]).data,
    }[verb]
    found = run(stack, lazy)
    assert found.chunks is not None
    np.testing.assert_array_equal(found.values, run(xccd.open_stack(frames).load(), bad).values)


def test_a_property_that_fails_says_why(monkeypatch):
    monkeypatch.setattr(xccd.accessor.CCDAccessor, "mask", property(lambda self: self.obj.nothing))
    with pytest.raises(AttributeError, match="no 'obj'"):
        _ = xr.DataArray([1.0], dims="frame").ccd.mask
