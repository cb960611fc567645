"""Pictures: what is drawn (arrays, limits, titles, bars) against plain NumPy, what is read for it, and errors."""

import builtins
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

import xccd
from sky import tan
from xccd.compute.strided import every_nth, flags_every_nth
from xccd.labels.lazy import array_of
from xccd.pictures.causes import CAUSES, compared, numbered
from xccd.pictures.figure import DARKEST, MISSING, greys
from xccd.pictures.subject import step_for
from xccd.read.images.pixels import FilePixels

mpl.use("Agg")
SHAPE = (40, 56)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(9):
        frame = rng.normal(500 + i, 5, SHAPE)
        frame[5:7, 3 * i : 3 * i + 3] += 900
        cards = fits.Header([("FILTER", "r" if i < 8 else "g"), ("EXPTIME", 120.0), ("BUNIT", "adu"),
                             ("DATE-OBS", f"2024-03-09T21:0{i}:00"), *tan((20, 28)).items()])  # fmt: skip
        fits.writeto(tmp_path / f"light-{i:03d}.fits", frame.round().astype("u2"), cards)
        made.append(tmp_path / f"light-{i:03d}.fits")
    return made


@pytest.fixture(params=["numpy", "dask", "bands", "deferred"])
def stack(request: pytest.FixtureRequest, files: list[Path]) -> xr.DataArray:
    chunks = {"numpy": None, "dask": "auto", "bands": {"y": 7}, "deferred": None}[request.param]
    made = xccd.open_stack(files, chunks=chunks)
    return made.load() if request.param == "numpy" else made


def clip(stack: Any) -> Any:
    return stack.ccd.sigma_clip(4, 4, center="median", deviation="mad_std")


def images(figure: Figure) -> list[Any]:
    return [image for axes in figure.axes for image in axes.images]


def shown(image: Any) -> np.ndarray[Any, Any]:
    return np.ma.filled(image.get_array().astype(float), np.nan)


# --- preview


def test_preview_shows_the_frames_in_one_stretch(stack: xr.DataArray) -> None:
    figure = stack.ccd.preview()
    made, values = images(figure), stack.values
    assert len(made) == 9
    for image, frame in zip(made, values, strict=True):
        np.testing.assert_array_equal(shown(image), frame)
        assert image.get_clim() == pytest.approx(ZScaleInterval().get_limits(values))
        assert image.origin == "lower"
        assert image.get_extent() == [-0.5, 55.5, -0.5, 39.5]
    assert made[0].axes.get_title() == "light-000\nr, 21:00:00"
    assert made[8].axes.get_title() == "light-008\ng, 21:08:00"
    assert figure.get_suptitle() == "9 frames 40 x 56: 120 s, 2024-03-09"
    assert figure.axes[-1].get_ylabel() == "adu"


def test_one_stretch_for_each(stack: xr.DataArray) -> None:
    figure = stack.ccd.preview(stretch="each")
    for image, frame in zip(images(figure), stack.values, strict=False):
        assert image.get_clim() == pytest.approx(ZScaleInterval().get_limits(frame))
    assert len(figure.axes) == 18  # a bar each
    (alone,) = images(stack[2].ccd.preview(vmin=400, vmax=600))[:1]
    assert alone.get_clim() == (400, 600)
    assert images(stack.ccd.preview(vmax=600, stretch="each"))[1].get_clim()[1] == 600


def test_many_frames_are_thinned_out_with_a_word(stack: xr.DataArray) -> None:
    figure = stack.ccd.preview(n=4)
    assert [image.axes.get_title()[:9] for image in images(figure)] == ["light-000", "light-003", "light-006"]
    assert figure.get_suptitle().splitlines()[-1] == "every 3rd frame, 6 are left out: n=9 shows all"


def test_missing_samples_have_a_colour_of_their_own(stack: xr.DataArray) -> None:
    holes = stack.load().copy()
    holes[1, 4:8] = np.nan
    holes[2] = np.inf
    figure = holes.ccd.preview()
    made = images(figure)
    assert np.isnan(shown(made[1])[4:8]).all()
    assert made[1].axes.get_title().endswith("10 % missing")
    assert made[2].axes.get_title().endswith("no samples")
    assert [text.get_text() for text in made[2].axes.texts] == ["no samples"]
    assert not made[0].axes.texts
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["blue: no sample (missing, masked or rejected)"]
    assert mpl.colors.to_hex(made[0].cmap.get_bad()) == MISSING
    assert not stack.load().ccd.preview().legends


def test_the_colour_of_missing_is_darker_than_any_grey() -> None:
    red, green, blue = mpl.colors.to_rgb(MISSING)
    in_grey = 0.299 * red + 0.587 * green + 0.114 * blue
    assert in_grey < DARKEST / 2
    assert greys()(0.0)[:3] == (DARKEST,) * 3


