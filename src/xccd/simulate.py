"""A simulated raw night, with the truth beside it, to test a reduction.

Every frame is drawn from one equation: ``bias + (Poisson(light * flat + dark_rate * t) + read noise) / gain``.
So the right result of a reduction is known.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

__all__ = ["simulate_night"]

Image = NDArray[np.float64]
Shape = tuple[int, int]
Card = tuple[str, str | float, str]

if TYPE_CHECKING:
    from xccd.simulate_colour import Mosaic


@dataclass(frozen=True)
class Camera:
    """The sensor and its electronics."""

    gain: float = 1.5  # e-/adu
    read_noise: float = 7.0  # e-
    offset: float = 1000.0  # adu
    dark_current: float = 0.1  # e-/s
    warm: tuple[float, float, float] = (0.005, 1.0, 15.0)  # fraction of pixels, lowest and highest e-/s
    hot: tuple[float, float, float] = (0.001, 20.0, 300.0)
    readout: float = 2.347  # s


@dataclass(frozen=True)
class Field:
    """The sky in the lights; electrons are per light."""

    glow: float = 600.0  # e-/pixel
    stars: float = 150 / 512**2  # per pixel
    flux: tuple[float, float] = (3e3, 4e6)  # e-, of the faintest and of the brightest star
    fwhm: float = 3.2  # pixels
    cosmic_rays: float = 40 / 512**2  # per pixel
    centre: tuple[float, float] = (150.0, 41.0)  # RA and Dec, deg
    scale: float = 1.2  # arcsec/pixel


CAMERA, FIELD = Camera(), Field()
FIRST_LIGHT = datetime(2024, 3, 9, 21, 0)
FLAT_LEVEL = {"g": 42e3, "r": 48e3}  # e-
SECONDS = {"flat-g": 2, "flat-r": 1.5, "light-r": 120, "dark-60s": 60, "dark-120s": 120, "bias": 0}
FRAME_NAME = re.compile(rf"({'|'.join(SECONDS)}|flat|light)-\d{{3,}}\.fits")
KINDS = {"bias": "Bias Frame", "dark": "Dark Frame", "flat": "Flat Field", "light": "Light Frame"}
# The position of a name decides its random numbers: add new streams at the end.
STREAMS = ("sensor", "optics", "stars", "dither", "trail", *SECONDS)
STAMP = np.array([-20, 21])  # pixels; contains all but 0.06 % of a star's light
LEAST = 8  # smallest count of stars, and of cosmic rays on average, for small frames


@dataclass(frozen=True)
class Exposure:
    name: str
    kind: str
    filter: str | None
    index: int
    seconds: float
    start: datetime
    seed: SeedSequence


@dataclass(frozen=True)
class Truth:
    """Everything but the noise. Light and charge are in e-, positions in pixels from 0."""

    bias: Image  # adu
    dark_rate: Image  # e-/s
    flat: Mapping[str, Image]  # relative to a mean of 1
    glow: Image  # at its mean over the night
    trail: Image
    stars: Image  # rows x, y, e-
    offsets: Image  # (light, 2): x, y
    mosaic: Mosaic | None


def simulate_night(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    shape: tuple[int, int] = (512, 512),
    nbias: int = 12,
    ndark: int = 10,
    nflat: int = 10,
    nlight: int = 12,
    dither: float = 0.0,
    bayer: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the raw FITS files of a simulated night, and the truth behind them.

    Parameters
    ----------
    folder : path
        The folder for the frames, created if needed. The truth goes into its subfolder ``truth``.
    seed : int
        The same seed gives the same files, byte for byte.
    shape : tuple of int
        Rows and columns of a frame, each 32 or more.
    nbias, ndark, nflat, nlight : int
        Counts of bias frames, of darks at each of 60 s and 120 s, of flats in each of g and r, and of lights (120 s in
        r). 0 leaves a kind out.
    dither : float
        The largest distance of a light from the first one, in pixels along each axis.
    bayer : {"RGGB", "BGGR", "GRBG", "GBRG"}, optional
        A colour camera with this pattern: one series of flats, no FILTER, BAYERPAT in all headers. Stars have colours,
        every fourth is white; the lamp of the flats is yellow. Default: a camera without colours.
    overwrite : bool
        Replace all frames of an earlier night in `folder`; other files stay.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError, NotADirectoryError
        A night exists already and `overwrite` is false, or `folder` is a file.
    TypeError, ValueError
        An argument is invalid. In all these cases nothing is written.

    Notes
    -----
    Frames are uint16 in adu and saturate at 65535. In ``truth``, ``bias.fits`` is in adu, ``dark-rate.fits`` in e-/s,
    and ``flat-*.fits`` relative to a mean of 1. ``sky-and-stars.fits`` is in electrons of a light before the flat, at
    the pointing of the first light, with the mean sky. ``cosmic-rays.fits`` (light, y, x) is 1 where a cosmic ray
    struck, or where the trail of a satellite in the middle light is brighter than the noise of the sky. ``stars.csv``
    has pixels from 0, electrons and degrees; with ``bayer``, electrons are those in green, and ``red`` and ``blue`` are
    relative to it.

    One column is dead: its true flat and dark rate are 0. Stars do not dim with airmass. Cosmic rays strike only
    lights. No new stars enter a dithered light. Smaller frames have fewer stars and cosmic rays, down to about 8.

    Examples
    --------
    >>> import tempfile
    >>> from xccd.simulate import simulate_night
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     night = simulate_night(folder, shape=(64, 64), nbias=2, ndark=1, nflat=0, nlight=1)
    ...     print(*sorted(path.name for path in night.glob("*.fits")))
    bias-001.fits bias-002.fits dark-120s-001.fits dark-60s-001.fits light-r-001.fits
    """
    from xccd.simulate_colour import mosaic_of
    from xccd.simulate_files import check_folder, checked_number, pair

    folder, shape = Path(folder), pair(shape)
    given = {"bias": nbias, "dark": ndark, "flat": nflat, "light": nlight}
    counts = {kind: checked_number(f"n{kind}", count) for kind, count in given.items()}
    dither, mosaic = checked_number("dither", dither, kind=float), mosaic_of(bayer)
    seeds = SeedSequence(checked_number("seed", seed)).spawn(len(STREAMS))
    streams = dict(zip(STREAMS, seeds, strict=True))
    night = list(_night(counts, streams, mosaic))
    check_folder(folder, names := {frame.name for frame in night}, overwrite)
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    truth = _truth(shape, nlight, dither, streams, mosaic)
    struck = np.zeros((nlight, *shape), np.uint8)
    for frame in night:
        if frame.kind == "light":
            struck[frame.index] = _write_light(folder / frame.name, frame, truth)
        else:
            _write_calibration(folder / frame.name, frame, truth)
    _write_truth(folder / "truth", truth, struck)
    # Frames of an earlier, longer night would look like frames of this one.
    for path in folder.iterdir():
        if FRAME_NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()
    return folder


