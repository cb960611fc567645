"""What odd users give to `debayer`, `stats`, `keep`, `scan` and the calibration verbs, and what they are told."""

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.sky.stars import noise_of

RNG = np.random.default_rng(8)
RAW = RNG.normal(1500, 10, (3, 6, 8))
MASK = np.eye(6, 8) > 0


@pytest.fixture
def stack():
    return xccd.open_stack([(frame, {"EXPTIME": 60.0, "BIASSEC": "[7:8,1:6]"}) for frame in RAW.astype("f4")])


def masked(values, mask):
    return np.ma.masked_array(values, mask)


# What a plain array would lose


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda s: s.ccd.gain_correct(masked([1.0, 2.0, 3.0], [0, 1, 0])), "gain"),
        (lambda s: s.ccd.subtract_bias(RAW[0], saturation=masked([9.0] * 3, [1, 0, 0])), "saturation"),
        (lambda s: s.ccd.stats(saturation=masked([9.0] * 3, [1, 0, 0])), "saturation"),
        (lambda s: s.ccd.subtract_dark(RAW[0], scale=masked([1.0] * 3, [1, 0, 0])), "scale"),
        (lambda s: s.ccd.combine("mean", weights=masked([1.0] * 3, [1, 0, 0])), "weights"),
        (lambda s: s.ccd.to_dataset(uncertainty=masked(RAW, RAW > 1500)), "uncertainty"),
        (lambda s: s.ccd.to_dataset(mask=masked(RAW > 1500, RAW > 1400)), "mask"),
        (lambda s: s.ccd.mask_where(masked(MASK, ~MASK)), "bad"),
        (lambda s: s.ccd.normalize("mean", region=masked(~MASK, MASK)), "region"),
    ],
)
def test_masked_arrays_are_refused_where_their_mask_would_be_lost(stack, call, argument):
    with pytest.raises(
        TypeError, match=rf"{argument}= is a masked array, whose mask would be lost: give plain numbers"
    ):
        call(stack)


def test_a_dask_array_of_masked_arrays_is_refused_too(stack):
    import dask.array as da

    with pytest.raises(TypeError, match="bad= is a masked array"):
        stack.ccd.mask_where(da.from_array(masked(MASK, ~MASK), chunks=2))


def test_a_masked_master_lacks_the_masked_pixels(stack):
    found = stack.ccd.subtract_bias(masked(np.ones((6, 8)), MASK))
    np.testing.assert_array_equal(np.isnan(found.values), np.broadcast_to(MASK, (3, 6, 8)))


# Dimensions of other names


@pytest.mark.parametrize("verb", ["debayer", "measure_stars", "find_offsets", "find_transforms"])
def test_verbs_without_dim_do_not_speak_of_it(stack, verb):
    moved = stack.rename(frame="time")
    with pytest.raises(ValueError, match=r"(?s)^(?!.*dim=).*(time|\(frame, y, x\))"):
        getattr(moved.ccd, verb)()
    if verb == "debayer":
        with pytest.raises(ValueError, match=r"rename the one that holds the frames, as stack\.rename\(time='frame'\)"):
            moved.ccd.debayer()


# Datasets with more than images


@pytest.fixture
def with_tables(stack):
    return xr.Dataset({"seeing": ("frame", [3.0, 1.0, 2.0]), "exposure": (("y", "x"), np.ones((6, 8))), "data": stack})


def test_tables_and_maps_beside_a_stack(stack, with_tables):
    found = with_tables.ccd.subtract_bias(RAW[0])
    np.testing.assert_array_equal(found.data.values, stack.ccd.subtract_bias(RAW[0]).values)
    assert found.seeing.values.tolist() == [3, 1, 2]
    assert (found.exposure == 1).all()
    xr.testing.assert_identical(with_tables.ccd.stats().compute(), stack.ccd.stats().compute())
    kept = with_tables.ccd.keep("noise<40%")
    assert kept.sizes["frame"] == 1
    assert kept.data.attrs["history"] == "xccd.keep('noise<40%'): 1 of 3 frames"
    assert "history" not in kept.seeing.attrs


# Rules


def test_a_rule_in_a_message_is_whole(stack):
    with pytest.raises(ValueError, match=r"rule='foo<3': name='foo' is no coordinate on 'frame'"):
        stack.ccd.keep("foo<3")
    long = stack.assign_coords(header=stack.header + "x" * 500)
    with pytest.raises(ValueError, match=r"name='header': frame 0 \(frame-1\) has header = .{60}\.\.\., not a number"):
        long.ccd.keep("header<3")