def test_why_a_frame_could_not_be_opened(files: list[Path]) -> None:
    files[3].write_bytes(b"no image" * 999)
    figure = xccd.open_stack(files, errors="nan", chunks=None).ccd.preview()
    (text,) = images(figure)[3].axes.texts
    assert "not a FITS" in text.get_text().replace("\n", " ")


def test_before_and_after_in_the_stretch_of_before(stack: xr.DataArray) -> None:
    clipped = clip(stack)
    made = images(clipped.ccd.preview(stack))
    assert len(made) == 18
    np.testing.assert_array_equal(shown(made[4]), stack.values[2])
    np.testing.assert_array_equal(shown(made[5]), clipped.values[2])
    assert made[4].axes.get_title().splitlines()[0] == "light-002, original"
    assert {image.get_clim() for image in made} == {made[0].get_clim()}
    assert made[0].get_clim() == pytest.approx(ZScaleInterval().get_limits(stack.values))
    image = clipped[:8].ccd.combine("mean")
    one, other = images(image.ccd.preview(original=stack[3]))
    np.testing.assert_array_equal(shown(one), stack.values[3])
    np.testing.assert_array_equal(shown(other), image.values)
    assert other.axes.get_title().splitlines()[0] == "8 frames combined"
    every = images(stack.ccd.preview(original=stack[0]))
    np.testing.assert_array_equal(shown(every[-2]), stack.values[0])


def test_pairs_stay_in_one_row(stack: xr.DataArray) -> None:
    for image in images(clip(stack).ccd.preview(stack))[::2]:
        assert image.axes.get_subplotspec().colspan.start % 2 == 0


def test_a_flagged_dataset_is_shown_without_flagged_samples(files: list[Path]) -> None:
    for chunks in ("auto", None):
        ds = xccd.open_dataset(files, chunks=chunks).ccd.minmax(max=1400).ccd.sigma_clip(2, 2)
        flags = ds.data_flags.values
        assert flags.any()
        for image, frame, bits in zip(images(ds.ccd.preview()), ds.data.values, flags, strict=True):
            np.testing.assert_array_equal(shown(image), np.where(bits, np.nan, frame))


def test_colours() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal([[[100]], [[200]], [[300]]], 5, (2, 3, 30, 34))
    values[1, 2, 3, 4] = np.nan
    stack = xr.DataArray(values, dims=("frame", "channel", "y", "x"))
    figure = stack.ccd.preview()
    one, two = images(figure)
    assert one.get_array().shape == (30, 34, 4)
    assert tuple(two.get_array()[3, 4]) == (*mpl.colors.to_rgb(MISSING), 1.0)
    low, high = ZScaleInterval().get_limits(values[:, 1][np.isfinite(values[:, 1])])
    shade = DARKEST + (1 - DARKEST) * np.clip((values[0, 1] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(one.get_array()[..., 1], shade)
    assert len(figure.axes) == 2  # no bar
    assert images(stack[0].ccd.preview())[0].get_array().shape == (30, 34, 4)
    assert images(stack.transpose("y", "x", "channel", "frame").ccd.preview())[0].get_array().shape == (30, 34, 4)
    assert shown(images(stack.isel(channel=1).ccd.preview())[0]).shape == (30, 34)


def test_axes_of_the_user(stack: xr.DataArray) -> None:
    figure = Figure()
    axes = figure.subplots()
    image = stack[3].ccd.preview(ax=axes, add_colorbar=False)
    assert image.axes is axes
    assert figure.axes == [axes]
    assert axes.get_title() == "light-003"
    bar = stack.isel(frame=[3]).ccd.preview(ax=Figure().subplots()).axes.figure.axes[1]
    assert bar.get_ylabel() == "adu"


def test_pixel_numbers_of_a_crop(stack: xr.DataArray) -> None:
    (image, *_) = images(stack[:, 8:20:2, 10:30].ccd.preview())
    assert image.get_extent() == [9.5, 29.5, 7.0, 19.0]
    plain = xr.DataArray(np.ones((5, 6)), dims=("row", "column"))
    assert images(plain.ccd.preview())[0].get_extent() == [-0.5, 5.5, -0.5, 4.5]


def test_axes_on_the_sky(stack: xr.DataArray) -> None:
    figure = stack[:2, 10:, 4:].ccd.preview(wcs=True)
    for i, image in enumerate(images(figure)):
        assert image.axes.wcs.wcs.crpix.tolist() == stack[:, 10:, 4:].ccd.wcs(i).wcs.crpix.tolist()
        assert image.get_extent() == [-0.5, 51.5, -0.5, 29.5]
    assert figure.axes[0].coords[0].get_axislabel() == "RA"
    on_sky = Figure().add_subplot(projection=stack.ccd.wcs(0))
    assert stack[0].ccd.preview(ax=on_sky).get_extent() == [-0.5, 55.5, -0.5, 39.5]


def test_keys_of_titles(stack: xr.DataArray) -> None:
    figure = stack.ccd.preview(keys=["FILTER", "NAXIS1", "CRVAL1"])
    assert figure.get_suptitle().startswith("9 frames 40 x 56: NAXIS1 56, CRVAL1 ")
    assert images(figure)[8].axes.get_title() == "light-008\ng"
    assert images(stack.ccd.preview(keys="FILTER"))[0].axes.get_title() == "light-000\nr"
    odd = stack.assign_coords(note=("frame", ["$x_1^{", "$y$", *"abcdefg"]))
    figure = odd.ccd.preview(keys="note")
    figure.canvas.draw()  # no mathematics in what files say
    assert images(figure)[0].axes.get_title() == "light-000\nnote $x_1^{"


@pytest.mark.parametrize("value", [0.0, 7.0, -3e300, 1e-300])
def test_equal_values(value: float) -> None:
    figure = xr.DataArray(np.full((2, 4, 5), value), dims=("frame", "y", "x")).ccd.preview()
    low, high = images(figure)[0].get_clim()
    assert low < value < high or (low, high) == (value, value + 1)
    figure.canvas.draw()


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", ">i4", "f2", ">f4", "f8"])
def test_dtypes(dtype: str) -> None:
    values = np.arange(40).reshape(2, 4, 5).astype(dtype)
    made = images(xr.DataArray(values, dims=("frame", "y", "x")).ccd.preview())
    np.testing.assert_array_equal(shown(made[1]), values[1].astype(float))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (2, 700, 3), (3, 2, 2000), (200, 3, 4)])
