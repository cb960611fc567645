"""The maps of a product: beside definitions sample by sample, lazy, written, and read back."""

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from strategies import WHOLE, chunkings, stacks, weights_per_frame
from xccd.compute import options
from xccd.kernels.table import OUTPUTS
from xccd.verbs import product_maps

ALL = tuple(name for name in product_maps.ALL if name != "common")  # that is in test_common_errors

DIMS = ("frame", "y", "x")
some = settings(max_examples=25, deadline=None)


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


def stack_of(values, chunks=None):
    times = ("frame", np.arange(1.0, len(values) + 1))
    stack = xr.DataArray(np.asarray(values), dims=DIMS, name="data", coords={"EXPTIME": times})
    return stack if chunks is None else stack.chunk(dict(zip(DIMS, chunks, strict=True)))


def clipped_stack(n=12, size=(6, 5)):
    """A flagged stack after clips, with samples rejected on both sides and a pixel without any."""
    rng = np.random.default_rng(n)
    values = rng.normal(100, 5, (n, *size))
    values[1, :3] += 90
    values[2, 3:] -= 90
    values[:, 0, 0] = 1e6
    return stack_of(values).ccd.to_dataset().ccd.minmax(max=1e5).ccd.sigma_clip(2, 2, center="median")


# --- what they are


@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=("uint16", "float32"), elements=WHOLE.map(abs), min_frames=3))
def test_maps_are_what_they_say(engine, lazy, data, values):
    weights = data.draw(st.none() | weights_per_frame(len(values)))
    ds = stack_of(values, data.draw(chunkings(values.shape)) if lazy else None).ccd.to_dataset()
    clips = {"minmax": (None, 3), "clip_extrema": (1, 1)}
    for name in data.draw(st.lists(st.sampled_from(list(clips)), max_size=2, unique=True)):
        ds = getattr(ds.ccd, name)(*clips[name])
    with xccd.set_options(engine=engine):
        image = ds.ccd.combine_with_maps("sum", weights=weights).compute()
        alone = ds.ccd.combine("sum", weights=weights).compute()
    np.testing.assert_array_equal(image.data, alone.data)
    flags = ds.data_flags.values
    use = flags == 0
    w = np.ones(len(values)) if weights is None else np.array(weights)
    np.testing.assert_array_equal(image.data_count, use.sum(0))
    np.testing.assert_array_equal(image.data_rejected_low, ((flags & 16) != 0).sum(0))
    np.testing.assert_array_equal(image.data_rejected_high, ((flags & 32) != 0).sum(0))
    np.testing.assert_allclose(image.data_weight, (use * w[:, None, None]).sum(0))
    np.testing.assert_allclose(image.data_exposure, (use * ds.EXPTIME.values[:, None, None]).sum(0))
    every = np.bitwise_or.reduce(flags, axis=0)
    np.testing.assert_array_equal(image.data_flags, np.where(use.any(0), 0, every))
    for side, bit in (("low", 16), ("high", 32)):
        share = ((flags & bit) != 0).mean((1, 2))
        np.testing.assert_allclose(image[f"data_share_rejected_{side}"], share)


CHAINS = {
    "nothing": lambda d: d,
    "clip": lambda d: d.ccd.sigma_clip(1.5, 2, center="median", maxiters=None),
    "cuts, clips": lambda d: d.ccd.minmax(max=1e5).ccd.minmax(min=20).ccd.sigma_clip(1.5, 2).ccd.sigma_clip(1, 1),
    "clip, cut": lambda d: d.ccd.sigma_clip(1.5, 2).ccd.minmax(max=110),
    "nothing left": lambda d: d.ccd.sigma_clip(0, 0, deviation="mad_std", maxiters=None),
    "window": lambda d: d.ccd.reject("winsorized"),
    "marks": lambda d: d.ccd.sigma_clip(2, 2).ccd.reject("linear_fit"),
    "ties": lambda d: d.ccd.clip_extrema(1, 1).ccd.sigma_clip(1.5, 1.5),
}


