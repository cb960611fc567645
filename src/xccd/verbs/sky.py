"""`assign_sky_coords` and `cutout`: sky positions as coordinates, and parts of images by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from xarray.indexes import CoordinateTransform, CoordinateTransformIndex

from xccd.labels.apply import Image
from xccd.labels.flags import not_taken
from xccd.messages import is_number
from xccd.sky.grid import Grid
from xccd.sky.transform import pixels_at

DIMS = ("y", "x")


class SkyTransform(CoordinateTransform):
    """Transforms between the pixels of a grid and ICRS degrees."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(("ra", "dec"), dict(zip(DIMS, grid.shape, strict=True)))
        self.grid = grid

    def forward(self, dim_positions: dict[str, Any]) -> dict[Any, Any]:
        """ICRS degrees of pixels."""
        x, y = np.broadcast_arrays(*(np.asarray(dim_positions[d], float) for d in ("x", "y")))
        ra, dec = to_icrs(self.grid, x, y)
        return {"ra": ra, "dec": dec}

    def reverse(self, coord_labels: dict[Any, Any]) -> dict[str, Any]:
        """Pixels at ICRS degrees."""
        ra, dec = np.broadcast_arrays(*(np.asarray(coord_labels[k], float) for k in ("ra", "dec")))
        x, y = from_icrs(self.grid, ra, dec)
        return {"y": y, "x": x}

    def equals(self, other: CoordinateTransform, **_: Any) -> bool:
        """Whether the other transform has the same grid."""
        return isinstance(other, SkyTransform) and self.grid == other.grid


class SkyIndex(CoordinateTransformIndex):
    """An index that follows crops."""

    def isel(self, indexers: Any) -> SkyIndex | None:
        """The index of the selected pixels; None if they are not a contiguous rectangle."""
        grid: Grid = self.transform.grid  # type: ignore[attr-defined]
        key = tuple(indexers.get(d, slice(None)) for d in DIMS)
        try:
            return SkyIndex(SkyTransform(grid[key[0], key[1]]))
        except (TypeError, ValueError):
            return None


def to_icrs(grid: Grid, x: Any, y: Any) -> tuple[Any, Any]:
    """ICRS degrees of pixels."""
    from astropy.coordinates import SkyCoord

    world = grid.wcs.all_pix2world(np.ravel(x), np.ravel(y), 0)
    longitude, latitude = world[grid.wcs.wcs.lng], world[grid.wcs.wcs.lat]
    if grid.frame.name != "icrs":
        sky = SkyCoord(longitude, latitude, unit="deg", frame=grid.frame).icrs
        longitude, latitude = sky.ra.deg, sky.dec.deg
    return np.reshape(longitude, np.shape(x)), np.reshape(latitude, np.shape(x))


def from_icrs(grid: Grid, ra: Any, dec: Any) -> tuple[Any, Any]:
    """Pixels at ICRS degrees."""
    from astropy.coordinates import SkyCoord

    return pixels_of(grid, SkyCoord(ra, dec, unit="deg"))


def pixels_of(grid: Grid, sky: Any) -> tuple[Any, Any]:
    """Pixels at SkyCoords; NaN where the WCS has no pixel."""
    from astropy.coordinates import UnitSphericalRepresentation

    there = sky.transform_to(grid.frame).represent_as(UnitSphericalRepresentation)
    return pixels_at(grid, np.asarray(there.lon.deg), np.asarray(there.lat.deg))


