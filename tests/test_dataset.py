"""`open_dataset`: what files say of their pixels becomes flags, and the data stay as they are stored."""

import warnings

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, UnknownUncertainty, VarianceUncertainty

import xccd
from fits_files import raw, write
from xccd.read.images import pixels

SHAPE = (6, 5)


def numbers(seed, dtype="uint16"):
    return np.random.default_rng(seed).integers(90, 110, SHAPE).astype(dtype)


def extensions(path, image, *more):
    """A file with an image and named extensions: (name, array, cards)."""
    hdus = [fits.PrimaryHDU(image)]
    for name, array, cards in more:
        hdus.append(fits.ImageHDU(array, name=name))
        hdus[-1].header.update(cards)
    fits.HDUList(hdus).writeto(path)
    return path


def assert_same_stack(files, **options):
    """The two forms of the same files, as one; the Dataset."""
    ds = xccd.open_dataset(files, **options)
    stack = xccd.open_stack(files, **{k: v for k, v in options.items() if k != "uncertainty_hdu"})
    xr.testing.assert_identical(ds.ccd.to_stack().compute(), stack.compute())
    assert ds.ccd.to_stack().dtype == stack.dtype
    return ds


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"])
@pytest.mark.parametrize("chunks", ["auto", None, {"frame": 1, "y": 4}], ids=["bands", "numpy", "by-frame"])
def test_plain_files(tmp_path, dtype, chunks):
    files = [write(tmp_path / f"{i}.fits", numbers(i, dtype)) for i in range(3)]
    ds = assert_same_stack(files, chunks=chunks)
    assert ds.data.dtype == dtype
    assert ds.data_flags.dtype == np.uint8
    assert not ds.data_flags.values.any()
    assert set(ds.data_vars) == {"data", "data_flags"}
    assert chunks is None or ds.chunks == ds.data.chunksizes  # both are cut alike
    images = [obj.ccd.clip_extrema(1, 0).ccd.combine("mean") for obj in (ds, xccd.open_stack(files))]
    np.testing.assert_array_equal(images[0].data.values, images[1].values)
    assert images[0].data.dtype == images[1].dtype


def test_what_is_not_finite_has_flag_2(tmp_path):
    image = numbers(1, "float32")
    image[0, :3] = np.nan, np.inf, -np.inf
    ds = xccd.open_dataset(write(tmp_path / "a.fits", image))
    assert ds.data_flags.values[0, 0].tolist() == [2, 2, 2, 0, 0]
    np.testing.assert_array_equal(ds.data.values[0], image)  # also the infinite ones


