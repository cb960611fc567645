"""`align(method="drizzle")`: beside STScI's drizzle, with its weights and contexts, for all kinds of stacks."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from sky import exact, noise, sip, stack_of, tan, turned
from xccd.kernels.drops import DROPS
from xccd.labels.lazy import array_of
from xccd.sky.drizzle import WEIGHT
from xccd.sky.grid import Grid

SHAPE = (40, 60)
# They hold all frames: STScI's drizzle loses drops at the edge of a grid.
COARSE, SAME, FINE = (
    Grid.of(tan((n / 2, n / 2), 11, 1e-4 * s), shape=(n, n)) for n, s in ((76, 1.3), (100, 1.0), (190, 0.5))
)


def theirs(stack, grid, kernel, pixfrac, times=None):
    """STScI's drizzle of all frames, with positions by astropy alone."""
    resample = pytest.importorskip("drizzle.resample")
    made = resample.Drizzle(kernel=kernel, out_shape=grid.shape, fillval="NaN")
    y, x = np.mgrid[: stack.sizes["y"], : stack.sizes["x"]].astype(float)
    for i, frame in enumerate(stack.values):
        there = np.stack(grid.wcs.world_to_pixel(stack.ccd.wcs(i).pixel_to_world(x, y)), axis=-1)
        good = np.isfinite(frame).astype("f4") * (1 if times is None else times[i])
        ratio = grid.pixel_size / Grid.of(stack[i]).pixel_size
        values = np.nan_to_num(frame)
        made.add_image(values, 1.0, there, weight_map=good, pixfrac=pixfrac, pixel_scale_ratio=ratio, in_units="cps")
    return made


def with_holes(stack):
    return stack.where(np.random.default_rng(1).random(stack.shape) > 0.05)


@pytest.mark.filterwarnings("ignore:Kernel 'gaussian' is not a flux-conserving kernel")
@pytest.mark.parametrize("grid", [COARSE, SAME, FINE], ids=["coarse", "same", "fine"])
@pytest.mark.parametrize(("kernel", "pixfrac"), [("square", 1.0), ("square", 0.6), ("point", 1.0), ("gaussian", 0.8)])
def test_values_weights_and_contexts_are_those_of_stsci(grid, kernel, pixfrac):
    stack = with_holes(turned(3, SHAPE, chunks=None)).load()
    aligned = stack.ccd.align(grid, method="drizzle", kernel=kernel, pixfrac=pixfrac)
    expected = theirs(stack, grid, kernel, pixfrac)
    weight = aligned[WEIGHT].sum("frame").values
    some = (weight > 1e-3) & (expected.out_wht > 1e-3)
    image = aligned.ccd.combine("mean", weights="drizzle").values
    np.testing.assert_allclose(image[some], expected.out_img[some], rtol=1e-6)
    np.testing.assert_allclose(weight, expected.out_wht, rtol=1e-6, atol=2e-6)
    if kernel != "gaussian":  # whose far drops have weights that are below ours
        np.testing.assert_array_equal(aligned.ccd.context(), expected.out_ctx)
    times = np.array([10.0, 20.0, 5.0])  # exposure times, as weights of the frames beside those of the drops
    timed = aligned.ccd.combine("mean", weights=aligned[WEIGHT] * xr.DataArray(times, dims="frame"))
    expected = theirs(stack, grid, kernel, pixfrac, times)
    np.testing.assert_allclose(timed.values[some], expected.out_img[some], rtol=1e-6)


def test_a_distorted_frame_differs_by_the_bend_of_a_pixel_only():
    stack = stack_of(noise(2), [sip((30, 20), 3), sip((33, 18), 50)], chunks=None)
    aligned = stack.ccd.align(FINE, method="drizzle", pixfrac=0.8)
    expected = theirs(stack, FINE, "square", 0.8)
    weight = aligned[WEIGHT].sum("frame").values
    some = weight > 1e-2
    image = aligned.ccd.combine("mean", weights="drizzle").values
    np.testing.assert_allclose(image[some], expected.out_img[some], rtol=1e-5)
    np.testing.assert_allclose(weight, expected.out_wht, atol=1e-4)


