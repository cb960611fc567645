"""Star fields for tests of mosaics: frames that are turned and moved, with own gains, skies and seeing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import erf

import xccd
from sky import stack_of, tan

NOISE = 5.0


@dataclass(frozen=True)
class Field:
    """Stars in a plane of ``shape`` pixels."""

    shape: tuple[int, int]
    stars: np.ndarray  # y, x, flux

    @classmethod
    def random(cls, shape: tuple[int, int], count: int, seed: int, fluxes: tuple[float, float] = (500, 5e4)) -> "Field":
        rng = np.random.default_rng(seed)
        y, x = (rng.uniform(0, n, count) for n in shape)
        return cls(shape, np.stack([y, x, np.exp(rng.uniform(*np.log(fluxes), count))]))

    def image(
        self, centre: Sequence[float], size: tuple[int, int], angle: float = 0.0, fwhm: float = 3.0
    ) -> np.ndarray:
        """The stars in a frame of ``size`` about a point of the field, turned by degrees, integrated over pixels."""
        y, x, flux = self.stars
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        dy, dx = y - centre[0], x - centre[1]
        places = np.stack([c * dy - s * dx + (size[0] - 1) / 2, s * dy + c * dx + (size[1] - 1) / 2])
        image = np.zeros(size)
        for place, f in zip(places.T, flux, strict=True):
            low = [max(0, int(np.floor(p - 3 * fwhm))) for p in place]
            high = [min(n, int(np.ceil(p + 3 * fwhm)) + 1) for p, n in zip(place, size, strict=True)]
            if low[0] < high[0] and low[1] < high[1]:
                parts = [_shares(a, b, p, fwhm / 2.3548) for a, b, p in zip(low, high, place, strict=True)]
                image[low[0] : high[0], low[1] : high[1]] += f * np.outer(*parts)
        return image

    def cards(self, centre: Sequence[float], size: tuple[int, int], angle: float = 0.0) -> dict[str, Any]:
        """The WCS of such a frame. That of the field has its reference pixel in the middle."""
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        dy, dx = ((n - 1) / 2 - p for n, p in zip(self.shape, centre, strict=True))
        return tan((s * dy + c * dx + (size[1] + 1) / 2, c * dy - s * dx + (size[0] + 1) / 2), angle)

    @property
    def grid(self) -> xccd.Grid:
        rows, columns = self.shape
        return xccd.Grid.of(tan(((columns + 1) / 2, (rows + 1) / 2)) | {"NAXIS1": columns, "NAXIS2": rows})

    def empty(self, reach: int = 14) -> np.ndarray:
        """Where there is no star near."""
        free = np.ones(self.shape, bool)
        for y, x in self.stars[:2].T.astype(int):
            free[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = False
        return free


def _shares(low: int, high: int, at: float, sigma: float) -> np.ndarray:
    """The share of a star's light in each pixel along an axis."""
    return np.diff(erf((np.arange(low, high + 1) - 0.5 - at) / (sigma * np.sqrt(2)))) / 2


def tiles(
    field: Field, counts: tuple[int, int], size: tuple[int, int], seed: int = 0, *, angle: float = 0.0,
    gains: Any = 1.0, skies: Any = 0.0, fwhm: Sequence[float] = (3.0,), limit: float = np.inf,
    slopes: Any = None, **options: Any,
) -> xr.DataArray:  # fmt: skip
    """Rows times columns of frames that cover a field, each turned by up to ``angle`` and up to 3 pixels off.

    A frame is ``gain * stars + sky`` with noise, and a plane of ``slopes`` (from the middle to the edges) on it; what
    is above ``limit`` plus the sky is saturated.
    """
    rng = np.random.default_rng(seed)
    number = counts[0] * counts[1]
    gains, skies = (np.broadcast_to(v, number).astype(float) for v in (gains, skies))
    slopes = np.zeros((number, 2)) if slopes is None else np.asarray(slopes)
    v, u = (np.linspace(-1, 1, n) for n in size)
    images, heads = [], []
    for k in range(number):
        centre = [
            (s - 1) / 2 + (n - s) * (i / (m - 1) if m > 1 else 0.5) + rng.uniform(-3, 3)
            for i, m, n, s in zip(divmod(k, counts[1]), counts, field.shape, size, strict=True)
        ]
        turned = rng.uniform(-angle, angle)
        image = gains[k] * field.image(centre, size, turned, fwhm[k % len(fwhm)])
        image += slopes[k, 0] * v[:, None] + slopes[k, 1] * u + rng.normal(0, NOISE, size)
        images.append(np.minimum(image, limit) + skies[k])
        heads.append(field.cards(centre, size, turned))
    return stack_of(images, heads, **options)


def blocks(image: np.ndarray, free: np.ndarray, edge: int = 64) -> np.ndarray:
    """The medians of blocks of an image where ``free``, about their median."""
    found = []
    for y in range(0, image.shape[0] - edge + 1, edge):
        for x in range(0, image.shape[1] - edge + 1, edge):
            part = image[y : y + edge, x : x + edge][free[y : y + edge, x : x + edge]]
            part = part[np.isfinite(part)]
            found += [np.median(part)] if part.size > edge else []
    return np.array(found) - np.median(found)
