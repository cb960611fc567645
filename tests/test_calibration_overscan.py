"""`trim` and `subtract_overscan`: sections, keywords, levels, their errors, and the WCS."""

import dask
import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write

RNG = np.random.default_rng(8)
NY, NX, OVER = 12, 10, 6
CARDS = {"BIASSEC": "[11:16,1:12]", "TRIMSEC": "[1:10,2:12]", "BUNIT": "adu", "EXPTIME": 5.0}
TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 5.0, "CRPIX2": 6.0,
    "CDELT1": -1e-3, "CDELT2": 1e-3,
}  # fmt: skip


def raw(n=3, chunks="auto", dtype="uint16", **cards):
    rows = 1000 + 20 * np.sin(np.arange(NY))[:, None]
    frames = [RNG.normal(rows, 4, (NY, NX + OVER)) + 500 * (np.arange(NX + OVER) < NX) for _ in range(n)]
    return xccd.open_stack([(a.astype(dtype), CARDS | cards) for a in frames], chunks=chunks)


@pytest.mark.parametrize("method", ["median", "mean"])
@pytest.mark.parametrize("chunks", [None, "auto", {"frame": 1, "y": 5, "x": 4}])
@pytest.mark.parametrize("flagged", [False, True])
def test_the_level_of_each_row_is_subtracted(method, chunks, flagged):
    stack = raw(chunks=chunks)
    values = stack.values.astype("f8")
    level = getattr(np, method)(values[:, :, NX:], axis=2, keepdims=True)
    subject = stack.ccd.to_dataset() if flagged else stack
    found = subject.ccd.subtract_overscan(method=method)
    data = found["data"] if flagged else found
    assert data.dtype == np.float32
    np.testing.assert_allclose(data.values, values - level, rtol=1e-5, atol=1e-3)
    for region in ("BIASSEC", "[11:16,*]", slice(NX, None), (slice(None), slice(NX, NX + OVER)), {"x": slice(10, 15)}):
        again = subject.ccd.subtract_overscan(region, method=method)
        xr.testing.assert_identical(again.compute(), found.compute())
    assert data.coords["OSCANSEC"].values.tolist() == ["[11:16,1:12]"] * 3


def test_columns_and_axes_in_another_order():
    stack = raw()
    turned = stack.transpose("x", "frame", "y")
    right = stack.ccd.subtract_overscan()
    np.testing.assert_array_equal(turned.ccd.subtract_overscan().transpose(*stack.dims).values, right.values)
    values = stack.values.astype("f8")
    found = stack.ccd.subtract_overscan("[*,1:3]", method="mean", axis="y")
    np.testing.assert_allclose(found, values - values[:, :3].mean(1, keepdims=True), rtol=1e-5, atol=1e-3)
    wide = stack.ccd.subtract_overscan("[*,1:3]", method="mean")  # shorter along y
    xr.testing.assert_identical(wide.compute(), found.compute())


def test_masked_pixels_of_the_overscan_are_not_used():
    stack = raw().compute()
    stack[0, 0, NX] = np.inf
    stack[1, 4, NX:] = np.nan
    found = stack.ccd.subtract_overscan()
    assert found.values[0, 0, 0] == pytest.approx(stack.values[0, 0, 0] - np.median(stack.values[0, 0, NX + 1 :]))
    assert np.isnan(found.values[1, 4]).all()
    flags = stack.ccd.to_dataset().ccd.subtract_overscan().data_flags.values
    assert set(flags[1, 4].tolist()) == {1, 3}
    assert not flags[0, 1:].any()
    short = stack.ccd.subtract_overscan("[11:16,3:10]")
    assert np.isnan(short.values[:, :2]).all()
    assert np.isfinite(short.values[0, 2:10]).all()


def test_a_polynomial_of_the_levels():
    stack = raw(dtype="float64").compute()
    values = stack.values
    level = values[:, :, NX:].mean(2)
    fits = [np.polynomial.Legendre.fit(np.arange(NY), one, 3)(np.arange(NY)) for one in level]
    found = stack.ccd.subtract_overscan(method="mean", smooth=3)
    np.testing.assert_allclose(found, values - np.array(fits)[:, :, None], rtol=1e-9, atol=1e-7)
    part = stack.ccd.subtract_overscan("[11:16,3:10]", method="mean", smooth=1)
    assert np.isfinite(part.values).all()
    lazily = stack.chunk({"y": 5}).ccd.subtract_overscan(method="mean", smooth=3)
    np.testing.assert_array_equal(lazily, found)