@pytest.mark.filterwarnings("ignore:sigma_clip|combine:UserWarning")
@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("flagged", [False, True], ids=["", "flags before"])
def test_maps_without_flags_are_those_of_flags(engine, chain, flagged, monkeypatch):
    values = clipped_stack().data.values.copy()
    values[2, 4], values[:, 5, 1:3], values[3, 5] = np.nan, np.inf, 100
    for dtype, errors in (("float32", None), ("float64", np.full(values.shape, 2.0))):
        stack = stack_of(values.astype(dtype))
        ds = stack.ccd.to_dataset(uncertainty=None if errors is None else xr.DataArray(errors, dims=DIMS))
        if flagged:
            ds.data_flags[1, 2:4], ds.data_flags[2:5, 1], ds.data_flags[:, 3, 3] = 1, 16, 32
        with xccd.set_options(engine=engine):
            for method in ("mean", "median"):
                expected = CHAINS[chain](ds).ccd.combine_with_maps(method)
                with monkeypatch.context() as patch:
                    patch.setattr("xccd.compute.flagged.Reasons.__call__", never)  # no flags of all samples are made
                    found = CHAINS[chain](ds.chunk(y=4, x=3)).ccd.combine_with_maps(method).compute()
                for name in ("data", *expected.data_vars, *expected.coords):
                    np.testing.assert_array_equal(found[name], expected[name], err_msg=str(name))


def test_all_maps_and_no_others():
    image = clipped_stack().ccd.combine_with_maps()
    assert {name.removeprefix("data_") for name in image.data_vars} == {"data", *ALL}
    assert set(image.data.attrs["ancillary_variables"].split()) == set(image.data_vars) - {"data"}
    for name in ALL:
        assert image[f"data_{name}"].attrs["long_name"]
        assert OUTPUTS[name].dtype in (None, image[f"data_{name}"].dtype.name)
    assert image.data_exposure.attrs["units"] == "s"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_one_map_is_that_of_all(name, lazy):
    ds = clipped_stack()
    ds = ds.chunk(y=2) if lazy else ds
    image = ds.ccd.combine("mean", maps=[name])
    assert set(image.data_vars) == {"data", f"data_{name}"}
    every = ds.ccd.combine_with_maps("mean")
    xr.testing.assert_identical(image[f"data_{name}"].drop_vars("image_header").compute(),
                                every[f"data_{name}"].drop_vars("image_header").compute())  # fmt: skip
    assert set(ds.ccd.combine("mean", maps=[]).data_vars) == {"data"}


def test_a_stack_with_nan_has_the_maps_that_it_can_have():
    stack = clipped_stack().ccd.to_stack()
    image = stack.rename(None).ccd.combine_with_maps("median")
    assert set(image.data_vars) == {"data", "data_uncertainty", "data_count", "data_weight", "data_exposure"}
    np.testing.assert_array_equal(image.data, stack.ccd.combine("median"))
    np.testing.assert_array_equal(image.data_count, stack.ccd.count())
    assert "data_exposure" not in stack.drop_vars("EXPTIME").ccd.combine_with_maps().data_vars
    with pytest.raises(ValueError, match="maps: 'rejected_low' needs flags, which a stack with NaN has not"):
        stack.ccd.combine_with_maps(maps=["rejected_low"])
    with pytest.raises(ValueError, match="maps= goes with a flagged Dataset: use combine_with_maps"):
        stack.ccd.combine(maps=["count"])


def test_a_tree_and_a_function():
    tree = xr.DataTree.from_dict({"a": clipped_stack(), "b": clipped_stack()})
    images = tree.ccd.combine_with_maps("mean")
    assert set(images["a"].data_vars) == set(clipped_stack().ccd.combine_with_maps().data_vars)
    image = clipped_stack().ccd.combine_with_maps(np.nanmedian)
    assert {"data", "data_count", "data_flags", "data_exposure"} <= set(image.data_vars)
    assert not {"data_uncertainty", "data_weight"} & set(image.data_vars)


def test_exposures_of_products_are_their_totals():
    frames = [(np.ones((2, 3), "f4"), {"EXPTIME": 30.0}) for _ in range(4)]
    assert float(xccd.open_stack(frames).ccd.combine_with_maps().data_exposure[0, 0]) == 120
    masters = [(np.ones((2, 3)), {"EXPTIME": 30.0, "EXPTOTAL": total, "NCOMBINE": 3}) for total in (60.0, 90.0)]
    assert float(xccd.open_stack(masters).ccd.combine_with_maps().data_exposure[0, 0]) == 150


