"""Raw frames as a camera gives them: one sky at known places, and the faults of the detector, which stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from star_fields import Field, add_stars, cosmic_rays
from xccd.sky.similarity import apply, inverse

Array = np.ndarray[Any, Any]
SKY, READ = 300.0, 8.0  # electrons
BLOB = np.array([[0.1, 0.3, 0.1], [0.4, 1.0, 0.3], [0.1, 0.4, 0.2]])  # a hot pixel that leaks
RGGB = np.array([[0.55, 1.0], [1.0, 0.65]])


def shifts(offsets: Array) -> Array:
    """Matrices (frame, 2, 3) of offsets (rows, columns)."""
    return np.array([[[1, 0, dx], [0, 1, dy]] for dy, dx in offsets])


def raw_frames(
    seed: int,
    matrices: Array,
    stars: int = 30,
    shape: tuple[int, int] = (300, 320),
    *,
    fwhm: float = 3.0,
    hot: float = 0.003,
    blobs: int = 10,
    colours: bool = False,
    clouds: tuple[int, ...] = (),
    rays: int = 15,
    faintest: float = 1500.0,
) -> tuple[Array, Array]:
    """Frames of uint16 whose pixels the matrices bring to the first, and which stars (frame, star) lie in which.

    ``stars`` lie in the first frame. ``hot`` is the share of hot and warm pixels, ``blobs`` counts those that leak into
    their neighbours. ``clouds`` are frames in which stars are 6 mag fainter. The light of the faintest star is given
    in electrons; there is a pattern of columns, vignetting, dust, a dead column, a glow and no calibration.
    """
    rng = np.random.default_rng(seed)
    rows, columns = shape
    v, u = np.mgrid[:rows, :columns]
    bias = 1000 + rng.normal(0, 3, columns) + 0.02 * v
    dark = 300 * np.exp(-np.hypot(v, u - columns) / 40)
    count = int(hot * rows * columns)
    dark[rng.integers(0, rows, count), rng.integers(0, columns, count)] += 20 + 30 * rng.pareto(1.0, count)
    for y, x in zip(rng.integers(2, rows - 3, blobs), rng.integers(2, columns - 3, blobs), strict=True):
        dark[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(200, 5000) * BLOB
    flat = 1 - 0.4 * ((v / rows - 0.5) ** 2 + (u / columns - 0.5) ** 2) + rng.normal(0, 0.01, shape)
    for y, x, r in zip(rng.uniform(0, rows, 8), rng.uniform(0, columns, 8), rng.uniform(6, 20, 8), strict=True):
        flat[np.abs(np.hypot(v - y, u - x) / r - 0.7) < 0.3] *= 0.85
    flat *= np.tile(RGGB, (rows // 2 + 1, columns // 2 + 1))[:rows, :columns] if colours else 1
    x, y = rng.uniform(-1, 2, (2, 9 * stars)) * [[columns], [rows]]
    x[:stars], y[:stars] = rng.uniform(0.12, 0.88, (2, stars)) * [[columns], [rows]]
    peaks = faintest * np.minimum(1 + rng.pareto(1.0, x.size), 100) / (1.13 * fwhm**2)
    dead, images, inside = int(rng.integers(0, columns)), [], []
    for i, matrix in enumerate(matrices):
        places = apply(inverse(matrix), x + 1j * y)
        light = np.full(shape, SKY) + rng.uniform(-80, 80) * (u / columns)
        add_stars(light, places.real, places.imag, peaks * (0.004 if i in clouds else 1), fwhm)
        image = rng.poisson(light * flat + dark).astype(float)
        cosmic_rays(image, rays, rng)
        image[:, dead] = 0
        images.append(np.clip(np.round(bias + image + rng.normal(0, READ, shape)), 0, 65535).astype(np.uint16))
        near = (places.real > 2) & (places.real < columns - 3) & (places.imag > 2) & (places.imag < rows - 3)
        inside.append(near & (i not in clouds))
    return np.array(images), np.array(inside)


def raw_field(seed: int, stars: int = 30, shape: tuple[int, int] = (300, 320), *, frames: int = 4, drift: float = 40.0,
              **options: Any) -> Field:  # fmt: skip
    """Raw frames at offsets of up to ``drift`` pixels along each axis."""
    offsets = np.random.default_rng(seed + 31).uniform(-drift, drift, (frames, 2))
    offsets[0] = 0
    images, inside = raw_frames(seed, shifts(offsets), stars, shape, **options)
    return Field(images, offsets, inside)