def test_shapes(shape: tuple[int, ...]) -> None:
    figure = xr.DataArray(np.random.default_rng(0).normal(size=shape), dims=("frame", "y", "x")).ccd.preview()
    figure.canvas.draw()
    assert max(figure.get_size_inches()) < 30


# --- what is read


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, int]]:
    """The file and the count of rows of each read of pixels."""
    found: list[tuple[Any, int]] = []
    read = FilePixels.read
    if hasattr(FilePixels, "read"):

        def noted(self: Any, index: Any, out: Any) -> None:
            found.append((self.file, index[-2].stop - index[-2].start))
            read(self, index, out)

        monkeypatch.setattr(FilePixels, "read", noted)
    return found


@pytest.fixture
def large(tmp_path: Path) -> list[Path]:
    data = np.arange(2400 * 30, dtype="u2").reshape(2400, 30) % 997
    return [Path(fits.writeto(tmp_path / f"{i:02d}.fits", data + i) or tmp_path / f"{i:02d}.fits") for i in range(20)]


@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_preview_reads_strided_rows_of_its_frames(large: list[Path], rows_read: Any, chunks: Any) -> None:
    stack = xccd.open_stack(large, chunks=chunks)
    rows_read.clear()
    figure = stack.ccd.preview(n=5)
    step = int(re.search(r"every (\d+)", figure.get_suptitle())[1])
    assert step >= 3
    assert len(images(figure)) == 5
    assert sum(n for _, n in rows_read) == 5 * -(-2400 // step)
    assert len({str(file) for file, _ in rows_read}) == 5
    np.testing.assert_array_equal(shown(images(figure)[1]), stack.values[4, ::step, ::step])


@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_clip_is_computed_on_strided_rows(large: list[Path], rows_read: Any, chunks: Any) -> None:
    clipped = clip(xccd.open_stack(large, chunks=chunks).ccd.minmax(max=900))
    rows_read.clear()
    figure = clipped.ccd.preview(n=5)
    step = int(re.search(r"every (\d+)", figure.get_suptitle())[1])
    assert sum(n for _, n in rows_read) == 20 * -(-2400 // step)
    np.testing.assert_array_equal(shown(images(figure)[1]), clipped.values[4, ::step, ::step])


@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_pixel_reads_its_row(large: list[Path], rows_read: Any, chunks: Any) -> None:
    clipped = clip(xccd.open_stack(large, chunks=chunks))
    rows_read.clear()
    clipped.ccd.plot_pixel(1203, 7)
    assert {n for _, n in rows_read} == {1}
    assert len({str(file) for file, _ in rows_read}) == 20


@pytest.mark.parametrize("step", [1, 3, 7])
def test_strided_samples_are_those_of_all(stack: xr.DataArray, step: int, files: list[Path]) -> None:
    bias = stack[:3].ccd.combine("median")
    calibrated = stack.ccd.subtract_bias(bias)
    for one in (stack, clip(stack), calibrated, clip(calibrated), stack[:, 3:31, 2:], stack[2:8], stack + 1.0):
        values = one.copy().values
        np.testing.assert_array_equal(every_nth(array_of(one), step), values[:, ::step, ::step])
        np.testing.assert_array_equal(every_nth(array_of(one), step, [4, 1]), values[[4, 1]][:, ::step, ::step])
        np.testing.assert_array_equal(every_nth(array_of(one), step, [2], columns=1), values[[2]][:, ::step])
    for ds in (stack.ccd.to_dataset(), stack.where(stack < 1000).ccd.to_dataset(), calibrated.ccd.to_dataset()):
        ds = clip(ds.ccd.minmax(max=1200))
        x, flags = array_of(ds.data), array_of(ds.data_flags)
        expected = ds.data_flags.copy().values[[4, 1]][:, ::step, ::step]
        np.testing.assert_array_equal(flags_every_nth(x, flags, step, [4, 1]), expected)


def test_compressed_rows_are_unpacked_once(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 999, (64, 30)).astype("i4")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, tile_shape=(16, 30))]).writeto(tmp_path / "a.fits")
    stack = xccd.open_stack([tmp_path / "a.fits"] * 1, chunks=None)
    assert array_of(stack).unit == 16
    np.testing.assert_array_equal(every_nth(array_of(stack), 3), data[None, ::3, ::3])