def test_wrong_arguments():
    ds = clipped_stack()
    with pytest.raises(ValueError, match="maps='count' is one text: give a list"):
        ds.ccd.combine(maps="count")
    with pytest.raises(ValueError, match=r"maps: 'cout' is unknown: use .*did you mean 'count'"):
        ds.ccd.combine(maps=["cout"])
    with pytest.raises(ValueError, match="maps: 'exposure' needs EXPTIME of each frame"):
        ds.drop_vars("EXPTIME").ccd.combine(maps=["exposure"])
    with pytest.raises(TypeError, match="takes a DataArray, Dataset or DataTree, not ndarray"):
        xccd.combine_with_maps(np.ones(3))


# --- lazy, in one pass


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [((12,), (2, 2, 2), (5,)), ((5, 7), (6,), (3, 2))])
def test_lazy_stays_lazy(chunks):
    ds = clipped_stack()
    lazy = ds.chunk(dict(zip(DIMS, chunks, strict=True))).assign_coords(EXPTIME=ds.EXPTIME)
    with dask.config.set(scheduler=never):
        image = lazy.ccd.combine_with_maps("mean", weights="EXPTIME")
    assert all(hasattr(image[name].data, "dask") for name in [*image.data_vars, "data_share_rejected_low"])
    whole = ds.ccd.combine_with_maps("mean", weights="EXPTIME")
    xr.testing.assert_allclose(image.compute(), whole, rtol=1e-12)


def test_all_maps_are_made_in_one_pass(tmp_path, monkeypatch):
    from xccd.read.images.pixels import FilePixels

    paths = [tmp_path / f"{i}.fits" for i in range(5)]
    for i, path in enumerate(paths):
        fits.writeto(path, np.full((4, 3), i, "u2"), fits.Header({"EXPTIME": 10.0}))
    reads = []
    real = FilePixels.read
    monkeypatch.setattr(FilePixels, "read", lambda self, *a: reads.append(self.path) or real(self, *a))
    image = xccd.open_dataset(paths).ccd.clip_extrema(1, 1).ccd.combine_with_maps("mean")
    image.compute()
    assert len(reads) == 5
    assert image.data_share_rejected_high.values.tolist() == [0, 0, 0, 0, 1]
    assert image.file.values.tolist()[-1].endswith("4.fits")


# --- there and back


@pytest.mark.versions
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_extensions(tmp_path, lazy):
    ds = clipped_stack()
    image = (ds.chunk(y=2) if lazy else ds).assign_attrs(note="x").ccd.combine_with_maps("mean")
    path = image.ccd.to_fits(tmp_path / "out.fits")
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert {hdu.name for hdu in hdus[1:]} == {OUTPUTS[name].extname for name in ALL}
        for name in ALL:
            hdu = hdus[OUTPUTS[name].extname]
            np.testing.assert_array_equal(hdu.data, image[f"data_{name}"].values)
            assert hdu.header.get("BUNIT", "") == image[f"data_{name}"].attrs.get("units", "")
    ccd = CCDData.read(path, unit="adu")
    np.testing.assert_array_equal(ccd.mask, image.data_flags.values != 0)
    np.testing.assert_array_equal(ccd.uncertainty.array, image.data_uncertainty.values)
    back = xccd.open_dataset(path)
    np.testing.assert_array_equal(back.data_flags.squeeze() != 0, image.data_flags != 0)


@pytest.mark.versions
@pytest.mark.parametrize("engine", ["netcdf4", "zarr"])
def test_stores(tmp_path, engine):
    image = clipped_stack().ccd.combine_with_maps("mean")
    if engine == "zarr":
        image.to_zarr(tmp_path / "out.zarr", consolidated=False)
        back = xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False)
    else:
        image.to_netcdf(tmp_path / "out.nc", engine=engine)
        back = xr.open_dataset(tmp_path / "out.nc", engine=engine, mask_and_scale=False)
    for name in (*image.data_vars, "data_share_rejected_low"):
        np.testing.assert_array_equal(back[name], image[name])
        assert back[name].dtype == image[name].dtype
        assert back[name].attrs.get("units") == image[name].attrs.get("units")
    assert back.data.attrs["ancillary_variables"] == image.data.attrs["ancillary_variables"]