def assign_sky_coords(obj: Image) -> Image:
    """Add right ascension and declination of each pixel as coordinates ``ra`` and ``dec``.

    The coordinates are lazy and follow crops.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image, or a stack whose frames share one WCS (see `align`).

    Returns
    -------
    DataArray or Dataset
        ``obj`` with ``ra`` and ``dec`` (y, x) in ICRS degrees. Their index lets
        ``.sel(ra=..., dec=..., method="nearest")`` find pixels at positions given as DataArrays.

    Raises
    ------
    ValueError, TypeError
        There is no WCS, or several; see `Grid.of`.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 2.0,
    ...          "CRPIX2": 1.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    >>> image = xccd.open_stack([(np.zeros((4, 6)), cards)])[0].ccd.assign_sky_coords()
    >>> float(image.ra[0, 1]), float(image.dec[0, 1])
    (10.0, 20.0)
    >>> image[1:, 1:].dec.shape
    (3, 5)
    """
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise not_taken("assign_sky_coords()", obj, "assign_sky_coords takes a DataArray or a Dataset, not")
    coords = xr.Coordinates.from_xindex(SkyIndex(SkyTransform(Grid.of(obj))))
    made = obj.assign_coords(coords)
    made["ra"].attrs.update(units="deg", standard_name="right_ascension")
    made["dec"].attrs.update(units="deg", standard_name="declination")
    return made


def cutout(obj: Image, position: Any, size: Any) -> Image:
    """Cut out the part of an image, or of aligned frames, around a position on the sky.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image, or a stack whose frames share one WCS.
    position : SkyCoord, (float, float) or str
        A pair is right ascension and declination in ICRS degrees; a text is anything that SkyCoord reads.
    size : int, Quantity, or a pair of these
        Sides in pixels or as angles. In a pair the rows come first.

    Returns
    -------
    DataArray or Dataset
        The pixels of ``obj`` inside; fewer at its edge. WCS and coordinates follow.

    Raises
    ------
    TypeError
        ``obj`` is not a DataArray or a Dataset.
    ValueError
        The position is unreadable or outside of the image, the size is unusable, or there is no WCS, or several.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 20.0,
    ...          "CRPIX2": 15.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    >>> image = xccd.open_stack([(np.zeros((40, 60)), cards)])[0]
    >>> image.ccd.cutout((10.0, 20.0), (5, 7)).shape
    (5, 7)
    """
    from astropy.coordinates import SkyCoord

    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise not_taken("cutout(position, size)", obj, "cutout takes a DataArray or a Dataset, not")
    sky, grid = _sky(position), Grid.of(obj)
    if not sky.isscalar:
        raise ValueError(f"position={position!r} is {sky.size} positions: give one")
    x, y = (float(v) for v in pixels_of(grid, sky))
    parts = {}
    for dim, at, side, n in zip(DIMS, (y, x), _sides(size, grid), grid.shape, strict=True):
        first = round(at - (side - 1) / 2) if np.isfinite(at) else n  # n: outside, an error below
        low, high = max(0, first), min(n, first + side)
        if low >= high:
            centre = SkyCoord(*to_icrs(grid, (grid.shape[1] - 1) / 2, (grid.shape[0] - 1) / 2), unit="deg")
            raise ValueError(
                f"position={position!r} is outside the image, "
                f"{float(sky.separation(centre).deg):.4g} degrees from its centre"
            )
        parts[dim] = slice(low, high)
    return obj.isel(parts)


def _sky(position: Any) -> Any:
    """A position as a SkyCoord."""
    from astropy.coordinates import SkyCoord

    try:
        if isinstance(position, tuple | list) and len(position) == 2 and not hasattr(position[0], "unit"):
            return SkyCoord(*position, unit="deg")
        return position if isinstance(position, SkyCoord) else SkyCoord(position)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"position={position!r} is no place on the sky: give (ra, dec) in ICRS degrees, a SkyCoord, or a text that "
            f"SkyCoord reads ({error})"
        ) from error


def _sides(size: Any, grid: Grid) -> list[int]:
    """The sides in pixels: rows and columns."""
    pair = isinstance(size, tuple | list) or (hasattr(size, "unit") and np.ndim(size) == 1)
    values = list(size) if pair else [size, size]
    found = []
    for value in values:
        pixels = value.to_value("deg") / grid.pixel_size if hasattr(value, "unit") else value
        if not is_number(pixels) or not 0 < pixels < 1e6:
            raise ValueError(f"size={size!r} is not a side in pixels or an angle, or a pair of these")
        found.append(max(1, round(float(pixels))))
    if len(found) != 2:
        raise ValueError(f"size={size!r} is not one side, or two")
    return found