def test_step_for() -> None:
    assert [step_for(size, 100) for size in ((100, 50), (101, 50), (50, 1000), (1, 1))] == [1, 2, 10, 1]


# --- rejection


def rejected_by_hand(stack: Any, clipped: Any) -> tuple[Any, Any, Any]:
    """Which samples a clip took out, and which of them lie above the median of the rest."""
    before, after = stack.values, clipped.values
    out = np.isnan(after) & ~np.isnan(before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        high = out & (before > np.nanmedian(np.where(out, np.nan, before), 0))
    return out, high, np.isnan(before)


def bars(axes: Any) -> dict[str, Any]:
    return {box.get_label(): np.array([bar.get_width() for bar in box.patches]) for box in axes.containers}


def test_rejection_against_counts(stack: xr.DataArray) -> None:
    stack = stack.where(stack.x != 50)
    clipped = clip(stack)
    out, high, missing = rejected_by_hand(stack.copy(), clipped.copy())
    lazy = array_of(clipped) is not None and not isinstance(array_of(clipped), np.ndarray)
    for figure in [clipped.ccd.plot_rejection(stack)] + [clipped.ccd.plot_rejection()] * lazy:
        axes, other, _ = figure.axes
        counts = np.where((out | missing).all(0), np.nan, out.sum(0))
        np.testing.assert_array_equal(shown(axes.images[0]), counts)
        found = bars(other)
        if "missing, cause unknown: original= tells it" in found:
            continue  # arithmetic on dask between the files and the clip: nothing is known of it
        np.testing.assert_allclose(found["missing or masked before"], 100 * missing.mean((1, 2)))
        np.testing.assert_allclose(found["rejected as high"], 100 * high.mean((1, 2)))
        if (out & ~high).any():
            np.testing.assert_allclose(found["rejected as low"], 100 * (out & ~high).mean((1, 2)))
        worst = int(out.mean((1, 2)).argmax())
        assert other.get_title() == f"most are rejected of light-{worst:03d}: {100 * out.mean((1, 2))[worst]:.2g} %"
        assert [label.get_text() for label in other.get_yticklabels()] == [f"light-{i:03d}" for i in range(9)]


def test_a_lazy_clip_knows_its_causes(files: list[Path]) -> None:
    for chunks in ("auto", None):
        stack = xccd.open_stack(files, chunks=chunks)
        clipped = clip(stack.ccd.minmax(max=1402))
        found = bars(clipped.ccd.plot_rejection().axes[1])
        np.testing.assert_allclose(found["above the maximum"], 100 * (stack.values > 1402).mean((1, 2)))
        assert found["rejected as high"].any()


def test_causes_of_flags(files: list[Path]) -> None:
    ds = clip(
        xccd.open_dataset(files).ccd.mask_where(np.arange(56) == 3 + np.zeros(SHAPE)).ccd.minmax(min=495)
    ).ccd.grow(1)
    flags = ds.data_flags.values
    left = np.ones(flags.shape, bool)
    found = bars(ds.ccd.plot_rejection().axes[1])
    for cause in CAUSES:
        own = left & ((flags & cause.flags) != 0)
        left &= ~own
        if own.any():
            np.testing.assert_allclose(found[cause.name], 100 * own.mean((1, 2)))
    assert len(found) >= 4


def test_causes_of_an_unknown_clip(stack: xr.DataArray) -> None:
    loaded = clip(stack.load())
    figure = loaded.ccd.plot_rejection()
    assert list(bars(figure.axes[1])) == ["missing, cause unknown: original= tells it"]
    assert figure.axes[1].get_title().startswith("most are missing of light-")
    assert stack.load().ccd.plot_rejection().axes[1].get_title() == "nothing is missing"
    assert stack.load().ccd.plot_rejection(stack).axes[1].get_title() == "nothing is rejected"


def test_parts_of_a_rejection(stack: xr.DataArray) -> None:
    clipped = clip(stack)
    axes = Figure().subplots()
    image = clipped.ccd.plot_rejection(stack, what="map", ax=axes)
    assert image.axes is axes
    made = clipped.ccd.plot_rejection(stack, what="frames", ax=Figure().subplots())
    assert made[-1].get_label() == "rejected as high"
    assert len(clipped.ccd.plot_rejection(stack, what="frames").axes) == 1


def test_numbers_of_causes() -> None:
    flags = np.arange(256, dtype=np.uint8)
    expected = [next((k for k, c in enumerate(CAUSES, 1) if int(f) & c.flags), 0) for f in flags]
    assert numbered(flags).tolist() == expected
    before = np.array([[1.0, 5.0, np.nan, 2.0], [2.0, 5.0, 1.0, 9.0], [9.0, 5.0, 2.0, 8.0]])
    bad = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 1]], bool)
    assert compared(before, bad).tolist() == [[16, 32, 2, 16], [0, 32, 0, 32], [32, 32, 0, 32]]


