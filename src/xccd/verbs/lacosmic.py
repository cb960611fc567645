"""L.A.Cosmic: cosmic rays by the sharpness of their edges, in each frame by itself, by astroscrappy."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.compute.neighbours import map_whole_frames
from xccd.kernels.flags import Flag
from xccd.labels.frames import frames_first, unflagged
from xccd.labels.keywords import keyword_of_frames
from xccd.sky.stars import noise_of
from xccd.verbs.marked import MARKS, image_axes

log = logging.getLogger("xccd")
NO_LIMIT = float(np.finfo(np.float32).max)  # astroscrappy's level of saturation, if there is none


def cosmic_rays(stack: xr.DataArray, dim: Hashable, options: Mapping[str, Any]) -> Any:
    """Marks (frames first) of the pixels that L.A.Cosmic takes for cosmic rays; lazy if the stack is.

    Options are those of astroscrappy's `detect_cosmics`; ``gain`` and ``readnoise`` may be keywords. Masked pixels are
    not used. Raises ImportError without astroscrappy.
    """
    try:
        import astroscrappy  # noqa: F401
    except ImportError as error:
        lacking = "reject('lacosmic') needs astroscrappy: pip install 'xccd[cosmics]' or conda install astroscrappy"
        raise ImportError(lacking) from error
    axes = image_axes(stack, dim)
    own = dict(options)
    gains, noises = (_of_frames(name, own.pop(name), stack, dim) for name in ("gain", "readnoise"))
    saturation = own.pop("saturation")
    own["satlevel"] = NO_LIMIT if saturation is None else float(saturation)
    shape = (-1, *(1,) * (stack.ndim - 1))
    run = partial(_marks_of_block, axes=tuple(axes), options=own)
    x = frames_first(unflagged(stack), dim)
    return map_whole_frames(run, x, gains.reshape(shape), noises.reshape(shape), axes=axes, dtype=MARKS)


def _of_frames(argument: str, value: Any, stack: xr.DataArray, dim: Hashable) -> Any:
    """A number for each frame; a keyword must be known now."""
    n = stack.sizes[dim]
    numbers = keyword_of_frames(argument, value, stack, dim) if isinstance(value, str) else value
    found = np.broadcast_to(np.asarray(numbers, np.float64), n)
    least = 0 if argument == "readnoise" else np.nextafter(0, 1)
    if not (np.isfinite(found) & (found >= least)).all():
        raise ValueError(f"{argument}={value!r} gives {found.min():g}: a finite number above 0 is needed")
    return found


def _marks_of_block(x: Any, gains: Any, noises: Any, *, axes: tuple[int, ...], options: dict[str, Any]) -> Any:
    from astroscrappy import detect_cosmics

    marks = np.zeros(x.shape, MARKS)
    gains, noises = (np.broadcast_to(a, (x.shape[0], *(1,) * (x.ndim - 1))).ravel() for a in (gains, noises))
    images, found = (np.moveaxis(a, axes, (-2, -1)) for a in (x, marks))
    planes = list(np.ndindex(images.shape[:-2]))
    for index in progress.over(planes, "cosmic rays", len(planes), "frames"):
        image = np.ascontiguousarray(images[index], np.float32)
        bad = ~np.isfinite(image)
        if bad.all() or min(image.shape) < LEAST:
            continue
        level, gain = np.median(image[~bad]), gains[index[0]]
        seen = np.where(bad, level, image)
        own = options | {"satlevel": options["satlevel"] * (1.0 if options["satlevel"] == NO_LIMIT else gain)}
        noise = _readnoise(images[index], float(level), gain, noises[index[0]])
        rays, _ = detect_cosmics(seen, inmask=bad, gain=gain, readnoise=noise, **own)
        found[index][rays & ~bad] = Flag.REJECTED_HIGH
    return marks


def _readnoise(image: Any, level: float, gain: float, given: float) -> float:
    """The read noise, in electrons; more if the image has far more noise than its light and this give.

    So it is where the sky was subtracted: of real frames with right keywords three pixels in four would go.
    """
    measured, light = noise_of(image), max(level, 0.0) / gain
    expected = float(np.sqrt(light + (given / gain) ** 2))
    if not measured > FAR * expected:
        return given
    log.warning(
        "reject('lacosmic'): a frame has a noise of %.3g, and %.3g is expected from its light, gain=%.3g and "
        "readnoise=%.3g. Was its sky subtracted? The measured noise is used", measured, expected, gain, given,
    )  # fmt: skip
    return float(gain * np.sqrt(measured**2 - light))


FAR = 1.5  # times the noise that is expected
LEAST = 5  # pixels of an image, which its filters need
