"""The whole reduction of a simulated night: masters, calibrated lights, a clipped mean, a picture and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from xccd.labels.frames import file_names
from xccd.pictures.demo_picture import demo_picture
from xccd.pictures.save import save_figure
from xccd.read.image import open_image
from xccd.read.stack import open_stack
from xccd.simulate import simulate_night
from xccd.verbs.calibrate.flat import flat_correct
from xccd.verbs.calibrate.subtract import subtract_bias, subtract_dark
from xccd.verbs.clip import sigma_clip
from xccd.verbs.combine import combine
from xccd.verbs.mask import mask
from xccd.verbs.normalize import normalize
from xccd.verbs.stats_table import short_names
from xccd.write.fits import to_fits


@dataclass(frozen=True)
class Row:
    """The result of stacking one kind of frame: a line of the table."""

    stack: str
    rejected: tuple[float, ...]  # percent of the samples of each frame
    names: tuple[str, ...]
    before: float
    after: float
    file: Path

    @property
    def expected(self) -> float:
        return self.before / float(np.sqrt(len(self.rejected)))

    @property
    def worst(self) -> str:
        """The frame of which most was rejected."""
        return self.names[int(np.argmax(self.rejected))]

    def __str__(self) -> str:
        middle, most = (float(f(self.rejected)) for f in (np.median, np.max))
        return (
            f"{self.stack:<11}{len(self.rejected):>6}   {middle:>7.2f} %{most:>7.2f} %  {self.worst:<14}"
            f"{self.before:>8.3g}{self.after:>9.3g}{self.expected:>9.3g}   {self.file.name}"
        )


HEAD = (
    f"{'stack':<11}{'frames':>6}   {'rejected of a frame':<34}{'noise of':>8}{'of the':>9}{'sqrt(N)':>9}\n"
    f"{'':<11}{'':>6}   {'median':>9}{'most':>9}  {'in':<14}{'a frame':>8}{'mean':>9}{'expects':>9}   file"
)


def reduce_night(raw: Path, products: Path) -> Iterator[Row]:
    """Build the masters and the image from the frames in ``raw``. Yields a row for each file when it is written."""
    bias, row = _stacked("bias", open_stack(raw / "bias-*.fits"), products / "master-bias.fits")
    yield row
    dark, row = _stacked("dark 120 s", open_stack(raw / "dark-120s-*.fits"), products / "master-dark-120s.fits")
    yield row
    flats = {}
    for band in ("g", "r"):
        level = normalize(subtract_bias(open_stack(raw / f"flat-{band}-*.fits"), bias), scale="median")
        flats[band], row = _stacked(f"flat {band}", level, products / f"master-flat-{band}.fits")
        yield row
    _, row = _stacked("light r", _calibrated(raw, dark, flats["r"]), products / "light-r.fits")
    yield row


def _calibrated(raw: Path, dark: xr.DataArray, flat: xr.DataArray) -> xr.DataArray:
    """The lights less the dark, over the flat, on one level: the sky rises, and the first frames would be clipped."""
    lights = subtract_dark(open_stack(raw / "light-r-*.fits"), dark)  # as long as the lights, so with their bias in it
    lights = flat_correct(lights, flat, norm="median", min_value=0.1)  # a dead pixel is masked: its flat is 0
    return normalize(lights, zero="clipped_median", to="mean")


def _clipped(frames: xr.DataArray) -> xr.DataArray:
    return sigma_clip(frames, 4, 4, center="median", deviation="mad_std", floor=0.29 * _step(frames))


def _stacked(name: str, frames: xr.DataArray, path: Path) -> tuple[xr.DataArray, Row]:
    """Clip, combine and write; returns the image and its row of the table."""
    frames = frames.compute()
    clipped = _clipped(frames)
    image = combine(clipped, "mean")
    to_fits(image, path)
    rejected = 100 * (mask(clipped) & ~mask(frames)).mean(("y", "x"))
    names = short_names(file_names(frames, "frame"))
    return image, Row(name, tuple(rejected.values.tolist()), tuple(names), *_measured_noise(frames, clipped), path)


def _step(frames: xr.DataArray) -> float:
    """The size of one camera count in the frames: normalisation changes it."""
    scale = frames.coords.get("scale")
    return 1.0 if scale is None else float(scale.max())


def _measured_noise(frames: xr.DataArray, clipped: xr.DataArray) -> tuple[float, float]:
    """The noise of one frame and of the mean, from differences, where the scene cancels.

    The means of odd and of even frames differ by twice the noise of the mean of all.
    """
    pair = (frames[0] - frames[1]) / np.sqrt(2)
    halves = (combine(clipped[::2], "mean") - combine(clipped[1::2], "mean")) / 2
    return _scatter_of_image(pair), _scatter_of_image(halves)


def _scatter_of_image(image: xr.DataArray) -> float:
    """Standard deviation of an image without its stars and defects."""
    pixels = xr.DataArray(image.values.ravel(), dims="frame")
    return float(combine(sigma_clip(pixels, 4, 4, center="median", maxiters=None), "std"))


def preview(raw: Path, products: Path, path: Path) -> Path:
    """Draw what the reduction does to the frame of which most was rejected, and to all; returns ``path``."""
    dark, flat = (open_image(products / f"master-{name}.fits") for name in ("dark-120s", "flat-r"))
    lights = _calibrated(raw, dark, flat).load()
    figure = demo_picture(
        open_stack(raw / "light-r-*.fits"), lights, _clipped(lights), open_image(products / "light-r.fits")
    )
    return save_figure(figure, path)


def next_free_folder(wanted: Path) -> Path:
    """Create ``wanted``, or the next free name; an existing folder is never overwritten."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    folder.mkdir(parents=True)
    return folder


def run_demo(wanted: Path, seed: int, say: Callable[[str], object] = print) -> Path:
    """Run the demo from raw frames to picture; returns the folder with everything."""
    folder = next_free_folder(wanted)
    raw, products = folder / "raw", folder / "products"
    products.mkdir()
    say(f"Making a night of raw frames in {raw} ...")
    simulate_night(raw, seed=seed)
    say(f"Stacking (the first run compiles for some seconds) ...\n\n{HEAD}")
    for row in reduce_night(raw, products):
        say(str(row))
    say(f"\nProducts are in {products}")
    try:
        say(f"Picture:        {preview(raw, products, folder / 'preview.png')}")
    except ImportError:
        say("No picture: matplotlib is missing, python -m pip install 'xccd[plot]' or conda install matplotlib-base")
    return folder
