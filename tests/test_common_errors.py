"""The part of the errors that all frames share: in products, in products of products, and after `align`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from test_propagation import SIZE, assert_claimed, dataset, with_common

MAPS = ["uncertainty", "common", "flags"]
SIGMA, COMMON = np.array([1.2, 1.1, 1.3, 1.2, 1.15, 1.25]), 0.6


def night(master: Any, seed: int, common: Any = COMMON) -> xr.Dataset:
    """Frames from which this master was taken, which is wrong by ``common`` times its normal numbers."""
    rng, common = np.random.default_rng(seed), np.broadcast_to(common, SIGMA.shape)
    own = np.sqrt(SIGMA**2 - common**2)
    values = rng.normal(0, 1, (SIGMA.size, *SIZE)) * own[:, None, None] + master * common[:, None, None]
    return with_common(dataset(values.astype("f4"), SIGMA), common)


def again(products: list[xr.Dataset], folder: Path | None) -> xr.Dataset:
    """Products as frames: in memory, or through files."""
    if folder is not None:
        return xccd.open_dataset([p.ccd.to_fits(folder / f"{i}.fits") for i, p in enumerate(products)])
    return xr.concat(products, "frame", coords="all", compat="equals", join="exact")


@pytest.mark.parametrize("files", [False, True], ids=["memory", "files"])
@pytest.mark.parametrize("method", ["mean", "median", "ivar"])
def test_a_mean_of_two_products_with_one_master(tmp_path: Path, method: str, files: bool) -> None:
    master = np.random.default_rng(1).normal(0, 1, SIZE)
    products = [night(master, seed).ccd.combine(method, maps=MAPS) for seed in (2, 3)]
    for one in products:
        assert_claimed(one)
        np.testing.assert_allclose(one.data_common, COMMON, rtol=1e-6)
    stack = again(products, tmp_path if files else None)
    image = stack.ccd.combine()
    assert_claimed(image)
    np.testing.assert_allclose(image.data_common, COMMON, rtol=1e-6)
    forgotten = stack.drop_vars("data_common").ccd.combine()
    assert float(forgotten.data_uncertainty.mean()) < 0.9 * float(image.data_uncertainty.mean())


def test_it_goes_to_a_file_and_back(tmp_path: Path) -> None:
    image = night(0.0, 1, np.linspace(0.1, 0.6, 6)).isel(y=slice(4), x=slice(5)).ccd.combine()
    path = image.ccd.to_fits(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        assert hdus["COMMON"].header["UTYPE"] == "StdDevUncertainty"
    back = xccd.open_dataset(path)
    assert back.data_common.attrs["uncertainty_type"] == "std"
    assert "data_common" in back.data.attrs["ancillary_variables"].split()
    np.testing.assert_array_equal(back.data_common.squeeze(), image.data_common)
    assert "data_common" not in xccd.open_dataset(path, uncertainty_hdu=None)
    assert xccd.open_stack(path, hdu="all").sizes["frame"] == 1  # it is no image of its own
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(xccd.open_dataset(hdus).data_common.squeeze(), image.data_common)


def test_an_extension_of_that_name_is_not_guessed(tmp_path: Path) -> None:
    image = night(0.0, 1).isel(y=slice(4), x=slice(5)).ccd.combine()
    for utype in (None, "VarianceUncertainty"):
        path = image.ccd.to_fits(tmp_path / f"{utype}.fits")
        with fits.open(path, mode="update") as hdus:
            hdus["COMMON"].header["UTYPE"] = utype
        assert "data_common" not in xccd.open_dataset(path)


def test_a_product_without_it_shares_nothing(tmp_path: Path) -> None:
    small = night(0.0, 1).isel(y=slice(4), x=slice(5))
    products = [small.ccd.combine(maps=MAPS), small.drop_vars("data_common").ccd.combine()]
    stack = again(products, tmp_path)
    np.testing.assert_allclose(stack.data_common[:, 0, 0], [COMMON, 0], rtol=1e-6)


def test_a_file_upside_down(tmp_path: Path) -> None:
    small = night(0.0, 1).isel(y=slice(4), x=slice(5))
    rows = small.assign(data_common=small.data_common + 0.01 * xr.DataArray(np.arange(4), dims="y"))
    path = rows.ccd.combine().ccd.to_fits(tmp_path / "a.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["ROWORDER"] = "TOP-DOWN"
    as_stored, turned = (xccd.open_dataset(path, flip=flip).data_common.values for flip in (False, "BOTTOM-UP"))
    np.testing.assert_array_equal(turned, as_stored[:, ::-1])


@pytest.mark.parametrize("method", ["mean", "median", "sum", "ivar"])
@pytest.mark.parametrize("weights", [None, [1, 2, 3, 0, 1, 2]])
def test_it_is_the_weighted_mean_of_the_samples_in_use(method: str, weights: Any) -> None:
    if method == "ivar" and weights is not None:
        return
    common = np.linspace(0.1, 0.6, 6)
    ds = night(0.0, 1, common).isel(y=slice(4), x=slice(5))
    ds.data_flags[2, 0, 0] = 1
    w = (1 / SIGMA**2 if method == "ivar" else np.ones(6) if weights is None else np.array(weights))[:, None, None]
    w = w * (ds.data_flags.values == 0)
    shared = (w * common[:, None, None]).sum(0)
    expected = shared if method == "sum" else shared / w.sum(0)
    for one in (ds, ds.chunk(frame=2), ds.chunk(y=2)):
        image = one.ccd.combine(method, weights=weights)
        np.testing.assert_allclose(image.data_common, expected, rtol=1e-6)
        assert (image.data_common < image.data_uncertainty).all()
        assert image.data_common.attrs["long_name"] == "part of the standard error that all frames share"


def test_a_sum_that_is_scaled_up() -> None:
    ds = night(0.0, 1).isel(y=slice(1), x=slice(2))
    ds.data_flags[:3, 0, 0] = 1
    image = ds.ccd.combine("sum", rescale=True)
    np.testing.assert_allclose(image.data_common, 6 * COMMON, rtol=1e-6)


def test_a_scatter_does_not_have_it() -> None:
    ds = night(0.0, 1).isel(y=slice(4), x=slice(5))
    assert "data_common" not in ds.ccd.combine(uncertainty="scatter")
    assert "data_common" not in ds.ccd.combine_with_maps(uncertainty="scatter")
    assert "data_common" in ds.ccd.combine_with_maps(uncertainty="larger")
    assert set(ds.ccd.combine(maps=["common"]).data_vars) == {"data", "data_common"}
    np.testing.assert_allclose(ds.ccd.combine(maps=["common"]).data_common, COMMON, rtol=1e-6)
    for one, way in ((ds, "scatter"), (ds.drop_vars("data_common"), "propagate")):
        with pytest.raises(ValueError, match="maps: 'common' needs the variable 'data_common' and an uncertainty that"):
            one.ccd.combine(maps=["uncertainty", "common"], uncertainty=way)


def test_both_engines_have_the_same_bits() -> None:
    ds = night(0.0, 1, np.linspace(0.1, 0.6, 6)).isel(y=slice(20), x=slice(30))
    found = []
    for engine in xccd.compute.options.ENGINES:
        with xccd.set_options(engine=engine):
            found.append(ds.ccd.combine("mean", weights=np.arange(6.0), dtype="float64").data_common.values)
    np.testing.assert_array_equal(*found)


def test_lazy_stays_lazy() -> None:
    ds = night(0.0, 1).isel(y=slice(4), x=slice(5)).chunk(y=2)

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("computed early")

    with dask.config.set(scheduler=never):
        image = ds.ccd.combine()
    assert image.data_common.chunks == ((2, 2), (5,))


# --- after align


def aligned(shifts: Any, common: float = 0.5, own: float = 0.3, **options: Any) -> xr.Dataset:
    """Frames of one master, moved by these offsets; only pixels that all of them reach."""
    rng = np.random.default_rng(len(shifts))
    values = rng.normal(0, own, (len(shifts), *SIZE)) + rng.normal(0, common, SIZE)
    ds = with_common(dataset(values.astype("f4"), np.full(len(shifts), np.hypot(common, own))), common)
    moved = ds.ccd.align(offsets=shifts, **options)
    return moved.isel(y=slice(25, 180), x=slice(25, 280))


APART = [(i % 3 * 2, i // 3 * 2) for i in range(9)]
DRIFT = [(0.3 * i, 0.1 * i) for i in range(20)]
DITHERS = np.random.default_rng(0).uniform(-1, 1, (9, 2))


@pytest.mark.parametrize(
    ("shifts", "within", "share"),
    [
        ([(0.3, 0.4)] * 5, 0.02, 1), (APART, 0.02, 0), ([(0, 0), (1, 0)], 0.02, 0), ([(0, 0), (0.5, 0.5)], 0.02, 0.5),
        ([(0, 0)] * 5 + [(7, 3)] * 4, 0.02, 4 / 9), (DRIFT, 0.05, None), (DITHERS, 0.05, None),
    ],
)  # fmt: skip
def test_frames_share_what_the_same_pixels_of_the_detector_gave(shifts: Any, within: float, share: Any) -> None:
    ds = aligned(shifts)
    assert_claimed(ds.ccd.combine(), within)
    if share is not None:
        assert ds.data_common.attrs["share_after_align"] == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("options", [{"order": "nearest"}, {"order": "lanczos3"}, {"method": "drizzle"}], ids=str)
def test_other_ways_to_resample(options: Any) -> None:
    assert_claimed(aligned(DITHERS, **options).ccd.combine(), 0.06)


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_it_is_resampled_as_the_errors_are(kind: str, lazy: bool) -> None:
    ds = night(0.0, 1).isel(y=slice(20), x=slice(30))
    power = {"std": 1, "var": 2, "ivar": -2}[kind]
    maps = {k: (ds[k] ** power).assign_attrs(uncertainty_type=kind) for k in ("data_uncertainty", "data_common")}
    ds = ds.assign(maps).chunk(y=5) if lazy else ds.assign(maps)
    shifts = [(0.25 * i, 0.0) for i in range(6)]
    moved = ds.ccd.align(offsets=shifts)
    assert lazy == (moved.data_common.chunks is not None)
    part = moved.data_common.attrs["share_after_align"]
    ratio = moved.data_common ** (1 / power) / moved.data_uncertainty ** (1 / power)
    expected = np.sqrt(part) * COMMON / SIGMA[:, None, None] + 0 * moved.data
    np.testing.assert_allclose(ratio, expected, rtol=1e-3)
    assert moved.data_common.attrs["uncertainty_type"] == kind


def test_a_crop_is_on_the_same_detector() -> None:
    """Frames of two stacks: what counts are pixels of the detector, not of the arrays."""
    ds = with_common(dataset(np.zeros((1, 20, 30), "f4"), [1.0]), 0.5)
    ds = ds.assign_coords(y=np.arange(20), x=np.arange(30))
    for start, share in ((4, 1), (0, 0)):
        other = ds.isel(y=slice(start, start + 16))
        moved = xccd.align([ds, other], offsets=[(0, 0), (4, 0)])
        assert moved.data_common.attrs["share_after_align"] == share
    with pytest.raises(ValueError, match="some of these stacks have data_common and others do not"):
        xccd.align([ds, ds.drop_vars("data_common")], offsets=[(0, 0), (4, 0)])


def test_frames_that_do_not_overlap_are_not_compared() -> None:
    """Two fields side by side, three frames each: within a field all is shared."""
    ds = with_common(dataset(np.zeros((6, 20, 30), "f4"), np.ones(6)), 0.5)
    moved = ds.ccd.align(offsets=[(0, 0)] * 3 + [(0, 40)] * 3)
    assert moved.data_common.attrs["share_after_align"] == 1


def test_turned_frames_share_little() -> None:
    """About the centre of the turn the pixels are the same."""
    ds = with_common(dataset(np.zeros((2, *SIZE), "f4"), np.ones(2)), 0.5)
    half = np.array([[[1.0, 0, 0], [0, 1, 0]], [[-1.0, 0, SIZE[1]], [0, -1, SIZE[0]]]])
    assert ds.ccd.align(transforms=half).data_common.attrs["share_after_align"] < 0.05
    tilted = np.array([[[1.0, 0, 0], [0, 1, 0]], [[1.0, 1e-4, 0], [-1e-4, 1, 0]]])
    assert ds.ccd.align(transforms=tilted).data_common.attrs["share_after_align"] > 0.9