# --- one pixel


def test_a_pixel_against_its_samples(stack: xr.DataArray) -> None:
    clipped = clip(stack)
    lazy = not isinstance(array_of(clipped), np.ndarray)
    values, out = stack.copy().values[:, 5, 4], np.isnan(clipped.copy().values[:, 5, 4])
    middle = np.median(values[~out])
    assert out[1]
    assert values[1] > middle + 500
    for kept, *low, high in [clipped.ccd.plot_pixel(5, 4, stack)] + [clipped.ccd.plot_pixel(5, 4)] * lazy:
        np.testing.assert_array_equal(kept.get_offsets(), [(i, values[i]) for i in range(9) if not out[i]])
        for some, side in zip([*low, high], [values < middle] * len(low) + [values > middle], strict=True):
            np.testing.assert_array_equal(some.get_offsets(), [(i, values[i]) for i in range(9) if (out & side)[i]])
        assert high.get_label() == "rejected as high"
        assert kept.axes.get_title() == f"pixel y = 5, x = 4: {9 - out.sum()} of 9 samples are kept"
        assert kept.axes.get_ylabel() == "adu"


def test_a_pixel_of_flags_and_of_nothing_known(files: list[Path]) -> None:
    ds = clip(xccd.open_dataset(files).ccd.minmax(min=503))
    values, flags = ds.data.values[:, 5, 4], ds.data_flags.values[:, 5, 4]
    made = ds.ccd.plot_pixel(5, 4)
    below = next(some for some in made if some.get_label() == "below the minimum")
    np.testing.assert_array_equal(below.get_offsets(), [(i, values[i]) for i in np.flatnonzero(flags == 4)])
    loaded = clip(xccd.open_stack(files).load())
    _, lost = loaded.ccd.plot_pixel(5, 4)
    assert lost.get_label() == "missing, cause unknown: original= tells it, no value"
    assert [1, 0.02] in lost.get_offsets().tolist()


def test_pixel_numbers_are_those_of_the_axes(stack: xr.DataArray) -> None:
    crop = stack[:, 4:, 2::2]
    (kept,) = crop.ccd.plot_pixel(5, 8)
    np.testing.assert_array_equal(kept.get_offsets()[:, 1], stack.values[:, 5, 8])
    axes = Figure().subplots()
    assert stack.ccd.plot_pixel(5, 8, ax=axes)[0].axes is axes
    with pytest.raises(ValueError, match=r"x=9 is no pixel of this stack: x goes from 2 to 54 by steps of 2"):
        crop.ccd.plot_pixel(5, 9)


# --- noise


def test_noise_against_means(stack: xr.DataArray) -> None:
    measured, expected = stack.ccd.plot_noise()
    values = stack.values

    def noise(image: Any) -> float:
        apart = np.abs(2 * image[:, 2:-2] - image[:, :-4] - image[:, 4:])
        return 1.482602218505602 / np.sqrt(6) * np.median(apart)

    of_means = [noise(values[:n].mean(0, dtype=float)) for n in range(1, 10)]
    np.testing.assert_array_equal(measured.get_xdata(), np.arange(1, 10))
    np.testing.assert_allclose(measured.get_ydata(), of_means, rtol=1e-5)
    single = np.median([noise(frame.astype(float)) for frame in values])
    np.testing.assert_allclose(expected.get_ydata(), single / np.sqrt(np.arange(1, 10)), rtol=1e-5)
    assert measured.axes.get_ylabel() == "noise [adu]"
    axes = Figure().subplots()
    assert stack.ccd.plot_noise(ax=axes)[0].axes is axes


def test_noise_of_many_frames_and_of_missing_samples() -> None:
    values = np.random.default_rng(0).normal(9, 1, (150, 20, 30))
    values[::3, 2] = np.nan
    measured, expected = xr.DataArray(values, dims=("frame", "y", "x")).ccd.plot_noise()
    assert len(measured.get_xdata()) < 45
    assert measured.get_xdata()[[0, -1]].tolist() == [1, 150]
    assert measured.get_ydata()[-1] == pytest.approx(expected.get_ydata()[-1], rel=0.15)
    same = xr.DataArray(np.ones((3, 4, 9)), dims=("frame", "y", "x"))
    assert same.ccd.plot_noise()[0].get_ydata().tolist() == [0, 0, 0]


