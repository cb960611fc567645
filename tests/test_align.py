"""`align`: frames on one grid."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from reproject import reproject_adaptive, reproject_exact, reproject_interp
from scipy.ndimage import map_coordinates

import xccd
from sky import exact, noise, sip, stack_of, tan, tpv, turned
from xccd.read.reader import StackReader
from xccd.sky import gather
from xccd.sky.grid import Grid, grids_of

some = settings(max_examples=12, deadline=None)


@pytest.mark.parametrize("kind", [tan, sip, tpv])
@pytest.mark.parametrize("order", ["bilinear", "nearest"])
def test_pixels_are_those_of_the_exact_positions(kind, order):
    images = noise(3, (60, 80))
    stack = stack_of(images, [kind((40 + 3.3 * i, 30 - 2.2 * i), 11.0 * i) for i in range(3)])
    aligned = stack.ccd.align(0, order=order)
    assert aligned.dims == ("frame", "y", "x")
    assert (aligned.align_error < 1e-3).all()
    for i in range(3):
        x, y = exact(stack, Grid.of(stack[0]), i)
        inside = (x > 0) & (x < 79) & (y > 0) & (y < 59)
        assert inside.sum() > 1000
        expected = map_coordinates(images[i], [y, x], order=order == "bilinear")
        found = aligned[i].values
        away = np.abs(x % 1 - 0.5) + np.abs(y % 1 - 0.5) > (0.02 if order == "nearest" else -1)
        np.testing.assert_allclose(found[inside & away], expected[inside & away], atol=1e-4 * np.ptp(images))


@pytest.mark.versions
@pytest.mark.parametrize("kind", [tan, sip])
def test_as_reproject(kind):
    images = noise(2, (60, 80))
    heads = [kind((40, 30)), kind((44.4, 25.3), 140)]
    grid = Grid.of(heads[0], shape=(60, 80))
    found = stack_of(images, heads).ccd.align(grid)[1].values
    theirs, _ = reproject_interp((images[1], fits.Header(heads[1])), grid.wcs, shape_out=grid.shape)
    both = np.isfinite(found) & np.isfinite(theirs)
    assert both.sum() > 0.98 * np.isfinite(theirs).sum()
    np.testing.assert_allclose(found[both], theirs[both], atol=1e-4 * np.ptp(images))


@pytest.mark.versions(method=("exact",))  # the next test has both
@pytest.mark.parametrize(
    ("method", "theirs", "within"), [("adaptive", reproject_adaptive, 1e-9), ("exact", reproject_exact, 1e-6)]
)
def test_methods_of_reproject(method, theirs, within):
    stack = turned(4, (300, 70))  # more than one band
    grid = Grid.union(stack)
    found = stack.ccd.align(method=method)
    for i in range(4):
        options = {} if method == "exact" else {"boundary_mode": "ignore", "bad_value_mode": "ignore"}
        expected, share = theirs((stack[i].values, stack.ccd.wcs(i)), grid.wcs, shape_out=grid.shape, **options)
        expected[share < (0.499999 if method == "exact" else 0)] = np.nan
        if method == "adaptive":  # theirs paints up to three pixels beyond the frame
            x, y = Grid.of(stack[i]).wcs.world_to_pixel(grid.wcs.pixel_to_world(*np.indices(grid.shape)[::-1]))
            expected[(x < -0.50001) | (x >= 69.49999) | (y < -0.50001) | (y >= 299.49999)] = np.nan
        both = np.isfinite(found[i].values) & np.isfinite(expected)
        assert both.sum() > 0.995 * max(np.isfinite(found[i]).sum(), np.isfinite(expected).sum())
        np.testing.assert_allclose(found[i].values[both], expected[both], rtol=within)
    np.testing.assert_array_equal(stack.load().ccd.align(method=method), found)
    np.testing.assert_array_equal(turned(4, (300, 70), chunks=None).ccd.align(method=method)[:, 7:40], found[:, 7:40])


@pytest.mark.versions
@pytest.mark.parametrize("method", ["adaptive", "exact"])
def test_they_renormalise_over_good_pixels(method):
    values = np.full((1, 40, 60), 7.0)
    values[0, 10:12, 20:30] = np.nan
    values[0, 30, 5] = np.inf
    ds = stack_of(values, [tan((30, 20))]).ccd.to_dataset()
    aligned = ds.ccd.align(Grid.of(tan((30.4, 20.3), 3), shape=(40, 60)), method=method)
    value, flags = aligned.data.values[0], aligned.data_flags.values[0]
    np.testing.assert_allclose(value[np.isfinite(value)], 7)
    np.testing.assert_array_equal(np.isnan(value), flags != 0)
    assert 10 < (flags == 2).sum() < 40


def bare(aligned):
    """Without the labels that all aligned frames have."""
    return aligned.drop_vars(["align_error", "aligned_from"])


def test_frames_on_one_grid_do_not_change():
    images = noise(3)
    images[1, 3, 4], images[2, 0, 0] = np.nan, np.inf
    for head in (tan((30.3, 20.7), 5), sip((30.3, 20.7), 5), tpv((1, 1))):
        stack = stack_of(images, [head] * 3)
        for to in (None, 0, 2, Grid.of(stack), stack[1]):
            assert bare(stack.ccd.align(to)).identical(stack)
        ds = stack.ccd.to_dataset(uncertainty=2.0)
        assert bare(ds.ccd.align()).identical(ds)


@pytest.mark.versions
def test_one_wcs_in_two_spellings_is_one_grid():
    head = tan((30.3, 20.7), 5)
    other = dict(WCS(fits.Header(head)).to_header(relax=True))
    stack = stack_of(noise(2), [head, other])
    assert bare(stack.ccd.align()).identical(stack)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_shift_by_whole_pixels_is_a_slice(lazy):
    images = noise(2)
    images[1, 13, 14] = np.inf
    stack = stack_of(images, [sip((30.3, 20.7), 5), sip((23.3, 29.7), 5)])  # 7 to the left, 9 up
    ds = stack.ccd.to_dataset(mask=images > 110, uncertainty=xr.DataArray(images / 7, dims=stack.dims))
    aligned = (ds if lazy else ds.load()).ccd.align(0)
    for name, gap in (("data", np.nan), ("data_flags", 128), ("data_uncertainty", np.nan)):
        np.testing.assert_array_equal(aligned[name][0], ds[name][0])
        np.testing.assert_array_equal(aligned[name][1, :31, 7:], ds[name][1, 9:, :53])
        np.testing.assert_array_equal(aligned[name][1, 31:], gap)
        np.testing.assert_array_equal(aligned[name][1, :, :7], gap)
    union = stack.ccd.align()
    assert union.shape == (2, 49, 67)
    np.testing.assert_array_equal(union[1, :40, 7:67], stack[1])
    assert (aligned.align_error == 0).all()


def test_crops_know_where_they_are():
    stack = turned(3)
    crop = stack[:, 5:, 7:50]
    whole, part = stack.ccd.align(stack[0]), crop.ccd.align(stack[0])
    for i in range(3):
        x, y = exact(stack, Grid.of(stack[0]), i)
        inside = (x > 7) & (x < 49) & (y > 5) & (y < 39)
        np.testing.assert_allclose(part.values[i][inside], whole.values[i][inside], atol=1e-6)
        assert np.isnan(part.values[i][(x < 6) | (x > 50) | (y < 4) | (y > 40)]).all()
    np.testing.assert_array_equal(whole.ccd.align(whole[0, 3:20, 4:30]), whole[:, 3:20, 4:30])


@some
@given(data=st.data())
def test_chunks_threads_engines_and_laziness_do_not_matter(data):
    how = data.draw(st.sampled_from([{"order": o} for o in ("nearest", "bilinear", "bicubic")] + [{"method": "exact"}]))
    flux = data.draw(st.sampled_from(["surface brightness", "total"]))
    lossless = data.draw(st.booleans())

    def prepared(**options):
        stack = turned(4, (30, 40), **options)
        stack = stack.where(stack > 92) if "chunks" not in options else stack
        return stack.ccd.to_dataset() if lossless else stack

    expected = prepared().load().ccd.align(flux=flux, **how)
    chunks = {d: data.draw(st.integers(n // 4, n)) for d, n in (("frame", 4), ("y", 30), ("x", 40))}
    with xccd.set_options(memory=data.draw(st.sampled_from([None, "70 MB"]))):
        lazy = prepared().chunk(chunks).ccd.align(flux=flux, **how)
    xr.testing.assert_equal(lazy, expected)
    with xccd.set_options(engine="numpy", threads=data.draw(st.integers(1, 3))):
        xr.testing.assert_equal(prepared().load().ccd.align(flux=flux, **how), expected)


@pytest.mark.versions
def test_without_dask_it_waits_and_gives_the_same_pixels():
    stack = turned(4, (300, 200), chunks=None)
    aligned = stack.ccd.align()
    expected = turned(4, (300, 200)).ccd.align()
    np.testing.assert_array_equal(aligned[1:3, 20:50, 30:], expected[1:3, 20:50, 30:])
    np.testing.assert_array_equal(aligned, expected)
    scaled = (turned(4, (300, 200), chunks=None).ccd.minmax(90, 110).ccd.align(0)).ccd.combine("mean")
    np.testing.assert_array_equal(scaled, turned(4, (300, 200)).ccd.minmax(90, 110).ccd.align(0).ccd.combine("mean"))
    ds = stack.ccd.to_dataset(uncertainty=3.0).ccd.align(0)
    other = turned(4, (300, 200)).ccd.to_dataset(uncertainty=3.0).ccd.align(0)
    for name in other.data_vars:
        np.testing.assert_array_equal(ds[name], other[name])


@pytest.mark.versions
def test_nothing_is_computed_and_bands_read_their_rows(monkeypatch):
    read = []
    whole = StackReader.__getitem__

    def spy(self, key):
        read.append(key)
        return whole(self, key)

    monkeypatch.setattr(StackReader, "__getitem__", spy)
    monkeypatch.setattr(gather, "LEAST", 1)
    images = noise(6, (400, 30))
    stack = stack_of(images, [tan((15 + i, 200.3 + 3 * i), 0.1 * i) for i in range(6)], chunks=(-1, 50, -1))
    clipped = stack.ccd.align(0).ccd.sigma_clip(2, 2)
    image = clipped.ccd.combine("mean")
    assert not read
    assert image.data.npartitions == 8
    image[:10].compute()
    (key,) = read
    assert key[0] == slice(0, 6)
    assert key[1].stop - key[1].start < 90  # 50, what the frames are apart, and taps
    assert len(stack.ccd.align(0).data.dask) < 60


def test_a_frame_that_misses_the_grid_costs_nothing():
    images = [
        da.from_array(noise(1)[0]),
        da.map_blocks(lambda: 1 / 0, chunks=((40,), (60,)), dtype="f8", meta=noise(1)[0]),
    ]
    far = tan((30, 20)) | {"CRVAL1": 15.0}
    stacks = [
        xr.DataArray(x[None], dims=("frame", "y", "x"), name="data").assign_coords(stack_of(noise(1), [head]).coords)
        for x, head in zip(images, (tan((30, 20), 3), far), strict=True)
    ]
    aligned = xccd.align(stacks, Grid.of(tan((30, 20)), shape=(40, 60)))
    assert aligned.shape == (2, 40, 60)
    assert np.isfinite(aligned[0]).mean() > 0.9
    assert np.isnan(aligned[1]).all()


def test_masks_never_leak():
    values = np.full((2, 40, 60), 7.0)
    values[1, 10, 20], values[1, 25:28, 30:40], values[1, 5, 5] = np.nan, np.inf, 1e30
    stack = stack_of(values, [tan((30, 20)), tan((30.4, 20.3), 2)])
    for order in ("nearest", "bilinear", "bicubic", "lanczos3"):
        aligned = stack.ccd.minmax(max=1e10).ccd.align(0, order=order)
        here = aligned.values[np.isfinite(aligned.values)]
        np.testing.assert_allclose(here, 7, rtol=1e-12)
        assert np.isfinite(aligned[1]).sum() > 2100


def test_flags_say_why_a_pixel_is_missing():
    images = noise(2)
    images[:, 8:11, 12:15] = 200
    stack = stack_of(images, [tan((30, 20)), tan((38.4, 20.3))])
    mask = np.zeros((40, 60), bool)
    mask[20:24, 30:34] = True
    ds = stack.ccd.to_dataset(mask=mask).ccd.minmax(max=150).ccd.align(0)
    flags = ds.data_flags.values[1]
    assert set(np.unique(flags)) == {0, 1, 8, 128}
    np.testing.assert_array_equal(flags != 0, np.isnan(ds.data.values[1]))
    assert (flags[:, -8:] == 128).all()
    assert (flags == 1).sum() in range(9, 26)
    image = ds.ccd.combine("mean")
    np.testing.assert_array_equal(image.data_count, (ds.data_flags == 0).sum("frame"))


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
def test_errors_go_with_squared_weights(kind):
    error = np.random.default_rng(1).uniform(1, 3, (1, 40, 60))
    given_as = {"std": error, "var": error**2, "ivar": error**-2}[kind]
    uncertainty = xr.DataArray(given_as, dims=("frame", "y", "x"), attrs={"uncertainty_type": kind})
    stack = stack_of(noise(1), [tan((30, 20))])
    ds = stack.ccd.to_dataset(uncertainty=uncertainty).ccd.align(Grid.of(tan((30.25, 20.0)), shape=(40, 60)))
    expected = np.sqrt((0.75 * error[0, :, 1:]) ** 2 + (0.25 * error[0, :, :-1]) ** 2)
    found = {"std": lambda v: v, "var": np.sqrt, "ivar": lambda v: v**-0.5}[kind](ds.data_uncertainty.values[0])
    np.testing.assert_allclose(found[:, 1:], expected, rtol=1e-5)
    assert ds.data_uncertainty.attrs["uncertainty_type"] == kind


@pytest.mark.parametrize(
    "options", [{"order": "bilinear"}, {"order": "bicubic"}, {"order": "lanczos3"}, {"method": "exact"}], ids=str
)
def test_errors_are_right_by_monte_carlo(options):
    grid = Grid.of(tan((60.3, 61.2), 12, 1.3e-4), shape=(90, 90))
    rng = np.random.default_rng(0)
    stack = stack_of(rng.normal(0, 5, (200, 120, 120)), [tan((60, 60))] * 200)
    ds = stack.load().ccd.to_dataset(uncertainty=5.0).ccd.align(grid, **options)
    sigma = ds.data.std("frame", ddof=1).values
    claimed = ds.data_uncertainty.values[0]
    inside = np.isfinite(sigma)
    assert np.sqrt(np.mean(sigma[inside] ** 2) / np.mean(claimed[inside] ** 2)) == pytest.approx(1, abs=0.02)
    chi = sigma[inside] / claimed[inside]
    assert np.abs(np.median(chi) - 1) < 0.02


@pytest.mark.parametrize("scale", [0.5, 1, 2])
@pytest.mark.parametrize(("method", "within"), [("exact", 1e-14), ("interp", 2e-3), ("adaptive", 2e-3)])
def test_flux_is_kept(scale, method, within):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    stars = list(zip(*rng.uniform(50, 150, (2, 8)), rng.uniform(100, 1000, 8), strict=True))
    image = sum(f * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) / (8 * np.pi) for a, b, f in stars)
    size = int(300 / scale)
    grid = Grid.of(tan((size / 2 + 0.3, size / 2), 33, 1e-4 * scale), shape=(size, size))
    aligned = stack_of([image], [tan((100, 100))]).ccd.align(grid, method=method, flux="total")
    assert float(aligned.sum()) == pytest.approx(image.sum(), rel=within)
    # aperture photometry of a star by itself
    alone = 900 * np.exp(-((x - 90.3) ** 2 + (y - 105.2) ** 2) / 8) / (8 * np.pi)
    one = stack_of([alone], [tan((100, 100))]).ccd.align(grid, method=method, flux="total")[0].values
    px, py = grid.wcs.world_to_pixel(stack_of([alone], [tan((100, 100))]).ccd.wcs(0).pixel_to_world(90.3, 105.2))
    v, u = np.mgrid[:size, :size]
    within_aperture = np.hypot(u - px, v - py) < 16 / scale
    assert np.nansum(one[within_aperture]) == pytest.approx(900, rel=1e-3 if method != "interp" else 2e-3)


def test_orders_reproduce_what_they_should():
    y, x = np.mgrid[:40, :60].astype(float)
    grid = Grid.of(tan((30.37, 20.21)), shape=(40, 60))
    for order, image, off in (
        ("bilinear", 3 + 2 * x - y, 1e-9),
        ("bicubic", 3 + 2 * x - y + 0.1 * x * y + 0.2 * x**2, 1e-9),
        ("lanczos3", np.full((40, 60), 7.0), 1e-12),
        ("lanczos3", np.sin(x / 4), 2e-3),
    ):
        aligned = stack_of([image], [tan((30, 20))]).ccd.align(grid, order=order)[0].values
        px, py = x - 0.37, y - 0.21
        expected = {
            "bilinear": 3 + 2 * px - py,
            "bicubic": 3 + 2 * px - py + 0.1 * px * py + 0.2 * px**2,
            "lanczos3": np.full_like(px, 7.0) if image[0, 0] == 7 else np.sin(px / 4),
        }[order]
        np.testing.assert_allclose(aligned[4:-4, 4:-4], expected[4:-4, 4:-4], rtol=0, atol=off * 100)


@pytest.mark.versions
def test_lists_trees_and_labels(tmp_path: Path):
    stacks = [turned(3), stack_of(noise(2, (31, 45)), [tan((20, 11), 45, FILTER="V"), tan((21, 12), 45, FILTER="R")])]
    aligned = xccd.align(stacks)
    assert aligned.sizes["frame"] == 5
    assert aligned.EXPTIME.values[:3].tolist() == [10, 11, 12]
    assert np.isnan(aligned.EXPTIME.values[3:]).all()
    assert aligned.FILTER.values.tolist() == ["", "", "", "V", "R"]
    for i, stack in enumerate(stacks):
        alone = stack.ccd.align(Grid.of(aligned))
        np.testing.assert_array_equal(aligned[3 * i : 3 * i + stack.sizes["frame"]], alone)
    lossless = xccd.align([s.ccd.to_dataset() for s in stacks])
    np.testing.assert_array_equal(lossless.ccd.to_stack(), aligned)
    tree = xr.DataTree.from_dict({"a": stacks[0].to_dataset(name="data"), "b": stacks[1].to_dataset(name="data")})
    of_tree = tree.ccd.align(Grid.of(aligned))
    np.testing.assert_array_equal(of_tree["b"]["data"], aligned[3:])
    with pytest.warns(UserWarning, match=r"combine: the frames differ in FILTER \(V, R\)"):
        image = aligned.ccd.combine("mean")
    header = fits.getheader(image.ccd.to_fits(tmp_path / "mosaic.fits"))
    assert header["NCOMBINE"] == 5
    assert Grid.of(tmp_path / "mosaic.fits").shape == aligned.shape[1:]
    np.testing.assert_allclose(
        WCS(header).all_pix2world([[3, 40]], 0), Grid.of(aligned).wcs.all_pix2world([[3, 40]], 0)
    )
    assert any("xccd.align" in str(line) for line in header["HISTORY"])
    frame = aligned.ccd.header(1)
    assert (frame["EXPTIME"], frame["NAXIS1"]) == (11, aligned.sizes["x"])


def test_open_frames_keeps_the_order():
    shapes = [(4, 5), (4, 5), (6, 5), (4, 5)]
    stacks = xccd.open_frames([(np.full(shape, i), {"EXPTIME": float(i)}) for i, shape in enumerate(shapes)])
    assert [s.shape for s in stacks] == [(2, 4, 5), (1, 6, 5), (1, 4, 5)]
    assert [float(s.EXPTIME[0]) for s in stacks] == [0, 2, 3]


@pytest.mark.versions
def test_real_frames(real_frames: Path):
    for band, least in (("g", 0.7), ("r", 0.85)):
        files = sorted(f for f in (real_frames / "bok_90prime").glob(f"deep2{band}*.fits") if "wht" not in f.name)
        aligned = xccd.align(xccd.open_frames(files)).values
        for other in aligned[1:]:
            both = np.isfinite(aligned[0]) & np.isfinite(other)
            assert both.sum() > 700
            assert np.corrcoef(aligned[0][both], other[both])[0, 1] > least


def test_real_mosaics_are_weighted_and_written(real_frames: Path, tmp_path: Path):
    for band in "gr":
        files = sorted((real_frames / "bok_90prime").glob(f"deep2{band}*.fits"))
        images = xccd.open_frames([f for f in files if "wht" not in f.name])
        lossless = xccd.align([stack.ccd.to_dataset() for stack in images])
        weights = xccd.align(xccd.open_frames([f for f in files if "wht" in f.name]), to=lossless, order="nearest")
        mosaic = lossless.ccd.combine("mean", weights=weights.fillna(0).drop_vars("file"))
        path = mosaic.ccd.to_fits(tmp_path / f"{band}.fits")
        x, w = xccd.align(images).values.astype(float), weights.fillna(0).values.astype(float)
        good = np.isfinite(x)
        with np.errstate(invalid="ignore"):
            expected = np.where(good, w * np.where(good, x, 0), 0).sum(0) / np.where(good, w, 0).sum(0)
        with fits.open(path) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "COUNT"]
            np.testing.assert_allclose(hdus[0].data, expected, rtol=1e-5, atol=1e-7)
            np.testing.assert_array_equal(hdus["COUNT"].data, good.sum(0))
            assert hdus[0].header["NCOMBINE"] == 5
            assert np.isfinite(hdus["UNCERT"].data).sum() > 900


def test_real_frames_on_one_grid_stay_as_they_are(real_frames: Path):
    for field in ("OBS04", "OBS18"):
        stack = xccd.open_stack(real_frames / f"decam_i/{field}*")
        assert bare(stack.ccd.align()).identical(stack)
        assert grids_of(stack)[0].shape == (256, 256)