def test_a_running_median_of_the_levels():
    stack = raw(dtype="float64").compute()
    level = stack.values[:, :, NX:].mean(2)
    right = [[np.median(one[max(0, i - 2) : i + 3]) for i in range(NY)] for one in level]
    found = stack.ccd.subtract_overscan(method="mean", window=5)
    np.testing.assert_allclose(found, stack.values - np.array(right)[:, :, None], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"method": "mean"}, {"smooth": 2}, {"window": 7}])
def test_the_error_of_the_level_is_that_of_simulations(options):
    rng = np.random.default_rng(3)
    n, ny, width, s = 300, 40, 16, 5.0
    stack = xr.DataArray(rng.normal(100, s, (n, ny, width + 4)), dims=("frame", "y", "x"))
    ds = stack.ccd.to_dataset(uncertainty=0.0).ccd.subtract_overscan(slice(4, None), **options)
    level = (stack - ds.data).isel(x=0).values
    middle = slice(4, -4)
    claimed = np.sqrt(np.mean(ds.data_uncertainty.values[:, middle, 0] ** 2))
    scatter = np.sqrt(np.mean((level - 100)[:, middle] ** 2))
    assert claimed == pytest.approx(scatter, rel=0.04)  # 9600 levels; with a window neighbours share their pixels


def test_dask_computes_nothing_early():
    def refuse(*args, **options):
        raise AssertionError("computed early")

    stack = raw()
    with dask.config.set(scheduler=refuse):
        found = stack.ccd.subtract_overscan(smooth=2).ccd.trim().ccd.combine("mean")
    assert found.shape == (NY - 1, NX)


@pytest.mark.parametrize("flagged", [False, True])
def test_trim_keeps_pixel_numbers_and_the_wcs(flagged):
    stack = raw(**TAN)
    subject = stack.ccd.create_deviation(1.0, 3.0) if flagged else stack
    part = subject.ccd.trim()
    data = part["data"] if flagged else part
    assert dict(data.sizes) == {"frame": 3, "y": NY - 1, "x": NX}
    assert data.y.values[0] == 1
    np.testing.assert_array_equal(data.values, stack.values[:, 1:, :NX])
    head = data.ccd.header(0)
    assert head["TRIM"] == "[1:10,2:12]"
    assert not {"TRIMSEC", "BIASSEC", "DATASEC"} & set(head)
    assert (head["CRPIX1"], head["CRPIX2"], head["LTV2"]) == (5.0, 5.0, -1.0)
    assert "TRIMSEC" not in data.attrs
    assert "TRIMSEC" in str(data.coords["header"].values[0])
    one = part.ccd.combine("mean")
    made = (one["data"] if flagged else one).ccd.header()
    assert made["TRIM"] == "[1:10,2:12]"
    assert not {"TRIMSEC", "BIASSEC", "DATASEC"} & set(made)
    if flagged:
        assert part.data_uncertainty.shape == part.data_flags.shape == part.data.shape
    xr.testing.assert_identical(subject.ccd.trim("[1:10,2:12]"), part)
    xr.testing.assert_identical(subject.ccd.trim((slice(1, None), slice(0, 10))), part)
    xr.testing.assert_identical(subject.ccd.trim({"x": slice(0, 9), "y": slice(1, None)}), part)


def test_a_section_is_of_the_file_also_in_a_crop_and_with_ltv():
    stack = raw(LTV1=-100.0, LTV2=-50.0)
    assert stack.x.values[0] == 100
    part = stack.ccd.trim()
    assert (part.x.values[0], part.x.values[-1], part.y.values[0]) == (100, 109, 51)
    crop = raw()[:, 3:, 2:]
    assert crop.ccd.trim().x.values.tolist() == list(range(2, 10))
    assert crop.ccd.trim().TRIM.values[0] == "[3:10,4:12]"


