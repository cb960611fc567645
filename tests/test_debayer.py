"""`debayer`: values against slow twins, flags and errors, labels and WCS, lazy arrays, what is refused."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import bayer_oracle as oracle
import xccd
from sky import tan
from xccd import warm
from xccd.compute.options import set_options
from xccd.kernels.compiled import debayer as compiled
from xccd.kernels.compiled import vng as compiled_vng
from xccd.kernels.gradients import AT_CHROMA, AT_GREEN, weights
from xccd.kernels.plain import debayer as plain
from xccd.kernels.plain import vng as plain_vng
from xccd.labels.lazy import array_of
from xccd.verbs.channels import without_channels
from xccd.verbs.debayer import METHODS

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
CHUNKS = ("auto", None, {"y": 5, "x": 4, "frame": 1}, {"y": 1, "x": 1})
REACH = {"bilinear": 1, "vng": 2}
some = settings(max_examples=25, deadline=None)


def raw(shape=(11, 14), seed=0, n=2, missing=0.0):
    rng = np.random.default_rng(seed)
    images = rng.integers(100, 4000, (n, *shape)).astype("f4")
    images[rng.random(images.shape) < missing] = np.nan
    return images


def stack_of(images, pattern="RGGB", chunks=None, **more):
    return xccd.open_stack([(image, {"BAYERPAT": pattern, **more}) for image in images], chunks=chunks)


def parity(pattern):
    k = pattern.index("R")
    return k // 2, k % 2


# Values


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("method", METHODS)
def test_values_are_those_of_the_slow_twin(method, pattern, engine) -> None:
    for missing in (0.0, 0.03, 0.6):
        images = raw(missing=missing)
        with set_options(engine=engine):
            found = stack_of(images, pattern).ccd.debayer(method).values
        for own, image in zip(found, images, strict=True):
            np.testing.assert_allclose(own, getattr(oracle, method)(image, pattern), rtol=1e-6)


@given(st.data())
@some
def test_both_engines_have_equal_bits(data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape, dtype = rng.integers(2, 13, 2), rng.choice([np.float32, np.float64])
    image = rng.choice(
        [rng.normal(100, 10, shape), rng.integers(0, 3, shape) * 1.0, 10 ** rng.uniform(-300, 300, shape)]
    )
    with np.errstate(over="ignore"):
        image = image.astype(dtype)
    image[rng.random(shape) < rng.choice([0.0, 0.1, 0.7])] = rng.choice([np.nan, np.inf, -np.inf])
    row, column = rng.integers(0, 2, 2).tolist()
    tile = np.pad(image, 2, mode="wrap")
    squares = np.abs(tile.astype(float))
    results = []
    for kernels, gradients in ((compiled, compiled_vng), (plain, plain_vng)):
        means, errors = np.empty((3, *shape), dtype), np.empty((3, *shape))
        kernels.bilinear(tile, tile, 2, row, column, False, means)
        kernels.bilinear(tile.astype(float), squares, 2, row, column, True, errors)
        sharp, chosen = means.copy(), np.full(shape, 7, np.uint8)
        gradients.vng(tile, 2, row, column, sharp, chosen)
        blocks = np.empty((3, *(shape // 2)), dtype)
        kernels.superpixel(image, image, row, column, False, blocks)
        results.append((means, errors, sharp, chosen, blocks))
    for one, other in zip(*results, strict=True):
        assert one.tobytes() == other.tobytes()


def test_kernels_write_nothing_else() -> None:
    tile, whole = np.ones((9, 10)), np.full((3, 7, 8), -1.0)
    for kernels, gradients in ((compiled, compiled_vng), (plain, plain_vng)):
        for columns in (1, 2, 5):
            out, chosen = whole[:, 1:-1, 1 : 1 + columns], np.full((5, columns), 9, np.uint8)
            kernels.bilinear(tile, tile, 2, 1, 0, False, out)
            gradients.vng(tile, 2, 1, 0, out, chosen)
            assert (out == 1).all()
            out[:] = -1
            assert (whole == -1).all()


def test_weights_of_a_choice_give_its_value() -> None:
    """What the errors of VNG are made of, beside the kernel's own sums."""
    tile = np.pad(raw((40, 50))[0].astype(float), 2, mode="reflect")
    out, chosen = np.zeros((3, 40, 50)), np.zeros((40, 50), np.uint8)
    compiled_vng.vng(tile, 2, 0, 0, out, chosen)
    assert len(np.unique(chosen)) > 100
    tables = {"R": weights(AT_CHROMA), "B": weights(AT_CHROMA), "G": weights(AT_GREEN)}
    for y, x in np.ndindex(40, 50):
        own = "RGGB"[2 * (y % 2) + x % 2]
        others = {"R": "GB", "B": "GR", "G": "RB" if y % 2 == 0 else "BR"}[own]
        values = tables[own][chosen[y, x]] @ tile[y : y + 5, x : x + 5].ravel()
        np.testing.assert_allclose(values, [out["RGB".index(c), y, x] for c in others], rtol=1e-9)
    assert np.allclose(weights(AT_GREEN)[1:].sum(-1), 1)
    assert np.allclose(weights(AT_CHROMA)[1:].sum(-1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_scene_stays_flat(method) -> None:
    level = {"R": 1234.5, "G": 77.25, "B": 0.125}
    image = np.array([[level["GRBG"[2 * (y % 2) + x % 2]] for x in range(9)] for y in range(7)])
    found = stack_of([image], "GRBG").ccd.debayer(method)
    for letter, value in level.items():
        assert (found.sel(channel=letter) == value).all()


def test_a_linear_ramp_is_exact_inside() -> None:
    y, x = np.mgrid[:20, :24].astype(float)
    ramp = 8 * x + 16 * y + 100
    for method in ("bilinear", "vng"):
        found = stack_of([ramp]).ccd.debayer(method)[0]
        np.testing.assert_allclose(found[:, 2:-2, 2:-2], np.broadcast_to(ramp, found.shape)[:, 2:-2, 2:-2], rtol=1e-6)
        if method == "bilinear":
            np.testing.assert_array_equal(found[:, 1:-1, 1:-1], np.broadcast_to(ramp, found.shape)[:, 1:-1, 1:-1])


def scene(shape=(160, 160)):
    """A made-up picture in colour: slopes, discs with edges, and one colour that follows the other."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: shape[0], : shape[1]]
    grey = 120 + 40 * np.sin(x / 37) + 30 * np.cos(y / 29)
    for _ in range(20):
        cy, cx, r = rng.uniform(0, shape[0], 3)
        grey += rng.uniform(-30, 30) / (1 + np.exp((np.hypot(y - cy, x - cx) - r / 6) / 0.5))
    return np.stack([grey, 0.85 * grey + 12, 0.7 * grey + 20])


def test_gradients_are_sharper_than_neighbours() -> None:
    rgb = scene()
    letters = np.array(list("RGGB")).reshape(2, 2)[np.ix_(np.arange(160) % 2, np.arange(160) % 2)]
    image = np.select([letters == c for c in "RGB"], rgb)

    def noise(method):  # peak signal over the mean square error, in dB
        error = stack_of([image]).ccd.debayer(method)[0].values - rgb
        return 10 * np.log10(255**2 / np.mean(error[:, 4:-4, 4:-4] ** 2))

    assert noise("bilinear") > 40
    assert noise("vng") > noise("bilinear") + 3


def star(flux=5e5, fwhm=3.2, at=(30.3, 31.6), shape=(64, 64)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    sigma = fwhm / 2.3548
    return flux / (2 * np.pi * sigma**2) * np.exp(-((x - at[1]) ** 2 + (y - at[0]) ** 2) / (2 * sigma**2))


def test_the_light_of_a_star_is_kept() -> None:
    image = star() + 100
    found = stack_of([image.astype("f8")]).ccd.debayer("superpixel")[0].astype(float) - 100
    sites = {"R": image[::2, ::2].sum(), "G": (image[::2, 1::2].sum() + image[1::2, ::2].sum()) / 2}
    for letter, light in sites.items():  # sums are those of the samples
        assert found.sel(channel=letter).sum() == pytest.approx(light - 100 * 32 * 32, rel=1e-12)
    for method, off in (("bilinear", 2e-3), ("vng", 0.08)):
        found = stack_of([image]).ccd.debayer(method)[0].astype(float) - 100
        assert abs(found.sum(("y", "x")) / 5e5 - 1).max() < off, method


# Missing samples


def test_a_missing_sample_stays_missing_in_its_own_colour_only() -> None:
    image = raw()[0]
    image[4, 6] = np.nan  # red
    for method in ("bilinear", "vng"):
        found = stack_of([image]).ccd.debayer(method)[0]
        assert np.argwhere(found.isnull().values).tolist() == [[0, 4, 6]]
    found = stack_of([image]).ccd.debayer("superpixel")[0]
    assert np.argwhere(found.isnull().values).tolist() == [[0, 2, 3]]
    image = raw()[0]
    image[4, 7] = np.inf  # green
    found = stack_of([image]).ccd.debayer("superpixel")[0]
    assert found.sel(channel="G")[2, 3] == image[5, 6]  # what is left of two
    assert found.notnull().all()


# Flags and uncertainties


def flagged(seed=3, share=0.15, chunks=None, kind="std", common=False):
    rng = np.random.default_rng(seed)
    images = raw((12, 15), seed, 3, missing=0.03)
    bits = np.where(rng.random(images.shape) < share, rng.choice([1, 4, 8], images.shape), 0).astype(np.uint8)
    errors = rng.uniform(1, 3, images.shape)
    ds = stack_of(images, "GBRG", chunks=chunks).ccd.to_dataset(uncertainty=xr.DataArray(
        {"std": errors, "var": errors**2, "ivar": errors**-2.0}[kind], dims=("frame", "y", "x"),
        attrs={"uncertainty_type": kind}))  # fmt: skip
    ds["data_flags"] = ds.data_flags | xr.DataArray(bits, dims=("frame", "y", "x"))
    ds["data_flags"].attrs = stack_of(images).ccd.to_dataset().data_flags.attrs
    if common:
        ds["data_common"] = ds.data_uncertainty * 0.5
        ds["data"].attrs["ancillary_variables"] += " data_common"
    return ds, images, bits, errors


@pytest.mark.parametrize("method", METHODS)
def test_flagged_samples_are_left_out_as_missing_ones(method) -> None:
    ds, images, bits, _ = flagged()
    found = ds.ccd.debayer(method)
    assert found.data.dims == found.data_flags.dims == found.data_uncertainty.dims == ("frame", "channel", "y", "x")
    alone = stack_of(np.where(bits == 0, images, np.nan), "GBRG").ccd.debayer(method)
    np.testing.assert_array_equal(found.ccd.to_stack().values, alone.values)
    np.testing.assert_array_equal(found.data_flags.values != 0, np.isnan(alone.values))
    out = found.data.values[(found.data_flags.values != 0) & (found.data_flags.values != 2)]
    assert np.isfinite(out).mean() > 0.8  # made of the flagged samples, as they were read


@pytest.mark.parametrize("method", ["bilinear", "vng"])
def test_a_value_has_the_flags_of_its_samples_if_none_is_good(method) -> None:
    ds, images, bits, _ = flagged(share=0.5)
    found = ds.ccd.debayer(method).data_flags.values
    frame = oracle.Frame(images[0], "GBRG")
    every = np.where(np.isnan(images[0]), bits[0] | 2, bits[0])
    for c, y, x in np.ndindex(found.shape[1:]):
        around = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        own = frame.colour(y, x) == "RGB"[c]
        near = [(y, x)] if own else [p for p in around if frame.colour(*p) == "RGB"[c]]
        flags = [int(every[p]) for p in near if 0 <= p[0] < 12 and 0 <= p[1] < 15]
        assert found[0, c, y, x] == (0 if 0 in flags else np.bitwise_or.reduce(flags))


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
@pytest.mark.parametrize("method", METHODS)
def test_errors_follow_from_the_weights(method, kind) -> None:
    """Against the slope of the value in each sample, by small steps that change no direction."""
    ds, images, bits, errors = flagged(kind=kind, common=True)
    found = ds.ccd.debayer(method)
    good = np.where(bits == 0, images, np.nan)[:1].astype("f8")
    base = stack_of(good, "GBRG").ccd.debayer(method).values
    total = np.zeros(base.shape)
    for y, x in np.argwhere(np.isfinite(good[0])):
        nudged = good.copy()
        nudged[0, y, x] += 1e-3
        slope = (stack_of(nudged, "GBRG").ccd.debayer(method).values - base) / 1e-3
        total += np.nan_to_num(slope) ** 2 * errors[0, y, x] ** 2
    is_good = np.isfinite(base[0])
    expected = {"std": np.sqrt, "var": np.array, "ivar": lambda v: 1 / v}[kind](total[0][is_good])
    np.testing.assert_allclose(found.data_uncertainty.values[0][is_good], expected, rtol=1e-4)
    if kind == "std":
        np.testing.assert_allclose(found.data_common, 0.5 * found.data_uncertainty, rtol=1e-6)
    assert found.data_uncertainty.attrs["uncertainty_type"] == kind


def test_the_error_of_a_mean_of_colours_is_that_of_many_trials() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(100, 3, (3000, 6, 6))
    for method in ("bilinear", "superpixel"):
        ds = stack_of(noise[:2]).ccd.to_dataset(uncertainty=3.0).ccd.debayer(method)
        scatter = stack_of(noise).ccd.debayer(method).std("frame").values
        np.testing.assert_allclose(ds.data_uncertainty[0], scatter, rtol=0.06)


# Labels, headers, WCS


def test_labels_and_headers() -> None:
    cards = {
        "XBAYROFF": 0,
        "YBAYROFF": 0,
        "XBINNING": 1,
        "YBINNING": 1,
        "XPIXSZ": 3.76,
        "CCDSUM": "1 1",
        "OBJECT": "M 31",
    }
    images = raw()
    stack = stack_of(images, **cards)
    found = stack.ccd.debayer()
    assert found.dims == ("frame", "channel", "y", "x")
    assert found.channel.values.tolist() == ["R", "G", "B"]
    assert found.DEBAYER.values.tolist() == ["bilinear"] * 2
    assert found.attrs["history"] == "xccd.debayer(method='bilinear', pattern='RGGB')"
    assert "BAYERPAT" not in found.attrs
    assert "BAYERPAT" in stack.attrs
    assert found.header.values.tolist() == stack.header.values.tolist()
    head = found.ccd.header(0)
    assert (head["NAXIS"], head["NAXIS3"], head["CTYPE3"], head["DEBAYER"]) == (3, 3, "RGB", "bilinear")
    assert not {"BAYERPAT", "XBAYROFF", "YBAYROFF"} & set(head)
    assert (head["XBINNING"], head["XPIXSZ"]) == (1, 3.76)
    half = stack.ccd.debayer("superpixel")
    assert half.x.values.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5]
    assert half.y.size == 5  # the last of 11 rows is left out
    assert half.attrs["XBINNING"] == 2
    for image in (half, half.ccd.combine()):
        head = image.ccd.header()
        assert (head["XBINNING"], head["YBINNING"], head["XPIXSZ"], head["CCDSUM"]) == (2, 2, 7.52, "2 2")
        assert head["DEBAYER"] == "superpixel"
    assert found[:, 1].ccd.header(0).get("CTYPE3") is None


@pytest.mark.parametrize("crop", [(slice(None), slice(None)), (slice(1, None), slice(3, None))])
@pytest.mark.parametrize("method", METHODS)
def test_the_sky_stays_where_it_was(method, crop) -> None:
    stack = stack_of(raw((40, 50)), **tan((20.3, 15.8), 20.0))[:, crop[0], crop[1]]
    found = stack.ccd.debayer(method)
    before, after = stack.ccd.wcs(0), found.ccd.wcs(0)
    step, shift = (2, 0.5) if method == "superpixel" else (1, 0.0)
    x, y = np.array([0.0, 3.0, 11.25]), np.array([5.0, 0.0, 8.5])
    np.testing.assert_allclose(
        after.wcs_pix2world(x, y, 0), before.wcs_pix2world(step * x + shift, step * y + shift, 0), rtol=0, atol=1e-10
    )


def test_labels_of_pixels_stay_while_pixels_do() -> None:
    stack = stack_of(raw()).assign_coords(ra=(("y", "x"), np.ones((11, 14))), row=("y", np.arange(11.0)))
    assert {"ra", "row"} <= set(stack.ccd.debayer().coords)
    assert not {"ra", "row"} & set(stack.ccd.debayer("superpixel").coords)
    part = stack[:, 1:, 1:].ccd.debayer()  # HISTORY has the pattern of the file, as the argument
    assert part.attrs["history"].endswith("pattern='RGGB')")


def test_errors_without_flags() -> None:
    stack = stack_of(raw(missing=0.05))
    ds = stack.ccd.to_dataset(uncertainty=2.0)
    bare = ds.drop_vars("data_flags")
    bare["data"].attrs["ancillary_variables"] = "data_uncertainty"
    found, expected = bare.ccd.debayer("vng"), ds.ccd.debayer("vng")
    good = expected.data_flags == 0
    np.testing.assert_array_equal(found.data_uncertainty.where(good), expected.data_uncertainty.where(good))


def test_a_star_has_its_place_on_the_sky() -> None:
    image = star(at=(30.3, 31.6)) + 100 + np.random.default_rng(0).normal(0, 1, (64, 64))
    stack = stack_of([image], **tan((30, 30)))
    sky = stack.ccd.wcs(0).wcs_pix2world([[31.6, 30.3]], 0)
    for method in METHODS:
        found = stack.ccd.debayer(method)
        x, y = (found[0].ccd.measure_stars()[k].values[0] for k in ("x", "y"))  # in pixel numbers of the detector
        assert (x, y) == pytest.approx((31.6, 30.3), abs=0.06)
        step, shift = (2, 0.5) if method == "superpixel" else (1, 0.0)
        at = found.ccd.wcs(0).wcs_pix2world([[(x - shift) / step, (y - shift) / step]], 0)
        np.testing.assert_allclose(at, sky, rtol=0, atol=0.1 * 1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_crop_keeps_its_colours(method) -> None:
    images = raw((20, 22))
    whole, part = (
        stack_of(images, "GRBG").ccd.debayer(method),
        stack_of(images, "GRBG")[:, 3:17, 5:18].ccd.debayer(method),
    )
    if method == "superpixel":  # blocks begin at the first pixel
        np.testing.assert_array_equal(part, stack_of(images[:, 3:17, 5:18], "GBRG").ccd.debayer(method))
        assert part.x.values[0] == 5.5
        return
    inner = slice(2, -2)
    np.testing.assert_array_equal(part[..., inner, inner], whole[..., 3:17, 5:18][..., inner, inner])


def test_the_pattern_is_that_of_the_header() -> None:
    images = raw()
    moved = stack_of(images, "RGGB", XBAYROFF=1, YBAYROFF=1).ccd.debayer()
    np.testing.assert_array_equal(moved, stack_of(images, "BGGR").ccd.debayer())
    np.testing.assert_array_equal(moved, stack_of(images, "RGGB").ccd.debayer(pattern="BGGR"))
    np.testing.assert_array_equal(
        moved, stack_of(images, "RGGB").transpose("y", "x", "frame").ccd.debayer(pattern="BGGR")
    )


def test_files_keep_their_channels(tmp_path) -> None:
    ds = stack_of(raw((12, 16), n=4), **tan((8, 6))).ccd.to_dataset(uncertainty=2.0).ccd.debayer()
    image = ds.ccd.combine("mean")
    image.ccd.to_fits(tmp_path / "colour.fits")
    with fits.open(tmp_path / "colour.fits") as hdus:
        assert hdus[0].data.shape == (3, 12, 16)
        assert (hdus[0].header["CTYPE3"], hdus[0].header["CTYPE1"]) == ("RGB", "RA---TAN")
        np.testing.assert_array_equal(hdus[0].data, image.data)
    again = xccd.open_image(tmp_path / "colour.fits")
    assert again.dims == ("channel", "y", "x")
    assert again.channel.values.tolist() == ["R", "G", "B"]
    assert again.ccd.wcs().naxis == 2
    assert xccd.open_stack([tmp_path / "colour.fits"] * 1).dims == ("frame", "channel", "y", "x")
    again.ccd.to_fits(tmp_path / "again.fits")
    assert fits.getheader(tmp_path / "again.fits")["CTYPE3"] == "RGB"
    again.sel(channel="G").ccd.to_fits(tmp_path / "green.fits")
    assert "CTYPE3" not in fits.getheader(tmp_path / "green.fits")
    plain = xccd.open_stack([(np.zeros((3, 4, 5)), {"CTYPE3": "FREQ"})])
    assert plain.dims == ("frame", "z", "y", "x")
    four = xccd.open_stack([(np.zeros((4, 4, 5)), {"CTYPE3": "RGB"})])
    assert four.dims == ("frame", "z", "y", "x")
    assert four.ccd.header(0)["CTYPE3"] == "RGB"  # as the file has it


# Lazy arrays, Datasets and trees


@pytest.mark.parametrize("method", METHODS)
def test_chunks_change_no_bit_and_nothing_is_computed_early(method, monkeypatch) -> None:
    expected = None
    for chunks in CHUNKS:
        ds, *_ = flagged(chunks=chunks, common=True)
        if chunks != "auto" and chunks is not None:
            ds = ds.chunk(chunks)
        found = ds.ccd.debayer(method)
        lazy = type(array_of(found.data)).__name__
        assert lazy != "ndarray"
        arrays = [found[name].values for name in ("data", "data_flags", "data_uncertainty", "data_common")]
        expected = arrays if expected is None else expected
        for one, other in zip(arrays, expected, strict=True):
            assert one.tobytes() == other.tobytes()
    with set_options(threads=3):
        again = flagged(common=True)[0].load().ccd.debayer(method)
    assert again.data.values.tobytes() == expected[0].tobytes()


def test_the_whole_chain_stays_lazy() -> None:
    stack = stack_of(raw((30, 32), n=7), chunks={"y": 8})
    image = stack.ccd.debayer("vng").ccd.sigma_clip(2, 2).ccd.combine()
    assert image.dims == ("channel", "y", "x")
    assert type(image.data).__module__.startswith("dask")
    expected = stack.load().ccd.debayer("vng").ccd.sigma_clip(2, 2).ccd.combine()
    np.testing.assert_array_equal(image, expected)
    deferred = stack_of(raw((30, 32), n=7)).ccd.debayer("vng")
    np.testing.assert_array_equal(deferred[:, :, 3:9, 5:11], stack.load().ccd.debayer("vng")[:, :, 3:9, 5:11])
    np.testing.assert_array_equal(deferred.ccd.sigma_clip(2, 2).ccd.combine(), expected)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_the_mean_of_channels_is_lazy_and_has_no_colour_of_what_is_missing(chunks) -> None:
    images = raw((12, 14))
    images[0, 4, 6] = np.nan  # red
    colours = stack_of(images, chunks=chunks).ccd.debayer()
    mean = without_channels(colours)
    assert type(array_of(mean)).__name__ != "ndarray"
    assert mean.dims == ("frame", "y", "x")
    assert np.argwhere(mean.isnull().values).tolist() == [[0, 4, 6]]
    np.testing.assert_allclose(mean, colours.mean("channel", skipna=False), rtol=1e-6)
    flagged_mean = without_channels(colours.ccd.to_dataset().data)
    np.testing.assert_array_equal(flagged_mean, mean)
    np.testing.assert_array_equal(without_channels(colours[0]), mean[0])
    assert without_channels(mean) is mean


def test_warm_up_knows_all_methods(monkeypatch) -> None:
    seen = []
    for name in ("values_of", "variances_of"):
        monkeypatch.setattr(warm, name, lambda x, *rest, name=name: seen.append((name, rest[-1].method)))
    for name in ("_run_chain", "_run_maps", "_resample"):
        monkeypatch.setattr(warm, name, lambda *some: None)
    xccd.warm_up(["float32"])
    assert set(seen) == {(name, method) for name in ("values_of", "variances_of") for method in METHODS}


def test_integers_are_samples_too() -> None:
    images = raw().astype("u2")
    stack = xccd.open_stack([(image, {"BAYERPAT": "RGGB"}) for image in images], dtype="native")
    for method in METHODS:
        found = stack.ccd.debayer(method)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, stack.astype("f4").ccd.debayer(method))


def test_nodes_of_a_tree_with_lights() -> None:
    kinds = ("Bias Frame", "Light Frame")
    tree = xr.DataTree.from_dict({
        kind: stack_of(raw(), IMAGETYP=kind).to_dataset(name="data") for kind in kinds
    })  # fmt: skip
    found = tree.ccd.debayer()
    assert found["Bias Frame"]["data"].dims == ("frame", "y", "x")
    assert found["Light Frame"]["data"].dims == ("frame", "channel", "y", "x")


def test_other_variables_of_a_dataset_stay() -> None:
    ds = stack_of(raw()).to_dataset(name="data").assign(seeing=("frame", [1.0, 2.0]), site="here")
    found = ds.ccd.debayer("superpixel")
    assert found.seeing.values.tolist() == [1.0, 2.0]
    assert found.site.item() == "here"


# What is refused

STACK = stack_of(raw())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: STACK.ccd.debayer("VNG"), ValueError, "method='VNG' is unknown: use one of bilinear, superp"),
        (lambda: STACK.ccd.debayer(3), ValueError, "method=3 is unknown"),
        (lambda: STACK.ccd.debayer(pattern="RGBG"), ValueError, "pattern='RGBG' is unknown: use one of RGGB"),
        (lambda: xccd.debayer([1, 2]), TypeError, "debayer takes a DataArray, a Dataset or a DataTree, not a list"),
        (lambda: STACK.ccd.debayer("RGGB"), ValueError, "unknown: .*; a pattern is given as pattern='RGGB'"),
        (lambda: STACK[0].ccd.debayer(), ValueError, "this is one image: open its file with open_stack"),
        (lambda: STACK[0, 0].ccd.debayer(), ValueError, "has no dimension 'frame'"),
        (lambda: STACK.ccd.debayer().ccd.debayer(), ValueError, r"have colours already, .*: debayer takes raw frames"),
        (lambda: STACK.ccd.debayer()[:, 0].ccd.debayer(), ValueError, "have colours already, DEBAYER says how"),
        (lambda: STACK.ccd.debayer()[:, 0].ccd.bayer_planes("RGGB"), ValueError, "have colours already"),
        (lambda: STACK[:, ::2].ccd.debayer(), ValueError, r"'y' runs \[0, 2, 4\]...: debayer needs all pixels"),
        (lambda: STACK[:, :, ::-1].ccd.debayer(), ValueError, r"coordinate 'x' runs \[13, 12, 11\]"),
        (lambda: STACK[:, :1].ccd.debayer(), ValueError, "debayer needs 2 x 2 pixels or more"),
        (lambda: xccd.open_stack([(np.ones((3, 4, 4)), {})]).ccd.debayer(), ValueError, "debayer takes frames "),
        (lambda: xccd.open_stack([(np.ones((4, 4)), {})]).ccd.debayer(), ValueError, "has no BAYERPAT: give pattern="),
        (
            lambda: xccd.open_stack([(np.ones((4, 4)), {"BAYERPAT": "RGGB", "CCDSUM": "2 2"})]).ccd.debayer(),
            ValueError,
            "is binned 2x2 and has BAYERPAT = 'RGGB': pixels of several colours may be in one sample. .* give pattern=",
        ),
        (lambda: stack_of(np.ones((1, 4, 4)), "TRUE").ccd.debayer(), ValueError, "BAYERPAT = 'TRUE', which is none"),
        (lambda: stack_of(raw((4, 4)), ROWORDER="BOTTOM-UP").ccd.debayer(), ValueError, "programs disagree whether"),
        (lambda: stack_of(raw((30, 30)), **tan((9, 9))).ccd.align(0, offsets=[[0, 0], [1.5, 1]]).ccd.debayer(),
         ValueError, "these frames are aligned"),
        (lambda: STACK.to_dataset(name="data").assign(dark=(("y", "x"), np.zeros((11, 14)))).ccd.debayer(), ValueError,
         r"debayer does not know what 'dark' of this Dataset is: drop_vars\('dark'\)"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
