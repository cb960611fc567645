"""Synthetic skies: frames of the same stars at known offsets, and what disturbs them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import xccd

Array = np.ndarray[Any, Any]
NOISE = 10.0


class Field(NamedTuple):
    """Frames (frame, y, x), their true offsets (rows, columns), and which stars lie in which frame."""

    frames: Array
    offsets: Array
    inside: Array  # (frame, star)

    def stack(self) -> xr.DataArray:
        return xccd.open_stack([(frame, {}) for frame in self.frames])

    def in_common(self, i: int) -> int:
        """How many stars are in the first frame and in this one."""
        return int((self.inside[0] & self.inside[i]).sum())


def profile(u: Array, v: Array, fwhm: float, beta: float | None = None) -> Array:
    """A Gaussian, or a Moffat profile, of height 1 at distances u, v."""
    r2 = u * u + v * v
    if beta is None:
        return np.exp(-4 * np.log(2) * r2 / fwhm**2)
    return (1 + r2 * 4 * (2 ** (1 / beta) - 1) / fwhm**2) ** -beta


def add_stars(image: Array, x: Array, y: Array, peak: Array, fwhm: float, beta: float | None = None) -> None:
    height, width = image.shape
    reach = int(np.ceil(3 * fwhm if beta is None else 8 * fwhm))
    for px, py, p in zip(x, y, peak, strict=True):
        if not (-reach < px < width + reach and -reach < py < height + reach):
            continue
        rows = slice(max(0, int(py) - reach), min(height, int(py) + reach + 2))
        columns = slice(max(0, int(px) - reach), min(width, int(px) + reach + 2))
        v, u = np.mgrid[rows, columns]
        image[rows, columns] += p * profile(u - px, v - py, fwhm, beta)


def cosmic_rays(image: Array, count: int, rng: np.random.Generator) -> None:
    """Tracks up to some ten pixels long, and single pixels."""
    height, width = image.shape
    for _ in range(count):
        length, angle = rng.exponential(3), rng.uniform(0, 2 * np.pi)
        t = np.arange(0, length + 0.5, 0.5)
        y, x = (rng.uniform(0, n) + t * f for n, f in ((height, np.sin(angle)), (width, np.cos(angle))))
        y, x = y.astype(int), x.astype(int)
        good = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        image[y[good], x[good]] += rng.exponential(1000) + 100


def field(
    seed: int,
    stars: int = 24,
    shape: tuple[int, int] = (400, 420),
    *,
    frames: int = 5,
    reach: float = 0.2,
    offsets: Array | None = None,
    fwhm: float = 3.0,
    peak: tuple[float, float] = (8, 100),
    rays: int = 0,
    hot: int = 0,
    trails: int = 0,
    gradient: float = 0.0,
    turn: float = 0.0,
    flipped: tuple[int, ...] = (),
) -> Field:
    """Frames of one sky.

    ``stars`` is their mean count in a frame; ``reach`` the largest dither as a share of the frame, either way; ``peak``
    the faintest peak and the scale of the others, in units of the noise; ``turn`` in degrees from frame to frame.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    size = np.array(shape)
    if offsets is None:
        offsets = rng.uniform(-reach, reach, (frames, 2)) * size
        offsets[0] = 0
    margin = np.abs(offsets).max(0) + 40
    low, high = -margin, size + margin
    count = max(stars, round(stars * np.prod(high - low) / np.prod(size)))
    y, x = (rng.uniform(low[k], high[k], count) for k in (0, 1))
    heights = NOISE * (peak[0] + rng.exponential(peak[1], count))
    pixels = rng.integers(0, height, hot), rng.integers(0, width, hot), rng.exponential(3000, hot) + 200
    v, u = np.mgrid[:height, :width]
    images, inside = [], []
    for i, (dy, dx) in enumerate(offsets):
        angle = np.deg2rad(turn * i) + (np.pi if i in flipped else 0)
        cx, cy = x - (width - 1) / 2, y - (height - 1) / 2
        px = (width - 1) / 2 + cx * np.cos(angle) - cy * np.sin(angle) - dx
        py = (height - 1) / 2 + cx * np.sin(angle) + cy * np.cos(angle) - dy
        image = rng.normal(1000, NOISE, shape)
        add_stars(image, px, py, heights, fwhm)
        cosmic_rays(image, rays, rng)
        for _ in range(trails):
            slope, at = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2) * size
            away = (u - at[1]) * np.sin(slope) - (v - at[0]) * np.cos(slope)
            image += 400 * np.exp(-((away / 1.5) ** 2))
        if gradient:
            ramp = rng.normal(0, gradient, 3)
            image += ramp[0] * u / width + ramp[1] * v / height + ramp[2] * (u / width) ** 2
        image[pixels[0], pixels[1]] += pixels[2]
        images.append(image)
        inside.append((px >= 0) & (px <= width - 1) & (py >= 0) & (py <= height - 1))
    return Field(np.array(images), offsets, np.array(inside))