@pytest.mark.parametrize(("lines", "dtype", "value"), [
    (["BLANK   =                   -1"], "int16", -1),
    (["BLANK   =                   -1", "BZERO   =                32768"], "uint16", 32767),
    (["BLANK   =                   -1", "BSCALE  =                  0.5"], "float32", np.nan),
])  # fmt: skip
def test_blank_is_masked_on_input(tmp_path, lines, dtype, value):
    stored = np.arange(6, dtype="i2").reshape(2, 3)
    stored[0, 1] = -1
    files = [raw(tmp_path / "a.fits", stored, *lines), raw(tmp_path / "b.fits", stored + 9, *lines)]
    ds = assert_same_stack(files)
    assert ds.data.dtype == dtype
    flag = 1 if dtype == "float32" else 3  # a number in the data, that stands for no value
    assert ds.data_flags.values.tolist() == [[[0, flag, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    np.testing.assert_equal(ds.data.values[0, 0, 1], np.dtype(dtype).type(value))


def test_a_blank_of_one_file_is_a_number_in_another(tmp_path):
    stored = np.array([[7, 8]], "i2")
    files = [raw(tmp_path / "a.fits", stored, "BLANK   =                    7"), raw(tmp_path / "b.fits", stored)]
    assert assert_same_stack(files).data_flags.values.tolist() == [[[3, 0]], [[0, 0]]]


def test_files_that_differ_in_dtype_are_floats(tmp_path):
    files = [write(tmp_path / "a.fits", numbers(1, "uint16")), write(tmp_path / "b.fits", numbers(2, "int16"))]
    assert assert_same_stack(files).data.dtype == np.float32


@pytest.mark.parametrize("name", ["MASK", "DQ"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_a_mask_by_either_name(tmp_path, name, dtype):
    mask = np.zeros(SHAPE, dtype)
    mask[1, 2] = np.iinfo(dtype).max // 2 + 1  # of 16 bits the low byte is 0
    files = [extensions(tmp_path / "a.fits", numbers(1), (name, mask, {})), write(tmp_path / "b.fits", numbers(2))]
    ds = xccd.open_dataset(files)
    assert np.argwhere(ds.data_flags.values).tolist() == [[0, 1, 2]]
    assert ds.data_flags.values.max() == 1
    assert ds.data.dtype == np.uint16
    assert not xccd.open_dataset(files, mask_hdu=None).data_flags.values.any()
    assert_same_stack(files)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("name", "cards", "kind"),
    [
        ("UNCERT", {"UTYPE": "StdDevUncertainty"}, "std"),
        ("UNCERT", {"UTYPE": "VarianceUncertainty"}, "var"),
        ("UNCERT", {"UTYPE": "InverseVariance"}, "ivar"),
        ("UNCERT", {}, "std"),
        ("ERR", {}, "std"),
        ("VAR", {}, "var"),
    ],
)
@pytest.mark.parametrize("chunks", ["auto", None])
def test_uncertainties_and_their_type(tmp_path, name, cards, kind, chunks):
    error = np.random.default_rng(3).random(SHAPE).astype("float32")
    files = [
        extensions(tmp_path / "a.fits", numbers(1), (name, error, cards)),
        write(tmp_path / "b.fits", numbers(2)),
    ]
    ds = assert_same_stack(files, chunks=chunks)
    assert ds.data_uncertainty.attrs["uncertainty_type"] == kind
    assert ds.data.attrs["ancillary_variables"] == "data_flags data_uncertainty"
    np.testing.assert_array_equal(ds.data_uncertainty.values, [error, np.full(SHAPE, np.nan)])
    assert ds.data_uncertainty.dtype == np.float32
    assert "data_uncertainty" not in xccd.open_dataset(files, uncertainty_hdu=None)


def test_the_companion_has_the_version_of_the_image(tmp_path):
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for version in (1, 2):
        hdus.append(fits.ImageHDU(np.full(SHAPE, version, "float32"), name="SCI", ver=version))
    for version in (1, 2):
        hdus.append(fits.ImageHDU(np.full(SHAPE, version / 10, "float32"), name="ERR", ver=version))
    hdus.writeto(tmp_path / "a.fits")
    ds = xccd.open_dataset(tmp_path / "a.fits", hdu=2)
    assert (ds.data.values == 2).all()
    assert (ds.data_uncertainty.values == np.float32(0.2)).all()


def test_types_that_differ(tmp_path):
    error = np.ones(SHAPE, "float32")
    files = [extensions(tmp_path / f"{name}.fits", numbers(1), (name, error, {})) for name in ("ERR", "VAR")]
    with pytest.raises(ValueError, match="uncertainties of types std, var: open one type"):
        xccd.open_dataset(files)


@pytest.mark.parametrize(("argument", "name"), [("mask", "MASK"), ("uncertainty", "UNCERT")])
def test_maps_of_another_shape(tmp_path, argument, name):
    path = extensions(tmp_path / "a.fits", numbers(1), (name, np.ones((2, 2), "uint8"), {}))
    with pytest.raises(ValueError, match=rf"a\.fits: its {argument} has shape \(2, 2\), the image \(6, 5\)"):
        xccd.open_dataset(path)
    table = fits.BinTableHDU.from_columns([fits.Column("A", "E", array=np.ones(2))], name="FRAMES")
    fits.HDUList([fits.PrimaryHDU(numbers(1)), table]).writeto(tmp_path / "t.fits")
    with pytest.raises(OSError, match=r"uncertainty_hdu='FRAMES' is not an image, but"):
        xccd.open_dataset(tmp_path / "t.fits", uncertainty_hdu="FRAMES")
    with pytest.raises(TypeError, match=r"uncertainty_hdu=1\.5 is neither"):
        xccd.open_dataset(path, uncertainty_hdu=1.5)


@pytest.mark.versions
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_ccddata(kind):
    mask = np.zeros(SHAPE, bool)
    mask[2, 2] = True
    flags = np.zeros(SHAPE, np.uint8)
    flags[3, 3] = 32
    ccd = CCDData(numbers(1, "float32"), unit="adu", mask=mask, uncertainty=kind(np.full(SHAPE, 2.0)), flags=flags)
    ds = xccd.open_dataset([ccd, ccd])
    assert np.argwhere(ds.data_flags.values[0]).tolist() == [[2, 2], [3, 3]]
    assert sorted(set(ds.data_flags.values.ravel().tolist())) == [0, 1, 32]
    assert ds.data_uncertainty.attrs["uncertainty_type"] == ccd.uncertainty.uncertainty_type
    assert (ds.data_uncertainty.values == 2).all()
    assert ds.data.attrs["units"] == "adu"


def test_ccddata_of_an_uncertainty_that_has_no_place_here():
    ccd = CCDData(numbers(1, "float32"), unit="adu", uncertainty=UnknownUncertainty(np.ones(SHAPE)))
    with pytest.raises(ValueError, match=r"uncertainty is 'unknown': std, var, ivar are known, .*uncertainty_hdu=None"):
        xccd.open_dataset(ccd)
    assert set(xccd.open_dataset(ccd, uncertainty_hdu=None).data_vars) == {"data", "data_flags"}
    assert xccd.open_stack(ccd).shape == (1, *SHAPE)


@pytest.mark.versions
def test_hdulist_and_masked_array():
    mask = np.zeros(SHAPE, bool)
    mask[0, 0] = True
    hdus = fits.HDUList([fits.PrimaryHDU(numbers(1)), fits.ImageHDU(mask.astype("uint8"), name="DQ")])
    masked = (np.ma.array(numbers(1), mask=mask), {})
    for item in (hdus, masked):
        ds = xccd.open_dataset([item])
        assert np.argwhere(ds.data_flags.values[0]).tolist() == [[0, 0]]
        assert ds.data.dtype == np.uint16


@pytest.mark.versions
def test_nothing_is_read_until_it_is_computed_and_then_once(tmp_path, monkeypatch):
    image = numbers(1, "float32")
    image[0, 0] = np.nan
    files = [write(tmp_path / f"{i}.fits", image) for i in range(4)]
    reads = []
    real = pixels.FilePixels.read
    monkeypatch.setattr(pixels.FilePixels, "read", lambda self, *a: reads.append(self.path) or real(self, *a))
    ds = xccd.open_dataset(files)
    image = ds.ccd.clip_extrema(1, 0).ccd.combine("median")
    assert not reads
    image.compute()
    assert len(reads) == 4  # one band: each file once, for image, count and uncertainty
    reads.clear()
    ds.compute()
    assert len(reads) == 4


def test_bands_within_a_limit_are_those_of_the_data(tmp_path):
    mask = np.zeros((400, 300), "uint8")
    big = np.zeros((400, 300), "uint16")
    files = [extensions(tmp_path / f"{i}.fits", big, ("MASK", mask, {}), ("ERR", big, {})) for i in range(3)]
    with xccd.set_options(threads=1):
        ds = xccd.open_dataset(files, memory="17.5 MB")
    assert len(ds.chunks["y"]) > 1
    assert ds.data.chunks == ds.data_flags.chunks == ds.data_uncertainty.chunks


@pytest.mark.versions
@pytest.mark.parametrize("store", ["netcdf", "zarr"])
def test_round_trips(tmp_path, store):
    mask = np.zeros(SHAPE, "uint8")
    mask[1, 2] = 1
    error = np.ones(SHAPE, "float32")
    more = (("MASK", mask, {}), ("UNCERT", error, {"UTYPE": "VarianceUncertainty"}))
    files = [extensions(tmp_path / f"{i}.fits", numbers(i), *more) for i in range(5)]
    ds = xccd.open_dataset(files).ccd.sigma_clip(1, 1)
    target = tmp_path / "stage"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr 3 of strings of variable length
        if store == "netcdf":
            ds.to_netcdf(target)
            back = xr.open_dataset(target, chunks={})
        else:
            ds.to_zarr(target)
            back = xr.open_zarr(target)
    assert back.data.dtype == np.uint16
    np.testing.assert_array_equal(back.data_flags.values, ds.data_flags.values)
    images = [obj.ccd.combine("mean").compute() for obj in (ds, back)]
    for name in ("data", "data_count", "data_uncertainty"):
        np.testing.assert_array_equal(images[0][name].values, images[1][name].values)
    assert images[0].data.attrs == images[1].data.attrs
    back.close()


@pytest.mark.filterwarnings(
    "ignore:combine. the frames differ in:UserWarning"
)  # the forms are compared, not the frames
def test_real_frames_in_both_forms(real_frames):
    folders = [p for p in sorted(real_frames.rglob("*")) if p.is_dir() and len(list(p.glob("*.fit*"))) > 2]
    assert folders
    done = 0
    for folder in folders:
        try:
            stack = xccd.open_stack(sorted(folder.glob("*.fit*")))
        except (ValueError, OSError):  # several shapes, or no FITS images
            continue
        done += 1
        files = stack.file.values.tolist()
        ds, rows = assert_same_stack(files), slice(100, 200)  # of all pixels the forms are one; these are clipped
        clips = [obj.isel(y=rows).ccd.sigma_clip(2, 2, center="median", deviation="mad_std") for obj in (ds, stack)]
        for method in ("mean", "median"):
            images = [obj.ccd.combine(method) for obj in clips]
            np.testing.assert_array_equal(images[0].data.values, images[1].values)
            np.testing.assert_array_equal(images[0].data_count.values, clips[1].ccd.count().values)
    assert done