# Numbers at the end of their range


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_noise_of_very_large_samples(dtype):
    x = RNG.normal(1.2, 0.1, (20, 30))
    large = (x * 2.0**127).astype(dtype)
    np.testing.assert_allclose(noise_of(large), noise_of(large / 2.0**100) * 2.0**100, rtol=1e-6)
    stack = xr.DataArray(np.stack([large, large]), dims=("frame", "y", "x"))
    np.testing.assert_allclose(stack.ccd.stats().noise, noise_of(large), rtol=1e-6)
    with_holes = large.copy()
    with_holes[3, 4] = np.inf
    assert np.isfinite(noise_of(with_holes))


# Patterns of colour cameras


def test_pixel_numbers_that_are_no_whole_numbers(stack):
    moved = stack.assign_coords(x=stack.x + 0.5)
    for verb in (moved.ccd.debayer, moved.ccd.bayer_planes):
        with pytest.raises(ValueError, match=r"the coordinate 'x' runs \[0\.5, 1\.5"):
            verb(pattern="RGGB")


def test_an_order_of_rows_that_is_unknown():
    def opened(rows):
        cards = {"BAYERPAT": "RGGB", "ROWORDER": "sideways", "NAXIS": 2, "NAXIS1": 8, "NAXIS2": rows}
        return xccd.open_stack([(RAW[0][:rows], cards)])

    with pytest.raises(
        ValueError, match=r"ROWORDER = 'SIDEWAYS' and BAYERPAT = 'RGGB': that is neither 'TOP-DOWN' nor"
    ):
        opened(6).ccd.debayer()
    assert opened(6).ccd.debayer(pattern="RGGB").sizes["channel"] == 3


# Sections


@pytest.mark.parametrize("verb", ["trim", "subtract_overscan"])
@pytest.mark.parametrize(
    ("region", "error", "message"),
    [
        (slice("a", "b"), TypeError, r"region=slice\('a', 'b', None\): give a section"),
        ((slice(None), slice(1.5, 3)), TypeError, r"give a section '\[x1:x2,y1:y2\]', a keyword, a slice of columns"),
        ({"x": slice("a", "b")}, ValueError, r"give slices of labels without a step, as \{'x': slice\(0, 2047\)\}"),
        ("", ValueError, r"region='' names no part of the frames; a section is"),
        ("  ", ValueError, r"region='' names no part of the frames"),
    ],
)
def test_regions_that_are_none(stack, verb, region, error, message):
    with pytest.raises(error, match=message):
        getattr(stack.ccd, verb)(region)


def test_blanks_around_a_section(stack):
    scale = stack.ccd.normalize("mean", region=" [1:3,*] ").scale
    np.testing.assert_array_equal(scale, stack[:, :, :3].ccd.normalize("mean").scale)
    with pytest.raises(ValueError, match="region='' names no part of the frames"):
        stack.ccd.normalize("mean", region="")
    np.testing.assert_array_equal(stack.ccd.trim(" [1:3,*] ").values, stack.values[:, :, :3])


def test_a_polynomial_of_more_degrees_than_rows(stack):
    with pytest.raises(
        ValueError, match=r"smooth=6: the region \[7:8,1:6\] has 6 levels, a polynomial .* takes 7 or more"
    ):
        stack.ccd.subtract_overscan(smooth=6)
    assert np.isfinite(stack.ccd.subtract_overscan(smooth=5).values).all()


# Paths


@pytest.mark.parametrize(
    "call",
    [
        lambda: xccd.open_stack(""),
        lambda: xccd.open_dataset(["a.fits", ""]),
        lambda: xccd.open_tree("", errors="skip"),
        lambda: xccd.open_frames(""),
        lambda: xccd.open_image(""),
        lambda: xr.DataArray(RAW, dims=("frame", "y", "x")).ccd.subtract_bias(""),
    ],
)
def test_an_empty_path_is_not_this_folder(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    xr.DataArray(RAW[0], dims=("y", "x")).ccd.to_fits("a.fits")
    with pytest.raises(ValueError, match="files='' is an empty path: give a file, a glob or a folder"):
        call()


def test_an_empty_path_of_scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for where in ("", ["", tmp_path]):
        with pytest.raises(ValueError, match="where='' is an empty path"):
            xccd.scan(where)


def test_a_table_given_to_scan_is_not_printed(tmp_path):
    xr.DataArray(RAW[0], dims=("y", "x")).ccd.to_fits(tmp_path / "a.fits")
    with pytest.raises(
        TypeError, match=r"^where= is no file, but a DataFrame: give a path, a glob, a folder, or a list$"
    ):
        xccd.scan(xccd.scan(tmp_path))
