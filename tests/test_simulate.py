"""The made-up night: the same twice, honest in its headers, and as noisy as its camera."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import xccd.simulate
from xccd.simulate import simulate_night

GAIN, READ_NOISE = 1.5, 7.0
SMALL: dict[str, Any] = {"shape": (40, 48), "nbias": 2, "ndark": 1, "nflat": 1, "nlight": 2}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    return simulate_night(folder, seed=3, shape=(192, 256), nbias=6, ndark=8, nflat=4, nlight=7)


def pixels(night: Path, pattern: str) -> np.ndarray[Any, Any]:
    return np.stack([fits.getdata(path) for path in sorted(night.glob(pattern))]).astype(float)


def truth(night: Path, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(fits.getdata(night / "truth" / f"{name}.fits"))


def headers(night: Path, pattern: str = "*.fits") -> list[fits.Header]:
    return [fits.getheader(path) for path in sorted(night.glob(pattern))]


def contents(night: Path) -> dict[str, bytes]:
    files = (path for path in night.rglob("*") if path.is_file())
    return {path.relative_to(night).as_posix(): path.read_bytes() for path in files}


# What is written


def test_names_of_the_files(tmp_path: Path) -> None:
    assert simulate_night(tmp_path / "a" / "night", **SMALL) == tmp_path / "a" / "night"
    assert sorted(contents(tmp_path / "a" / "night")) == [
        "bias-001.fits", "bias-002.fits", "dark-120s-001.fits", "dark-60s-001.fits",
        "flat-g-001.fits", "flat-r-001.fits", "light-r-001.fits", "light-r-002.fits",
        "truth/bias.fits", "truth/cosmic-rays.fits", "truth/dark-rate.fits",
        "truth/flat-g.fits", "truth/flat-r.fits", "truth/sky-and-stars.fits", "truth/stars.csv",
    ]  # fmt: skip


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    once, again, other = (
        contents(simulate_night(tmp_path / name, seed=seed, dither=3, **SMALL))
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    assert once == again
    assert all(once[name] != other[name] for name in once)


def test_lights_do_not_depend_on_the_calibration_frames(tmp_path: Path) -> None:
    more = SMALL | {"nbias": 5, "ndark": 0, "nflat": 3}
    few, many = (
        contents(simulate_night(tmp_path / f"{number}", **counts)) for number, counts in enumerate((SMALL, more))
    )
    kept = [name for name in few if name.startswith(("light", "truth"))]
    assert len(kept) == 9
    assert all(few[name] == many[name] for name in kept)


def test_frames_of_one_kind_differ(night: Path) -> None:
    for series in ("bias", "dark-60s", "flat-g", "light-r"):
        first, second = pixels(night, f"{series}-00[12].fits")
        assert (first != second).mean() > 0.5


def test_a_kind_can_be_left_out(tmp_path: Path) -> None:
    simulate_night(tmp_path, shape=(32, 32), nbias=0, ndark=0, nflat=0, nlight=0)
    assert not list(tmp_path.glob("*.fits"))
    assert truth(tmp_path, "sky-and-stars").shape == (32, 32)
    with fits.open(tmp_path / "truth" / "cosmic-rays.fits") as hdus:
        assert hdus[0].header["NAXIS3"] == 0


def test_truth_is_of_the_night_s_shape(night: Path) -> None:
    for name in ("sky-and-stars", "flat-g", "flat-r", "bias", "dark-rate"):
        assert truth(night, name).dtype == np.dtype(">f4")
        assert truth(night, name).shape == (192, 256)
    assert truth(night, "cosmic-rays").shape == (7, 192, 256)
    assert set(np.unique(truth(night, "cosmic-rays"))) == {0, 1}
    header = (night / "truth" / "stars.csv").read_text("ascii").splitlines()[0]
    assert header == "x,y,flux_e,ra,dec"


def test_import_loads_no_more_than_numpy() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print({'astropy', 'scipy', 'xarray', 'pandas'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, xccd.simulate.__file__]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "set()\n"


# Headers


def test_raw_frames_are_unsigned_16_bit(night: Path) -> None:
    for path in night.glob("*.fits"):
        assert fits.getdata(path).dtype == np.uint16
        assert fits.getheader(path)["BZERO"] == 32768


@pytest.mark.parametrize(
    ("pattern", "kind", "seconds", "band"),
    [
        ("bias-*", "Bias Frame", 0.0, None),
        ("dark-60s-*", "Dark Frame", 60.0, None),
        ("dark-120s-*", "Dark Frame", 120.0, None),
        ("flat-g-*", "Flat Field", 2.0, "g"),
        ("flat-r-*", "Flat Field", 1.5, "r"),
        ("light-r-*", "Light Frame", 120.0, "r"),
    ],
)
def test_header_says_what_the_frame_is(night: Path, pattern: str, kind: str, seconds: float, band: str | None) -> None:
    for header in headers(night, pattern):
        assert (header["IMAGETYP"], header["EXPTIME"]) == (kind, seconds)
        assert header.get("FILTER") == band
        assert (header["GAIN"], header["RDNOISE"], header["BUNIT"]) == (GAIN, READ_NOISE, "adu")
        assert header["CCD-TEMP"] == pytest.approx(-10, abs=0.5)
        assert all(header[key] for key in ("OBJECT", "INSTRUME", "TELESCOP"))
        assert ("AIRMASS" in header) == ("CRVAL1" in header) == (kind == "Light Frame")
        assert "DATE" not in header


def test_exposures_follow_each_other(night: Path) -> None:
    starts = sorted((datetime.fromisoformat(header["DATE-OBS"]), header["EXPTIME"]) for header in headers(night))
    for (start, seconds), (following, _) in pairwise(starts):
        assert following >= start + timedelta(seconds=seconds + 2)
    assert all(len(header["DATE-OBS"]) == len("2024-03-09T21:00:00.000") for header in headers(night))


def test_airmass_rises_smoothly(night: Path) -> None:
    airmass = [header["AIRMASS"] for header in headers(night, "light-*")]
    steps = np.diff(airmass)
    assert airmass[0] > 1
    assert (steps > 0).all()
    assert steps.max() < 0.01


# Noise and structure


def test_bias_noise_is_the_read_noise(night: Path) -> None:
    frames = pixels(night, "bias-*")
    # Rounding to whole adu adds the variance of a uniform distribution.
    expected = np.sqrt((READ_NOISE / GAIN) ** 2 + 1 / 12)
    assert np.std(frames[1] - frames[0]) / np.sqrt(2) == pytest.approx(expected, rel=0.02)
    residual = frames.mean(0) - truth(night, "bias")
    assert residual.std() == pytest.approx(expected / np.sqrt(len(frames)), rel=0.02)
    assert abs(residual.mean()) < 0.05


@pytest.mark.parametrize("band", ["g", "r"])
def test_flat_noise_follows_the_ccd_equation(night: Path, band: str) -> None:
    good = truth(night, f"flat-{band}") > 0
    flat, bias = truth(night, f"flat-{band}")[good], truth(night, "bias")[good]
    shapes = (pixels(night, f"flat-{band}-*")[:, good] - bias) / flat
    level = shapes.mean(1)
    noise = [np.std((shape - mean) * flat) for shape, mean in zip(shapes, level, strict=True)]
    expected = np.sqrt(level * flat.mean() / GAIN + (READ_NOISE / GAIN) ** 2)
    assert noise == pytest.approx(expected, rel=0.02)


def test_lamp_drifts_by_some_per_cent(night: Path) -> None:
    level = np.median(pixels(night, "flat-r-*"), axis=(1, 2))
    assert 0.02 < np.ptp(level) / level.mean() < 0.2


def test_dark_charge_scales_with_exposure(night: Path) -> None:
    rate, bias = truth(night, "dark-rate"), truth(night, "bias")
    hot, warm = rate > 20, (rate > 1) & (rate < 15)
    assert 10 < hot.sum() < warm.sum() < 0.01 * rate.size
    short, long = (GAIN * (pixels(night, f"dark-{seconds}s-*").mean(0) - bias) for seconds in (60, 120))
    assert long[hot] / short[hot] == pytest.approx(2, rel=0.05)
    for seconds, charge in ((60, short), (120, long)):
        for chosen in (hot, warm, rate < 1):
            assert charge[chosen].mean() == pytest.approx(seconds * rate[chosen].mean(), rel=0.02)


def test_one_column_is_dead_all_night(night: Path) -> None:
    (dead,) = np.flatnonzero((truth(night, "flat-r") == 0).all(0))
    assert (truth(night, "flat-g")[:, dead] == 0).all()
    for pattern in ("flat-*", "light-*", "dark-*"):
        residual = pixels(night, pattern)[:, :, dead] - truth(night, "bias")[:, dead]
        assert residual.std() == pytest.approx(READ_NOISE / GAIN, rel=0.1)


def test_lights_average_to_the_truth(night: Path) -> None:
    flat, dark = truth(night, "flat-r"), 120 * truth(night, "dark-rate")
    sky, struck = truth(night, "sky-and-stars"), truth(night, "cosmic-rays") > 0
    lights = pixels(night, "light-*")
    usable = (flat > 0) & ~struck.any(0) & (lights < 65535).all(0)
    electrons = GAIN * (lights.mean(0) - truth(night, "bias")) - dark
    noise = np.sqrt((sky * flat + dark + READ_NOISE**2) / len(lights))
    pull = ((electrons - flat * sky) / noise)[usable]
    assert abs(pull.mean()) < 0.02
    assert pull.std() == pytest.approx(1, rel=0.02)


def test_cosmic_rays_are_where_the_truth_says(night: Path) -> None:
    lights, struck = pixels(night, "light-*"), truth(night, "cosmic-rays") > 0
    usual = np.median(lights, axis=0)
    noise = np.sqrt((usual - truth(night, "bias")) / GAIN + (READ_NOISE / GAIN) ** 2)
    # A star's noise and the rise of the sky hide few, and pretend to few.
    bright = (lights - usual) / noise > 6
    satellite = len(lights) // 2
    for index in set(range(len(lights))) - {satellite}:
        assert 8 < struck[index].sum() < 0.01 * usual.size
        assert bright[index][struck[index]].mean() > 0.95
        assert bright[index][~struck[index]].mean() < 1e-3


def test_one_light_has_a_trail(night: Path) -> None:
    lights, struck = pixels(night, "light-*"), truth(night, "cosmic-rays") > 0
    count = struck.sum((1, 2))
    assert np.argmax(count) == 3
    assert count[3] > 5 * np.delete(count, 3).max()
    excess = (lights[3] - np.median(lights, axis=0))[struck[3]]
    assert np.median(excess) > 100


def test_the_brightest_star_saturates(tmp_path: Path) -> None:
    simulate_night(tmp_path, nbias=0, ndark=0, nflat=0, nlight=1)
    stars = np.genfromtxt(tmp_path / "truth" / "stars.csv", delimiter=",", names=True)
    assert len(stars) == 150
    light = pixels(tmp_path, "light-*")[0]
    brightest = stars[np.argmax(stars["flux_e"])]
    assert light.max() == light[round(brightest["y"]), round(brightest["x"])] == 65535


def test_true_stars_hold_the_flux_listed(night: Path) -> None:
    stars = np.genfromtxt(night / "truth" / "stars.csv", delimiter=",", names=True)
    ny, nx = truth(night, "bias").shape
    inside = (abs(stars["x"] - nx / 2) < nx / 2 - 22) & (abs(stars["y"] - ny / 2) < ny / 2 - 22)
    star = stars[inside][:1]
    alone = np.stack([star[column] for column in ("x", "y", "flux_e")])
    light = xccd.simulate._starlight((ny, nx), alone, np.zeros(2))
    assert light.sum() == pytest.approx(star["flux_e"][0], rel=2e-3)


# Pointing


def centroid(image: np.ndarray[Any, Any], x: float, y: float) -> tuple[float, float] | None:
    """The middle of the light near (x, y); nothing where a pixel is bad or over the edge."""
    row, column = round(y), round(x)
    dy, dx = np.mgrid[-4:5, -4:5]
    stamp = image[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
    if stamp.shape != dy.shape or np.isnan(stamp).any():
        return None
    light = np.clip(stamp - np.percentile(stamp, 30), 0, None)
    shift_x, shift_y = ((d * light).sum() / light.sum() for d in (dx, dy))
    return column + float(shift_x), row + float(shift_y)


@pytest.mark.filterwarnings("ignore:'datfix':astropy.wcs.FITSFixedWarning")
def test_dither_moves_the_stars_as_the_wcs_says(tmp_path: Path) -> None:
    shape = (256, 256)
    simulate_night(tmp_path, seed=1, shape=shape, nbias=0, ndark=0, nflat=0, nlight=4, dither=12.5)
    stars = np.genfromtxt(tmp_path / "truth" / "stars.csv", delimiter=",", names=True)[:10]
    flat = np.where(truth(tmp_path, "flat-r") > 0, truth(tmp_path, "flat-r"), np.nan)
    images = (pixels(tmp_path, "light-*") - truth(tmp_path, "bias")) / flat
    images[truth(tmp_path, "cosmic-rays") > 0] = np.nan
    offsets = []
    for header, image in zip(headers(tmp_path, "light-*"), images, strict=True):
        said = np.transpose(WCS(header).wcs_world2pix(stars["ra"], stars["dec"], 0))
        offsets.append((said - np.transpose([stars["x"], stars["y"]])).mean(0))
        found = [centroid(image, x, y) for x, y in said]
        errors = [np.subtract(at, to) for at, to in zip(found, said, strict=True) if at]
        assert len(errors) >= 4
        assert np.median(np.abs(errors)) < 0.1
    assert offsets[0] == pytest.approx([0, 0], abs=1e-3)
    assert 2 < np.abs(offsets).max() <= 12.5
    assert np.abs(np.diff(offsets, axis=0)).max(1).min() > 0.5


def test_without_dither_every_light_points_alike(night: Path) -> None:
    assert len({(header["CRPIX1"], header["CRPIX2"]) for header in headers(night, "light-*")}) == 1


# Errors


def test_a_night_is_not_overwritten_unasked(tmp_path: Path) -> None:
    before = contents(simulate_night(tmp_path, **SMALL))
    with pytest.raises(FileExistsError, match=rf"{tmp_path.name} already.*overwrite=True"):
        simulate_night(tmp_path, seed=1, **SMALL)
    assert contents(tmp_path) == before


def test_other_files_do_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m31.fits").write_bytes(b"mine")
    simulate_night(tmp_path, **SMALL)
    assert (tmp_path / "m31.fits").read_bytes() == b"mine"


def test_overwrite_leaves_one_night_and_other_files(tmp_path: Path) -> None:
    simulate_night(tmp_path / "twice", **SMALL | {"nbias": 9, "nflat": 3})
    (tmp_path / "twice" / "bias-master.fits").write_bytes(b"mine")
    simulate_night(tmp_path / "twice", seed=1, overwrite=True, **SMALL)
    after = contents(tmp_path / "twice")
    assert after.pop("bias-master.fits") == b"mine"
    assert after == contents(simulate_night(tmp_path / "fresh", seed=1, **SMALL))


@pytest.mark.parametrize("place", ["", "truth"])
def test_a_file_where_a_folder_is_needed(tmp_path: Path, place: str) -> None:
    path = tmp_path / "night" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(NotADirectoryError, match=f"{path.name} is a file"):
        simulate_night(tmp_path / "night", overwrite=True, **SMALL)


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("nbias", -1, ValueError, r"nbias=-1 .*0 or more"),
        ("ndark", 2.0, TypeError, r"ndark=2\.0 is not a whole number"),
        ("nflat", "3", TypeError, r"nflat='3' is not a whole number"),
        ("nlight", True, TypeError, r"nlight=True is not a whole number"),
        ("seed", -3, ValueError, r"seed=-3 .*0 or more"),
        ("seed", None, TypeError, r"seed=None is not a whole number"),
        ("shape", (31, 64), ValueError, r"shape\[0\]=31 .*32 or more"),
        ("shape", (64, 64.0), TypeError, r"shape\[1\]=64\.0 is not a whole number"),
        ("shape", (64,), TypeError, r"shape=\(64,\) is not a pair"),
        ("shape", 64, TypeError, r"shape=64 is not a pair"),
        ("dither", -0.5, ValueError, r"dither=-0\.5 .*0 or more"),
        ("dither", float("nan"), ValueError, r"dither=nan"),
        ("dither", float("inf"), ValueError, r"dither=inf"),
        ("dither", "2", TypeError, r"dither='2' is not a number"),
    ],
)
def test_nonsense_is_refused_before_any_work(
    tmp_path: Path, argument: str, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        simulate_night(tmp_path / "night", **SMALL | {argument: value})
    assert not (tmp_path / "night").exists()


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    few = {name: np.int64(value) for name, value in SMALL.items() if name != "shape"}
    plain = contents(simulate_night(tmp_path / "plain", dither=2.0, **SMALL))
    simulate_night(tmp_path / "numpy", shape=tuple(np.array(SMALL["shape"])), dither=np.float32(2), **few)
    assert contents(tmp_path / "numpy") == plain


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("xccd.simulate.os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        simulate_night(tmp_path, **SMALL)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    "error", [OSError("Not enough space on disk: requested 9, available 0. Not enough space"), OSError(28, "No space")]
)
def test_a_full_disk_is_told_with_the_file(error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astropy.io.fits.PrimaryHDU.writeto", mock.Mock(side_effect=error))
    with pytest.raises(OSError, match=r"bias-001\.fits cannot be written: No[^.]* (space|0)$") as raised:
        xccd.simulate_night(tmp_path / "night", shape=(32, 32), nbias=1, ndark=0, nflat=0, nlight=0)
    assert raised.value.errno == error.errno
    assert not list((tmp_path / "night").rglob("*.part"))