def test_datasec_stands_in_and_trees_are_trimmed():
    stack = xccd.open_stack([(np.zeros((4, 6)), {"DATASEC": "[2:4,1:3]"})])
    assert stack.ccd.trim().shape == (1, 3, 3)
    tree = xr.DataTree.from_dict({"a": stack.to_dataset(), "b": stack.to_dataset()})
    assert tree.ccd.trim()["b/data"].shape == (1, 3, 3)
    image = xccd.open_image((np.zeros((4, 6)), {"DATASEC": "[2:4,1:3]"}))
    assert image.ccd.trim().ccd.header()["TRIM"] == "[2:4,1:3]"


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("[1:2]", r"region='\[1:2\]': '\[1:2\]' is no section; a section is '\[x1:x2,y1:y2\]'"),
        ("[5:1,1:2]", "does not run from 1 or more upwards"),
        ("[0:1,1:2]", "does not run from 1 or more upwards"),
        ("TRIMSECC", r"the frames have no TRIMSECC with a section; .*; did you mean 'TRIMSEC'\?$"),
        (
            "[100:200,1:2]",
            r"'\[100:200,1:2\]' reaches beyond the image of 16 x 12 pixels \(x, y\): give a section within",
        ),
        ("[1:17,*]", r"region='\[1:17,\*\]': '\[1:17,\*\]' reaches beyond the image of 16 x 12 pixels"),
        ("[*,1:13]", "reaches beyond the image of 16 x 12 pixels"),
        ({"z": slice(0, 1)}, "give slices of labels without a step"),
    ],
)
def test_regions_that_are_none(region, message):
    for verb in (xccd.trim, xccd.subtract_overscan):
        with pytest.raises(ValueError, match=message):
            verb(raw(), region)


@pytest.mark.parametrize("keyword", ["TRIMSEC", "DATASEC", "BIASSEC"])
def test_sections_of_headers_that_reach_beyond_the_image(tmp_path, keyword):
    path = write(tmp_path / "a.fits", np.zeros((4, 6), "u2"), {keyword: "[2:7,1:4]"})
    verb = xccd.subtract_overscan if keyword == "BIASSEC" else xccd.trim
    message = rf"region='{keyword}': '\[2:7,1:4\]' in {keyword} reaches beyond the image of 6 x 4 pixels"
    in_memory = xccd.open_stack([(np.zeros((4, 6)), {keyword: "[2:7,1:4]"})])
    flagged = xccd.open_dataset(path)
    for subject in (xccd.open_stack(path), xccd.open_image(path), flagged, in_memory):
        for region in (None, keyword):
            with pytest.raises(ValueError, match=message):
                verb(subject, region)
    with pytest.raises(ValueError, match=message):
        verb(xccd.open_stack(path)[:, 1:, :3], keyword)


def test_sections_of_the_file_in_frames_that_were_cropped_since(tmp_path):
    path = write(tmp_path / "a.fits", np.zeros((4, 6), "u2"), {"TRIMSEC": "[2:6,1:4]"})
    for part, size in (((slice(None), slice(0, 3)), 2), ((slice(1, None), slice(3, None)), 3)):
        crop = xccd.open_stack(path)[:, *part]
        assert crop.ccd.trim().sizes["x"] == size
        assert crop.ccd.trim("[2:6,1:4]").sizes["x"] == size
        with pytest.raises(ValueError, match="reaches beyond the image of 6 x 4 pixels"):
            crop.ccd.trim("[2:7,1:4]")
    with pytest.raises(ValueError, match="holds no pixel of the frames"):
        xccd.open_stack(path)[:, :, 3:].ccd.trim("[1:2,1:4]")


def test_absurd_sizes_in_headers_are_not_believed():
    stack = xccd.open_stack([(np.zeros((4, 6)), {"NAXIS1": "1E400", "TRIMSEC": "[1:7,1:4]"})])
    with pytest.raises(ValueError, match="reaches beyond the image of 6 x 4 pixels"):
        stack.ccd.trim()


def test_other_mistakes():
    stack = raw()
    with pytest.raises(TypeError, match=r"region=7: give a section '\[x1:x2,y1:y2\]', a keyword, a slice of columns"):
        stack.ccd.trim(7)
    two = xccd.open_stack([(np.zeros((4, 6)), {"TRIMSEC": f"[{i}:4,1:3]"}) for i in (1, 2)])
    with pytest.raises(ValueError, match=r"frame 0 .* has \[1:4,1:3\], frame 1 .* has \[2:4,1:3\]: select frames"):
        two.ccd.trim()
    with pytest.raises(ValueError, match="no frame has BIASSEC: give region="):
        two.ccd.subtract_overscan()
    for options, message in (
        ({"method": "mode"}, "method='mode' is unknown"),
        ({"axis": 1}, "axis=1 is neither"),
        ({"smooth": -1}, "smooth=-1 is no degree"),
        ({"window": 4}, "window=4 is no odd count"),
        ({"window": 3, "smooth": 1}, "give one of them"),
    ):
        with pytest.raises(ValueError, match=message):
            stack.ccd.subtract_overscan(**options)
    with pytest.raises(ValueError, match=r"is of 'y' and 'x', the stack has \{'frame': 2\}"):
        xr.DataArray([1.0, 2.0], dims="frame").ccd.trim("[1:1,1:1]")