# --- transforms


def found_transforms() -> xr.Dataset:
    turned = [[-1.0, 0, 99], [0, -1, 79]]
    mirrored = [[1.0, 0, 5], [0, -1, 79]]
    return xr.Dataset(
        {
            "matrix": (("frame", "axis", "term"), [np.eye(2, 3), turned, mirrored]),
            "residual": ("frame", [0.0, 0.2, 0.1]),
            "stars_matched": ("frame", [30, 21, 1]),
            "shape": (("frame", "side"), [[80, 100]] * 3),
        },
        coords={"axis": ["x", "y"], "file": ("frame", ["n/a.fits", "n/b.fits", "n/c.fits"])},
        attrs={"model": "similarity", "reference": 0},
    )


def test_transforms_are_drawn_as_they_are() -> None:
    found = found_transforms()
    figure = found.ccd.plot_transforms()
    one, other = figure.axes
    corners = [patch.get_xy()[0].tolist() for patch in one.patches]
    assert corners == [[-0.5, -0.5], [99.5, 79.5], [4.5, 79.5]]
    assert [patch.get_linestyle() for patch in one.patches] == ["-", "-", "--"]
    assert [bar.get_width() for bar in other.patches] == [0.0, 0.2, 0.1]
    assert [text.get_text() for text in other.texts] == ["30 stars", "21 stars", "1 star"]
    assert [label.get_text() for label in other.get_yticklabels()] == ["a", "b", "c"]
    figure.canvas.draw()
    axes = Figure().subplots()
    assert len(xccd.plot_transforms(found, what="frames", ax=axes)) == 3
    assert len(xccd.plot_transforms(found.isel(frame=[1]), what="residuals").axes) == 1


# --- blink


def test_blink_writes_a_gif_and_a_player(stack: xr.DataArray, tmp_path: Path) -> None:
    from PIL import Image

    path = stack[:4].ccd.blink(tmp_path / "a.gif", fps=5)
    assert path == tmp_path / "a.gif"
    with Image.open(path) as gif:
        assert gif.n_frames == 4
        assert gif.info["duration"] == 200
    player = stack[:4].ccd.blink(n=2)
    assert repr(player).startswith("Blink of 2 frames (every 2nd frame, 2 are left out: n=4 shows all)")
    assert "<img" in player._repr_html_()
    player.save(tmp_path / "b.gif")
    with pytest.raises(FileExistsError, match=r"a\.gif' is there already: overwrite=True"):
        stack[:4].ccd.blink(tmp_path / "a.gif")
    stack[:2].ccd.blink(str(tmp_path / "a.gif"), overwrite=True)
    with Image.open(path) as gif:
        assert gif.n_frames == 2
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".fits") == ["a.gif", "b.gif"]