@pytest.mark.parametrize("flux", ["surface brightness", "total"])
def test_full_squares_are_the_exact_overlap(flux):
    stack = turned(3, SHAPE)
    one, other = (stack.ccd.align(method=m, flux=flux).values for m in ("drizzle", "exact"))
    both = np.isfinite(other)
    np.testing.assert_allclose(one[both], other[both], rtol=1e-10)
    assert np.isfinite(one).sum() > both.sum()  # drops count where they cover less than half of a pixel, too


@pytest.mark.parametrize("kernel", ["square", "point"])
@pytest.mark.parametrize("pixfrac", [1.0, 0.4, 1e-4])
def test_no_flux_is_lost(kernel, pixfrac):
    stack = with_holes(turned(3, SHAPE))
    aligned = stack.ccd.align(Grid.union(stack, resolution=0.3), method="drizzle", kernel=kernel, pixfrac=pixfrac)
    got = (aligned * aligned[WEIGHT]).sum(("y", "x")).compute()
    np.testing.assert_allclose(got, stack.sum(("y", "x")).compute(), rtol=1e-7)
    np.testing.assert_allclose(
        aligned[WEIGHT].sum(("y", "x")).compute(), stack.notnull().sum(("y", "x")).compute(), rtol=1e-6
    )
    np.testing.assert_array_equal(aligned.isnull().compute(), aligned[WEIGHT].compute() == 0)
    if pixfrac == 1e-4:  # as in STScI's drizzle
        limit = stack.ccd.align(Grid.union(stack, resolution=0.3), method="drizzle", kernel="point")
        np.testing.assert_array_equal(aligned, limit)


def test_total_flux_of_full_squares():
    """Of a grid that covers the frame, in whole pixels of it."""
    star = np.zeros((1, *SHAPE))
    star[0, 15:25, 20:40] = np.random.default_rng(0).exponential(10, (10, 20))
    stack = stack_of(star, [tan((30, 20), 7)])
    for grid in (COARSE, FINE):
        aligned = stack.ccd.align(grid, method="drizzle", flux="total")
        assert float(aligned.sum().compute()) == pytest.approx(star.sum(), rel=1e-6)


@pytest.mark.parametrize("kernel", DROPS)
def test_all_kinds_of_stacks_give_the_same_bits(kernel):
    how = {"method": "drizzle", "kernel": kernel, "pixfrac": 0.7}
    plain = with_holes(turned(3, SHAPE, chunks=None)).load()
    expected = plain.ccd.align(FINE, **how)
    with xccd.set_options(threads=1):
        xr.testing.assert_identical(plain.ccd.align(FINE, **how), expected)
    for lazy in (plain.chunk(), plain.chunk(frame=1, y=7, x=50), plain.chunk(frame=2, y=40, x=60)):
        found = lazy.ccd.align(FINE, **how)
        assert hasattr(found.data, "dask")
        assert hasattr(found[WEIGHT].data, "dask")
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found[WEIGHT], expected[WEIGHT])
        np.testing.assert_array_equal(found[:, 40:90, 60:], expected[:, 40:90, 60:])
    with xccd.set_options(engine="numpy"):
        other = plain.ccd.align(FINE, **how)
    np.testing.assert_array_equal(other, expected)
    np.testing.assert_array_equal(other[WEIGHT], expected[WEIGHT])