def _night(
    counts: Mapping[str, int], streams: Mapping[str, SeedSequence], mosaic: Mosaic | None
) -> Iterator[Exposure]:  # fmt: skip
    """The exposures in order: twilight flats, lights, then darks and bias frames with the cap on."""
    pause = {series: timedelta(seconds=t + CAMERA.readout) for series, t in SECONDS.items()}
    # Counted back from the first light, so that more flats do not delay the lights.
    clock = FIRST_LIGHT - counts["flat"] * (pause["flat-g"] + pause["flat-r"])
    for series, seconds in SECONDS.items():
        kind, _, setting = series.partition("-")
        band = setting if kind in ("flat", "light") else None
        is_left_out = mosaic is not None and series == "flat-g"
        for index, seed in enumerate(streams[series].spawn(0 if is_left_out else counts[kind])):
            name = f"{kind if mosaic and band else series}-{index + 1:03d}.fits"
            yield Exposure(name, kind, band, index, float(seconds), clock, seed)
            clock += pause[series]


def _truth(
    shape: Shape, nlight: int, dither: float, streams: Mapping[str, SeedSequence], mosaic: Mosaic | None
) -> Truth:  # fmt: skip
    rng = {name: np.random.default_rng(seed) for name, seed in streams.items()}
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    columns, amplifier_step = 3 * rng["sensor"].standard_normal(shape[1]), 12.0 * (x > 0)
    alive = np.arange(shape[1]) != rng["sensor"].integers(shape[1] // 8, shape[1] // 3)
    response = 1 + 0.01 * rng["sensor"].standard_normal(shape)
    common = response * (1 - 0.15 * (x**2 + y**2)) * _dust(shape, rng["optics"])
    flats = {band: common * _dust(shape, rng["optics"]) for band in FLAT_LEVEL}
    pointed_away = (np.arange(nlight) > 0)[:, None]
    return Truth(
        bias=CAMERA.offset + columns + 3 * y + amplifier_step,
        dark_rate=_dark_rate(shape, rng["sensor"]) * alive,
        flat={band: flat / flat.mean() * alive for band, flat in flats.items()},
        glow=FIELD.glow * (1 + 0.08 * x + 0.05 * y) * (mosaic.seen(shape, mosaic.sky) if mosaic else 1),
        trail=_trail(shape, rng["trail"]),
        stars=_simulated_stars(shape, rng["stars"]),
        offsets=dither * pointed_away * rng["dither"].uniform(-1, 1, (nlight, 2)),
        mosaic=mosaic,
    )


def _dark_rate(shape: Shape, rng: Generator) -> Image:
    rate = CAMERA.dark_current * rng.lognormal(0, 0.1, shape)
    for part, low, high in (CAMERA.warm, CAMERA.hot):
        chosen = rng.random(shape) < part
        rate[chosen] = np.exp(rng.uniform(math.log(low), math.log(high), chosen.sum()))
    return rate


def _dust(shape: Shape, rng: Generator) -> Image:
    """Transmission (1 without dust). Specks out of focus cast rings: the shadow of a mirror with a central hole."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    light = np.ones(shape)
    for _ in range(4):
        distance = np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1]))
        radius, depth = rng.uniform(6, 20), rng.uniform(0.03, 0.08)
        light *= 1 - depth * np.exp(-8 * (distance / radius - 1) ** 2)
    return light


def _read_out(bias: Image, mean: Image, rays: Image | float, rng: Generator) -> NDArray[np.uint16]:
    """Raw adu from ``mean`` (light and dark current, in e-, before Poisson noise) and from cosmic rays in e-."""
    electrons = rng.poisson(mean) + rays + CAMERA.read_noise * rng.standard_normal(mean.shape)
    adu = np.rint(bias + electrons / CAMERA.gain)
    return np.clip(adu, 0, 65535).astype(np.uint16)


def _simulated_stars(shape: Shape, rng: Generator) -> Image:
    """Rows x, y (pixels from 0) and flux (e-). The count of stars above a flux goes as flux**(-3/4)."""
    count = max(LEAST, round(FIELD.stars * math.prod(shape)))
    y, x = (rng.uniform(0, n - 1, count) for n in shape)
    flux = FIELD.flux[0] * (count / (np.arange(count) + 0.5)) ** (4 / 3)
    return np.stack([x, y, np.minimum(flux, FIELD.flux[1])])


def _starlight(shape: Shape, stars: Image, offset: Image) -> Image:
    """An image of Moffat stars with exponent 3, each drawn only in a stamp around it."""
    image = np.zeros(shape)
    width = FIELD.fwhm / (2 * math.sqrt(2 ** (1 / 3) - 1))
    for x, y, flux in (stars + np.array([*offset, 0])[:, None]).T:
        top, bottom = np.clip(round(y) + STAMP, 0, shape[0])
        left, right = np.clip(round(x) + STAMP, 0, shape[1])
        dy, dx = np.arange(top, bottom)[:, None] - y, np.arange(left, right) - x
        profile = 2 / (math.pi * width**2) * (1 + (dy**2 + dx**2) / width**2) ** -3
        image[top:bottom, left:right] += flux * profile
    return image


def _stars_seen(truth: Truth, offset: Image) -> Image:
    """The stars as the pixels see them, each through its filter."""

    def draw(stars: Image) -> Image:
        return _starlight(truth.bias.shape, stars, offset)

    return truth.mosaic.starlight(draw, truth.stars) if truth.mosaic else draw(truth.stars)


def _cosmic_rays(shape: Shape, rng: Generator) -> Image:
    """Electrons from cosmic rays: straight tracks of 1 to 6 pixels."""
    count = rng.poisson(max(LEAST, FIELD.cosmic_rays * math.prod(shape)))
    angle, length = rng.uniform(0, 2 * np.pi, (count, 1)), rng.integers(1, 7, (count, 1))
    start_y, start_x = (rng.uniform(0, n - 1, (count, 1)) for n in shape)
    step = np.arange(6)
    y = np.rint(start_y + step * np.sin(angle)).astype(int)
    x = np.rint(start_x + step * np.cos(angle)).astype(int)
    struck = (step < length) & (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    charge = np.zeros(shape)
    np.add.at(charge, (y[struck], x[struck]), 600 + rng.exponential(3000, struck.sum()))
    return charge


def _trail(shape: Shape, rng: Generator) -> Image:
    """The light of a satellite that crosses near the middle of the frame."""
    mid_y, mid_x, angle = rng.uniform(0.3, 0.7, 3) * (*shape, np.pi)
    y, x = np.arange(shape[0])[:, None] - mid_y, np.arange(shape[1]) - mid_x
    light: Image = 1500 * np.exp(-0.5 * ((x * math.sin(angle) - y * math.cos(angle)) / 1.5) ** 2)
    return light


def _write_calibration(path: Path, frame: Exposure, truth: Truth) -> None:
    from xccd.simulate_files import write_fits

    rng = np.random.default_rng(frame.seed)
    mean = truth.dark_rate * frame.seconds
    if frame.filter:
        lamp = 1 + 0.05 * math.sin(0.7 * frame.index)
        mean += lamp * FLAT_LEVEL[frame.filter] * truth.flat[frame.filter] * _lamp(truth)
    write_fits(path, _read_out(truth.bias, mean, 0.0, rng), "adu", _frame_cards(frame, rng, truth.mosaic))


def _lamp(truth: Truth) -> Image | float:
    """The colours of the flats' lamp."""
    return truth.mosaic.seen(truth.bias.shape, truth.mosaic.lamp) if truth.mosaic else 1.0


def _write_light(path: Path, frame: Exposure, truth: Truth) -> NDArray[np.bool_]:
    """Write a light; returns where its cosmic rays and trail are."""
    from xccd.simulate_files import write_fits

    flat, count, offset = truth.flat["r"], len(truth.offsets), truth.offsets[frame.index]
    shape, rng = flat.shape, np.random.default_rng(frame.seed)
    rays = _cosmic_rays(shape, rng) * (flat > 0)
    trail = flat * truth.trail * (frame.index == count // 2)
    # Symmetric about 1, so that the mean of the lights is the truth.
    rising = 0.9 + 0.2 * (frame.index + 0.5) / count
    light = flat * (rising * truth.glow + _stars_seen(truth, offset)) + trail
    raw = _read_out(truth.bias, light + truth.dark_rate * frame.seconds, rays, rng)
    write_fits(path, raw, "adu", [*_frame_cards(frame, rng, truth.mosaic), *_wcs_cards(shape, offset)])
    return (rays > 0) | (trail > np.sqrt(truth.glow))


def _write_truth(folder: Path, truth: Truth, struck: NDArray[np.uint8]) -> None:
    from xccd.simulate_files import write_fits

    shape, here = truth.bias.shape, np.zeros(2)
    pointing = list(_wcs_cards(shape, here))
    scene = truth.glow + _stars_seen(truth, here)
    images = {"sky-and-stars": (scene, "electron", pointing), "bias": (truth.bias, "adu", []),
              "dark-rate": (truth.dark_rate, "electron/s", [])}  # fmt: skip
    flats = {"flat": truth.flat["r"]} if truth.mosaic else {f"flat-{band}": flat for band, flat in truth.flat.items()}
    images |= {name: (flat, "", []) for name, flat in flats.items()}
    for name, (image, unit, cards) in images.items():
        write_fits(folder / f"{name}.fits", image.astype(np.float32), unit, cards)
    write_fits(folder / "cosmic-rays.fits", struck, "", [])
    _write_stars(folder / "stars.csv", truth, pointing)


def _write_stars(path: Path, truth: Truth, pointing: Iterable[Card]) -> None:
    from astropy.io import fits
    from astropy.wcs import WCS

    from xccd.simulate_files import write_safely

    stars = truth.stars
    world = WCS(fits.Header(pointing)).wcs_pix2world(stars[0], stars[1], 0)
    columns, rows, form = "x,y,flux_e,ra,dec", [*stars, *world], "%.4f,%.4f,%.1f,%.8f,%.8f"
    if truth.mosaic:
        tints = truth.mosaic.tints(stars.shape[1])
        columns, rows, form = columns + ",red,blue", [*rows, tints["R"], tints["B"]], form + ",%.6f,%.6f"
    write_safely(path, lambda part: np.savetxt(part, np.stack(rows).T, form, header=columns, comments=""))


def _frame_cards(frame: Exposure, rng: Generator, mosaic: Mosaic | None) -> Iterator[Card]:
    yield "IMAGETYP", KINDS[frame.kind], "type of frame"
    yield "OBJECT", "Made-up field" if frame.kind == "light" else frame.kind, "what is seen"
    yield "DATE-OBS", frame.start.isoformat(timespec="milliseconds"), "UTC, start of exposure"
    yield "EXPTIME", frame.seconds, "[s] exposure time"
    yield "GAIN", CAMERA.gain, "[e-/adu] electrons per count"
    yield "RDNOISE", CAMERA.read_noise, "[e-] read noise"
    yield "CCD-TEMP", round(rng.normal(-10, 0.05), 2), "[deg C] sensor temperature"
    yield "INSTRUME", "Made-up camera", "camera"
    yield "TELESCOP", "Made-up telescope", "telescope"
    if mosaic:
        yield from mosaic.cards()
    elif frame.filter:
        yield "FILTER", frame.filter, "filter"
    if frame.kind == "light":
        # The field passed the meridian an hour before the first light, seen from 52 N.
        hour_angle = math.radians(15 * (1 + (frame.start - FIRST_LIGHT) / timedelta(hours=1)))
        airmass = 1 / (0.517 + 0.465 * math.cos(hour_angle))
        yield "AIRMASS", round(airmass, 4), "at the start of exposure"


def _wcs_cards(shape: Shape, offset: Image) -> Iterator[Card]:
    """WCS cards, north up. The dither goes into CRPIX, so that every star shifts by exactly the dither."""
    yield "RADESYS", "ICRS", ""
    for axis, (name, step) in enumerate([("RA---TAN", -FIELD.scale), ("DEC--TAN", FIELD.scale)]):
        yield f"CTYPE{axis + 1}", name, ""
        yield f"CUNIT{axis + 1}", "deg", ""
        yield f"CRVAL{axis + 1}", FIELD.centre[axis], ""
        yield f"CRPIX{axis + 1}", (shape[1 - axis] + 1) / 2 + float(offset[axis]), ""
        yield f"CDELT{axis + 1}", step / 3600, ""