def test_an_mp4_needs_ffmpeg(stack: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.animation import FFMpegWriter

    if FFMpegWriter.isAvailable():
        assert stack[:2].ccd.blink(tmp_path / "b.mp4").stat().st_size > 0
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(OSError, match=r"a\.mp4': an MP4 needs ffmpeg, which is not installed here: write a \.gif"):
        stack.ccd.blink(tmp_path / "a.mp4")


# --- errors, before anything is drawn or read


IMAGE = xr.DataArray(np.ones((4, 5)), dims=("y", "x"))
FRAMES = xr.DataArray(np.ones((3, 4, 5)), dims=("frame", "y", "x"))
FOUND = found_transforms()


def axes_of(*shape: int) -> Any:
    return Figure().subplots(*shape)


def test_a_folder_is_no_blink(tmp_path: Path) -> None:
    (tmp_path / "a.gif").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a.gif' is a folder: name a file in it, as .*blink.gif"):
        FRAMES.ccd.blink(tmp_path / "a.gif", overwrite=True)


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "a tree": (lambda: xr.DataTree().ccd.preview(), TypeError, "takes a DataArray or a Dataset, not a DataTree"),
    "an array": (lambda: xccd.preview(np.ones((4, 5))), TypeError, "not a ndarray|not an ndarray"),
    "a cube": (lambda: FRAMES.expand_dims("z").ccd.preview(), ValueError, r"not \{.*\}: pick a plane, as isel\(z=0\)"),
    "a row": (lambda: FRAMES[:, 0].ccd.preview(), ValueError, r"preview shows images \(y, x\), or a stack of them"),
    "planes": (lambda: FRAMES.rename(frame="channel").expand_dims(frame=2).isel(channel=[0, 1]).ccd.preview(),
               ValueError, "colours are 3 planes along 'channel', these are 2: pick one"),
    "two images": (lambda: xr.Dataset({"a": IMAGE, "b": IMAGE}).ccd.preview(), ValueError,
                   r"takes one stack, this Dataset has a, b: pick one with its maps, as ds\['a'\]"),
    "no frames": (lambda: FRAMES[:0].ccd.preview(), ValueError, "the stack is empty"),
    "no pixels": (lambda: FRAMES[:, :0].ccd.preview(), ValueError, "there is no pixel"),
    "complex": (lambda: (FRAMES * 1j).ccd.preview(), TypeError, "must be real numbers"),
    "n": (lambda: FRAMES.ccd.preview(n=0), ValueError, "n=0 is below 1"),
    "n of text": (lambda: FRAMES.ccd.preview(n="all"), TypeError, "n='all' is no whole number"),
    "columns": (lambda: FRAMES.ccd.preview(col_wrap=-1), ValueError, "col_wrap=-1 is below 1"),
    "stretch": (lambda: FRAMES.ccd.preview(stretch="eech"), ValueError, "'eech' is unknown.*did you mean 'each'"),
    "limits": (lambda: FRAMES.ccd.preview(vmin=5, vmax=5), ValueError, "vmin=5 is not below vmax=5"),
    "a limit of text": (lambda: FRAMES.ccd.preview(vmin="low"), TypeError, "vmin='low' is no number"),
    "a limit of nan": (lambda: FRAMES.ccd.preview(vmax=np.nan), ValueError, "vmax=nan is not finite"),
    "keys": (lambda: FRAMES.assign_coords(FILTER=("frame", ["g"] * 3)).ccd.preview(keys="FILTR"), ValueError,
             "keys='FILTR': no frame has .* did you mean 'FILTER'"),
    "keys of numbers": (lambda: FRAMES.ccd.preview(keys=[1]), TypeError, "1 is no keyword"),
    "no WCS": (lambda: FRAMES.ccd.preview(wcs=True), ValueError, "has no WCS"),
    "a WCS given": (lambda: FRAMES.ccd.preview(wcs="RA"), TypeError, "wcs='RA' is not True or False"),
    "ax of many": (lambda: FRAMES.ccd.preview(ax=axes_of()), ValueError, r"are 3 frames.*isel\(frame=0\)"),
    "ax of a pair": (lambda: IMAGE.ccd.preview(IMAGE, ax=axes_of()), ValueError, "there are two pictures"),
    "ax that is none": (lambda: IMAGE.ccd.preview(ax=3), TypeError, "ax= is of type int"),
    "ax of several": (lambda: IMAGE.ccd.preview(ax=axes_of(2)), TypeError, r"give one of them, as axes\.flat"),
    "ax without WCS": (lambda: xccd.open_stack([(np.ones((4, 5)), tan((2, 2)))])[0].ccd.preview(
        wcs=True, ax=axes_of()), ValueError, "wcs=True: ax has no WCS"),
    "original of other pixels": (lambda: FRAMES.ccd.preview(FRAMES[:, 1:]), ValueError,
                                 r"original= has the sizes .*'y': 3.*the same pixels of both"),
    "original of other frames": (lambda: FRAMES.ccd.preview(FRAMES[:2]), ValueError,
                                 "original= has 2 frames, there are 3 to compare: give the same frames"),
    "original of an image": (lambda: IMAGE.ccd.preview(FRAMES), ValueError, r"give original=stack\.isel\(frame=0\)"),
    "a number first": (lambda: FRAMES.ccd.preview(2), TypeError, "original=2 is a number.*did you mean n=2"),
    "no such colormap": (lambda: FRAMES.ccd.preview(cmap="nope"), ValueError, "cmap='nope' is no colormap"),
    "a colormap of numbers": (lambda: FRAMES.ccd.blink(cmap=5), TypeError, "cmap=5 is no colormap"),
    "frames of another name": (lambda: FRAMES.rename(frame="time").ccd.preview(), ValueError, "as dim='time'"),
    "original of text": (lambda: FRAMES.ccd.preview("raw.fits"), TypeError, "original=: preview takes"),
    "rejection of an image": (lambda: IMAGE.ccd.plot_rejection(), ValueError, "plot_rejection shows a stack"),
    "rejection of colours": (lambda: FRAMES.rename(frame="channel").expand_dims(frame=2).ccd.plot_rejection(),
                             ValueError, "takes one colour: pick it, as stack.sel"),
    "what": (lambda: FRAMES.ccd.plot_rejection(what="maps"), ValueError, "what='maps' is unknown.*did you mean 'map'"),
    "both in one": (lambda: FRAMES.ccd.plot_rejection(ax=axes_of()), ValueError, "what='both' has two"),
    "rejection, one original": (lambda: FRAMES.ccd.plot_rejection(FRAMES[0]), ValueError, "has 1 frames, there are 3"),
    "pixel outside": (lambda: FRAMES.ccd.plot_pixel(4, 0), ValueError, "y=4 is no pixel .* from 0 to 3"),
    "pixel between": (lambda: FRAMES.ccd.plot_pixel(0, 0.5), ValueError, r"x=0\.5 is no pixel"),
    "pixel of text": (lambda: FRAMES.ccd.plot_pixel("a", 0), TypeError, "y='a' is no number"),
    "pixel of nan": (lambda: FRAMES.ccd.plot_pixel(np.nan, 0), ValueError, "y=nan is no pixel"),
    "pixel of an image": (lambda: IMAGE.ccd.plot_pixel(0, 0), ValueError, "plot_pixel shows a stack"),
    "noise of an image": (lambda: IMAGE.ccd.plot_noise(), ValueError, "plot_noise shows a stack"),
    "noise of 4 columns": (lambda: FRAMES[..., :4].ccd.plot_noise(), ValueError, "rows of 5 pixels .* have 4"),
    "noise of nothing": (lambda: (FRAMES * np.nan).ccd.plot_noise(), ValueError, "no noise can be measured"),
    "transforms of a stack": (lambda: FRAMES.ccd.plot_transforms(), TypeError, "takes what find_transforms"),
    "transforms without": (lambda: xr.Dataset({"a": IMAGE}).ccd.plot_transforms(), ValueError, "no matrix, residual"),
    "what of transforms": (lambda: FOUND.ccd.plot_transforms(what="all"), ValueError, "'all' is unknown"),
    "both transforms": (lambda: FOUND.ccd.plot_transforms(ax=axes_of()), ValueError,
                        "what='both' has two"),
    "blink of an image": (lambda: IMAGE.ccd.blink(), ValueError, "blink shows two frames or more"),
    "blink without end": (lambda: FRAMES.ccd.blink("a"), ValueError, r"path='a' ends in neither \.gif nor \.mp4"),
    "blink to a number": (lambda: FRAMES.ccd.blink(3), TypeError, "path=3 is an int, not a path"),
    "blink to nowhere": (lambda: FRAMES.ccd.blink("no/such/a.gif"), OSError, "there is no folder no/such"),
    "fps": (lambda: FRAMES.ccd.blink(fps=0), ValueError, "fps=0 is not above 0"),
    "fps of text": (lambda: FRAMES.ccd.blink(fps="2"), TypeError, "fps='2' is no number"),
    "blink of one": (lambda: FRAMES.ccd.blink(n=1), ValueError, "n=1 is below 2"),
    "blink stretch": (lambda: FRAMES.ccd.blink(stretch="one"), ValueError, "stretch='one' is unknown"),
    "an unknown argument": (lambda: FRAMES.ccd.preview(nmax=3), TypeError, "preview.* has no argument 'nmax'"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call, kind, text = ERRORS[name]
    monkeypatch.setattr("xccd.pictures.subject.Subject.look", None)  # nothing is read
    if name == "noise of nothing":
        monkeypatch.undo()
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize("function", ["preview", "plot_rejection", "plot_noise", "blink", "plot_pixel"])
def test_without_matplotlib(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    arguments = (0, 0) if function == "plot_pixel" else ()
    with pytest.raises(ImportError, match=r"pip install 'xccd\[plot\]' or conda install matplotlib-base"):
        getattr(FRAMES.ccd, function)(*arguments)


def test_no_pyplot_for_axes_of_the_user_and_no_figure_left_behind() -> None:
    code = """
import sys, numpy as np, xarray as xr, xccd
assert "matplotlib" not in sys.modules
from matplotlib.figure import Figure
frames = xr.DataArray(np.random.default_rng(0).normal(size=(3, 8, 9)), dims=("frame", "y", "x"))
frames[0].ccd.preview(ax=Figure().subplots())
frames.ccd.plot_noise(ax=Figure().subplots())
frames.ccd.plot_pixel(1, 2, ax=Figure().subplots())
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
matplotlib.use("Agg")
figure = frames.ccd.preview()
import matplotlib.pyplot as plt
assert plt.get_fignums() == []
assert figure._repr_png_().startswith(b"\\x89PNG")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_window_where_pyplot_opens_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "get_backend", lambda: "QtAgg")
    figure = FRAMES.ccd.preview()
    assert figure is plt.gcf()
    plt.close(figure)


# --- viewers of others, where they are installed


def test_ginga_takes_a_frame(stack: xr.DataArray) -> None:
    viewer = pytest.importorskip("ginga.AstroImage")
    image = viewer.AstroImage()
    image.load_nddata(stack[0].ccd.to_ccddata())
    np.testing.assert_array_equal(image.get_data(), stack[0].values)


def test_the_image_display_api_takes_a_frame(stack: xr.DataArray) -> None:
    api = pytest.importorskip("astro_image_display_api.image_viewer_logic")
    viewer = api.ImageViewerLogic()
    viewer.load_image(stack[0].ccd.to_ccddata())
    np.testing.assert_array_equal(viewer.get_image().data, stack[0].values)