def test_nothing_is_computed_before_it_is_asked_for():
    for flagged in (False, True):
        stack = turned(3, SHAPE, chunks=None)
        aligned = (stack.ccd.to_dataset() if flagged else stack).ccd.align(method="drizzle")
        clipped = aligned.ccd.sigma_clip(1, 1)
        image = clipped.ccd.combine("mean", weights="drizzle")
        for ds in (aligned, clipped, image, clipped.ccd.context()):
            arrays = list(ds.variables.values()) if flagged else [ds.variable]
            assert all(type(array_of(v)).__name__ != "ndarray" for v in arrays if v.ndim > 1)
        loaded = stack.load().ccd.align(method="drizzle").ccd.sigma_clip(1, 1).ccd.combine("mean", weights="drizzle")
        np.testing.assert_array_equal(image.data if flagged else image, loaded)


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
def test_flags_and_uncertainties(kind):
    stack = turned(2, SHAPE, chunks=None).load()
    mask = np.random.default_rng(2).random(stack.shape) < 0.1
    sigma = np.random.default_rng(3).uniform(1, 2, stack.shape)
    given = {"std": sigma, "var": sigma**2, "ivar": sigma**-2}[kind]
    errors = xr.DataArray(given, dims=stack.dims, attrs={"uncertainty_type": kind})
    ds = stack.ccd.to_dataset(mask=mask, uncertainty=errors).ccd.align(FINE, method="drizzle", pixfrac=0.5)
    bare = stack.where(~mask).ccd.align(FINE, method="drizzle", pixfrac=0.5)
    np.testing.assert_array_equal(ds.data, bare)
    np.testing.assert_array_equal(ds[WEIGHT], bare[WEIGHT])
    found = {"std": lambda v: v, "var": np.sqrt, "ivar": lambda v: v**-0.5}[kind](ds.data_uncertainty.values)
    # the variance of a weighted mean, from drizzled variances with squared weights: here all sigma are 1 in turn
    one = stack.where(~mask).ccd.to_dataset(uncertainty=1.0).ccd.align(FINE, method="drizzle", pixfrac=0.5)
    assert (found[np.isfinite(found)] <= 2 * one.data_uncertainty.values[np.isfinite(found)] * (1 + 1e-9)).all()
    assert (found[np.isfinite(found)] >= one.data_uncertainty.values[np.isfinite(found)] * (1 - 1e-9)).all()
    empty = ds[WEIGHT].values == 0
    np.testing.assert_array_equal(ds.data_flags.values != 0, empty)
    assert set(np.unique(ds.data_flags.values)) == {0, 1, 128}
    x, y = exact(stack, FINE, 0)
    outside = (x < -1.5) | (x > 60.5) | (y < -1.5) | (y > 40.5)
    assert (ds.data_flags.values[0][outside] == 128).all()


