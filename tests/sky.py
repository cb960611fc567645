"""Frames with a WCS for tests of alignment."""

from typing import Any

import numpy as np
import xarray as xr

import xccd
from xccd.sky.grid import Grid


def tan(crpix: tuple[float, float], angle: float = 0.0, scale: float = 1e-4, **more: Any) -> dict[str, Any]:
    """Cards of a tangential projection about (10, 20) degrees; ``crpix`` as (x, y)."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": crpix[0],
        "CRPIX2": crpix[1], "CD1_1": -scale * c, "CD1_2": scale * s, "CD2_1": scale * s, "CD2_2": scale * c,
        "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS", **more,
    }  # fmt: skip


def sip(crpix: tuple[float, float], angle: float = 0.0, size: float = 2e-6) -> dict[str, Any]:
    """As `tan`, with distortions of second order."""
    bends = {"A_2_0": size, "A_0_2": size / 2, "A_1_1": -size, "B_2_0": size / 3, "B_0_2": -size, "B_1_1": size}
    names = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
    return tan(crpix, angle) | names | bends


def tpv(crpix: tuple[float, float], angle: float = 0.0) -> dict[str, Any]:
    """As `tan`, with distortions of TPV."""
    names = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.001, "PV1_4": 0.02, "PV2_1": 0.999, "PV2_5": -0.03}
    return tan(crpix, angle) | names


def stack_of(images: Any, heads: list[dict[str, Any]], **options: Any) -> xr.DataArray:
    return xccd.open_stack(list(zip(images, heads, strict=True)), **options)


def noise(frames: int = 3, shape: tuple[int, int] = (40, 60), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 5, (frames, *shape))


def turned(frames: int = 4, shape: tuple[int, int] = (40, 60), **options: Any) -> xr.DataArray:
    """Frames that are moved and turned against each other."""
    rows, columns = shape
    angles = (0, 7, 180, 90)
    heads = [tan((columns / 2 + 3.3 * i, rows / 2 - 2.2 * i), angles[i % 4], EXPTIME=10.0 + i) for i in range(frames)]
    return stack_of(noise(frames, shape), heads, **options)


def exact(stack: xr.DataArray, grid: Grid, i: int) -> tuple[np.ndarray, np.ndarray]:
    """The position in frame ``i`` of each pixel of a grid, by astropy alone."""
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float)
    return tuple(stack.ccd.wcs(i).world_to_pixel(grid.wcs.pixel_to_world(x, y)))