def test_drizzled_noise_scatters_as_its_error_says():
    """200 draws of the same noise, as the frames of a stack."""
    rng = np.random.default_rng(4)
    sigma, count = rng.uniform(1, 3, SHAPE), 200
    stack = stack_of(rng.normal(0, sigma, (count, *SHAPE)), [tan((30, 20), 7)] * count, chunks=None)
    how = {"method": "drizzle", "pixfrac": 0.8, "flux": "total"}
    scatter = stack.ccd.align(COARSE, **how).values.std(0)
    claimed = stack[:1].ccd.to_dataset(uncertainty=sigma[None]).ccd.align(COARSE, **how).data_uncertainty.values[0]
    inside = np.isfinite(claimed)
    assert np.sqrt(np.mean((scatter / claimed)[inside] ** 2)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kernel", DROPS)
@pytest.mark.parametrize("offsets", [[(0, 0), (3, -7)], [(0, 0), (2.4, 1.25)]], ids=["whole", "fractions"])
def test_offsets_are_as_a_wcs(kernel, offsets):
    images = noise(2)
    how = {"method": "drizzle", "kernel": kernel, "pixfrac": 0.8}
    aligned = stack_of(images, [{}, {}]).ccd.align(offsets=offsets, **how)
    heads = [tan((30 - dx, 20 - dy)) for dy, dx in offsets]
    by_sky = stack_of(images, heads)
    low = np.min(offsets, axis=0)
    grid = Grid.of(tan((30 - low[1], 20 - low[0])), shape=aligned.shape[1:])
    expected = by_sky.ccd.align(grid, **how)
    np.testing.assert_allclose(aligned[WEIGHT], expected[WEIGHT], atol=1e-6)
    some = (expected[WEIGHT] > 1e-4).values
    np.testing.assert_allclose(aligned.values[some], expected.values[some], rtol=1e-6)
    if kernel != "gaussian" and isinstance(offsets[1][0], int):
        np.testing.assert_array_equal(np.unique(aligned[WEIGHT]), [0, 1])  # copied
        np.testing.assert_array_equal(aligned.values[0][aligned[WEIGHT].values[0] > 0], images[0].ravel())


def test_frames_on_the_grid_also_get_weights():
    stack = with_holes(stack_of(noise(2), [tan((30, 20))] * 2))
    aligned = stack.ccd.align(method="drizzle", pixfrac=0.5)
    np.testing.assert_array_equal(aligned, stack)
    np.testing.assert_array_equal(aligned[WEIGHT], stack.notnull())
    spread = stack.ccd.align(method="drizzle", kernel="gaussian")
    assert int((spread[WEIGHT] > 0).sum()) > int(stack.notnull().sum())  # not copied


@pytest.mark.filterwarnings("ignore:Kernel 'gaussian' is not a flux-conserving kernel")
@pytest.mark.filterwarnings("ignore:align. frame 0 .frame-1. has pixels of 0.36")
def test_gaussian_drops_reach_beyond_a_small_frame():
    stack = stack_of(noise(1, (3, 4)), [tan((2, 2))], chunks=None)
    grid = Grid.of(tan((90, 90), 0, 4e-6), shape=(200, 200))
    aligned = stack.ccd.align(grid, method="drizzle", kernel="gaussian")
    expected = theirs(stack, grid, "gaussian", 1.0)
    np.testing.assert_allclose(aligned[WEIGHT][0], expected.out_wht, atol=1e-6)
    assert int((aligned[WEIGHT] > 0).sum()) > 12 * 25**2


def test_nothing_falls_across_a_seam():
    head = {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 60.5, "CRPIX2": 30.5,
            "CDELT1": -3.0, "CDELT2": 3.0}  # fmt: skip
    east = np.cos(np.deg2rad(np.arange(120) * 3 - 178.5)) * 100 + np.zeros((60, 1))
    stack = stack_of([east], [head], chunks=None)
    grid = Grid.of(head | {"CRVAL1": 180.0, "CRPIX1": 10.3, "CRPIX2": 10.2}, shape=(20, 20))
    found = stack.ccd.align(grid, method="drizzle", kernel="square")
    assert np.isfinite(found).any()
    assert found.max() < -85  # a pixel across the seam would be the mean of all longitudes, nearly 0


def test_a_tree_and_a_list():
    stacks = [turned(2, SHAPE, chunks=None), turned(3, (30, 50), chunks=None)]
    both = xccd.align(stacks, FINE, method="drizzle")
    assert both[WEIGHT].shape == (5, *FINE.shape)
    np.testing.assert_array_equal(both[WEIGHT][2:], stacks[1].ccd.align(FINE, method="drizzle")[WEIGHT])
    tree = xr.DataTree.from_dict({"r": stacks[0].to_dataset(name="data"), "g": stacks[1].to_dataset(name="data")})
    made = tree.ccd.align(FINE, method="drizzle").ccd.combine("mean", weights="drizzle")
    np.testing.assert_array_equal(made["g"]["data"], both[2:].ccd.combine("mean", weights="drizzle"))


def test_history_says_how():
    stack = turned(2, SHAPE)
    step = stack.ccd.align(0, method="drizzle", kernel="point").attrs["history"]
    assert step.endswith("(to=0, method='drizzle', flux='surface brightness', pixfrac=1.0, kernel='point')")
    step = stack.ccd.align(0).attrs["history"]
    assert step.endswith("(to=0, method='interp', order='bilinear', flux='surface brightness')")


def test_real_frames(real_frames: Path):
    """Cuts of several chips, with their distortions, and the edges of frames in the middle of the image."""
    files = sorted(f for f in (real_frames / "bok_90prime").glob("deep2g*.fits") if "wht" not in f.name)
    stacks = xccd.open_frames(files)
    grid = Grid.union([Grid.of(stack) for stack in stacks], resolution=0.3)
    grid = grid.moved(-10, -10, (grid.shape[0] + 20, grid.shape[1] + 20))
    for stack in stacks:
        aligned = stack.ccd.align(grid, method="drizzle", pixfrac=0.7).load()
        expected = theirs(stack, grid, "square", 0.7)
        np.testing.assert_allclose(aligned[WEIGHT].sum("frame"), expected.out_wht, atol=1e-4)
        total = (aligned * aligned[WEIGHT]).sum().item()
        assert total == pytest.approx(float(stack.astype(float).sum().compute()), rel=1e-6)
        some = expected.out_wht > 1e-2
        off = (aligned.ccd.combine("mean", weights="drizzle").values - expected.out_img)[some]
        assert np.abs(off).max() < 5e-6 * np.ptp(stack.values)


S = turned(2, SHAPE)
TWO = xr.Dataset({"one": S, "two": S + 1})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: S.ccd.align(method="drizle"), ValueError, "method='drizle' is unknown: .*drizzle.*'drizzle'"),
        (lambda: S.ccd.align(method="drizzle", pixfrac=0), ValueError,
         r"pixfrac=0 is not a number above 0 and up to 1: kernel='point' is the limit"),
        (lambda: S.ccd.align(method="drizzle", pixfrac=1.5), ValueError, "pixfrac=1.5 is not a number above 0"),
        (lambda: S.ccd.align(method="drizzle", pixfrac=np.nan), ValueError, "pixfrac=nan is not a number above 0"),
        (lambda: S.ccd.align(method="drizzle", pixfrac=True), ValueError, "pixfrac=True is not a number above 0"),
        (lambda: S.ccd.align(method="drizzle", pixfrac="1"), ValueError, "pixfrac='1' is not a number above 0"),
        (lambda: S.ccd.align(method="drizzle", kernel="sqare"), ValueError,
         "kernel='sqare' is unknown: use one of square, point, gaussian.*'square'"),
        (lambda: S.ccd.align(method="drizzle", kernel=np.mean), ValueError, "kernel=numpy.mean is unknown"),
        (lambda: S.ccd.align(method="drizzle", order="bicubic"), ValueError,
         "order='bicubic' with method='drizzle': order goes with 'interp'"),
        (lambda: S.ccd.align(pixfrac=0.5), ValueError, "pixfrac=0.5 with method='interp': pixfrac goes with 'drizzle'"),
        (lambda: S.ccd.align(method="exact", kernel="point"), ValueError,
         "kernel='point' with method='exact': kernel goes with 'drizzle'"),
        (lambda: S.ccd.align(method="exact", offsets=[(0, 0)] * 2), ValueError,
         "method='exact' with offsets=: frames at offsets are copied, or resampled by interp, drizzle"),
        (lambda: S.ccd.align().ccd.combine("mean", weights="drizzle"), ValueError,
         r"weights='drizzle' needs the coordinate 'drizzle_weight', which align\(method='drizzle'\)"),
        (lambda: S.ccd.combine("mean", weights="drizle"), ValueError, "'drizzle'"),
        (lambda: TWO.ccd.align(method="drizzle"), ValueError,
         r"weights of its own, and this Dataset has one, two: align one after the other, as ds\['one'\]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_package_is_not_needed(monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "drizzle"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "drizzle", None)
    assert turned(2, SHAPE).ccd.align(method="drizzle").compute().notnull().any()


# context


def test_planes_of_32_frames():
    rng = np.random.default_rng(5)
    x = np.where(rng.random((70, 6, 7)) < 0.5, rng.random((70, 6, 7)), np.nan)
    stack = xr.DataArray(x, dims=("frame", "y", "x"), name="data")
    found = stack.ccd.context()
    assert (found.dims, found.shape, found.dtype) == (("plane", "y", "x"), (3, 6, 7), np.int32)
    bits = [(found.values[i // 32] >> i % 32) & 1 for i in range(70)]
    np.testing.assert_array_equal(np.array(bits, bool), np.isfinite(x))
    for other in (stack.chunk(y=2), stack.chunk(frame=5), stack.chunk(frame=40, x=3)):
        lazy = other.ccd.context()
        assert hasattr(lazy.data, "dask")
        np.testing.assert_array_equal(lazy, found)
    flagged = stack.ccd.to_dataset(mask=rng.random(x.shape) < 0.3)
    ds = flagged.ccd.context()
    assert list(ds.data_vars) == ["data"]
    np.testing.assert_array_equal(ds.data, flagged.ccd.to_stack().ccd.context())
    np.testing.assert_array_equal(stack.rename(frame="t").ccd.context(dim="t"), found)
    np.testing.assert_array_equal(stack.transpose("y", "x", "frame").ccd.context(), found)


def test_contexts_of_files_are_lazy():
    stack = turned(3, SHAPE, chunks=None)
    found = stack.ccd.align(FINE, method="drizzle").ccd.context()
    assert type(array_of(found)).__name__ == "Deferred"
    np.testing.assert_array_equal(found, stack.load().ccd.align(FINE, method="drizzle").ccd.context())


def test_errors_of_contexts():
    with pytest.raises(ValueError, match="has no dimension 'frame'"):
        xr.DataArray([1.0], dims="x").ccd.context()
    with pytest.raises(TypeError, match=r"xccd\.context takes an xarray"):
        xccd.context(np.ones((2, 3)))
