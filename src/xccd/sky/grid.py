"""`Grid`: the pixels of an image on the sky, as a value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, pixel_grid
from xccd.headers.cards import parsed
from xccd.labels.flags import science_variable, science_variables
from xccd.labels.frames import frame_names
from xccd.messages import a_type, public, shown
from xccd.sky import distortion
from xccd.sky.grid_text import LARGEST, TABLES, check_whole, grid_header_text, is_distorted, sizes, wcs_lines, written
from xccd.sky.tables import moved_tables, wcs_with_tables

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

EQUATORIAL = frozenset(("icrs", "fk5", "fk4", "fk4noeterms"))


@dataclass(frozen=True)
class Grid:
    """The pixels of an image on the sky: a shape and a celestial WCS. Grids can be compared, hashed and pickled.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    text : str
        The WCS as lines of FITS cards.
    tables : bytes, optional
        The HDUs of tables of distortion, as a FITS file.

    See Also
    --------
    Grid.of : the grid of a WCS, Header, file, image or stack.
    Grid.union : the grid that holds all frames of a stack.

    Examples
    --------
    >>> import xccd
    >>> grid = xccd.Grid.of({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
    ...                      "CRPIX1": 50.5, "CRPIX2": 50.5, "CDELT1": -1e-4, "CDELT2": 1e-4,
    ...                      "NAXIS1": 100, "NAXIS2": 100})
    >>> grid
    <Grid 100 x 100 pixels of 0.36", RA---TAN, centre 10.00000 +20.00000>
    >>> grid[:50, 10:].shape
    (50, 90)
    """

    shape: tuple[int, int]
    text: str
    tables: bytes = b""

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or not all(1 <= n <= LARGEST for n in self.shape):
            raise ValueError(f"shape={self.shape} is not (rows, columns) of 1 to {LARGEST} pixels each")
        if not self.wcs.has_celestial:
            raise ValueError(f"the WCS is not celestial (CTYPE {', '.join(self.wcs.wcs.ctype)}): a grid is on the sky")
        determinant = np.linalg.det(self.wcs.pixel_scale_matrix)
        if not (np.isfinite(determinant) and determinant != 0):
            raise ValueError(common.SINGULAR)
        try:
            _ = self.frame
        except ValueError as error:
            raise ValueError(f"the WCS has no celestial system that is known (RADESYS, EQUINOX): {error}") from error
        if self.wcs.wcs.lngtyp not in ("RA", "GLON") and self.frame.name in EQUATORIAL:  # astropy takes these for RA
            raise ValueError(
                f"the WCS has the longitude {self.wcs.wcs.ctype[self.wcs.wcs.lng]}, in a system that is not known: "
                "give a WCS in RA and DEC, or in GLON and GLAT"
            )

    @classmethod
    @public
    def of(cls, source: Any, *, shape: tuple[int, int] | None = None) -> Grid:
        """The grid of an object that has one.

        Parameters
        ----------
        source : Grid, WCS, Header, dict of cards, path or URL, DataArray or Dataset
            All frames of a stack must have the same WCS; ``stack[0]`` picks one frame. A file gives the grid of its
            first image, or of its first header with a WCS if no image has pixels. Its name may be anything that
            `open_stack` takes for one file.
        shape : (int, int), optional
            Rows and columns, if the source has no shape (a WCS without ``pixel_shape``) or another one is wanted.

        Returns
        -------
        Grid

        Raises
        ------
        ValueError
            There is no celestial WCS, it is singular or absurd, or there is no shape.
        TypeError
            ``source`` is of a type that has no WCS.
        OSError
            The file cannot be read.

        Examples
        --------
        >>> from astropy.wcs import WCS
        >>> import xccd
        >>> wcs = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4})
        >>> xccd.Grid.of(wcs, shape=(100, 200)).shape
        (100, 200)
        """
        if isinstance(source, Grid):
            return source if shape is None else cls((int(shape[0]), int(shape[1])), source.text, source.tables)
        if hasattr(source, "ccd"):
            source = source[science_variable(source)] if hasattr(source, "data_vars") else source
            if (grid := distorted(source)) is not None:
                return grid
            _check_one(source)
            source = source.ccd.header()
        elif isinstance(source, str | os.PathLike):
            return cls._of_file(source, shape)
        elif hasattr(source, "to_header") and hasattr(source, "pixel_shape"):
            return cls._of_wcs(source, shape)
        elif not isinstance(source, Mapping) and not hasattr(source, "cards"):
            raise TypeError(f"{a_type(source)} has no WCS: give a Grid, WCS, Header, FITS file, or an image or stack")
        return cls.from_text(grid_header_text(source), shape)

    @classmethod
    def from_text(cls, text: str, shape: tuple[int, int] | None = None) -> Grid:
        """The grid of a header text (lines of FITS cards), which may have other cards. Raises ValueError like `of`."""
        grid = cls.of_cards(text, shape)
        check_whole(text, grid.wcs, grid.shape)
        return grid

    @classmethod
    def of_cards(cls, text: str, shape: tuple[int, int] | None = None) -> Grid:
        """Like `from_text`, without comparing it with the WCS of all cards."""
        lines = wcs_lines(text)
        return cls(sizes(text, shape), "\n".join(lines))

    @classmethod
    def _of_file(cls, source: str | os.PathLike[str], shape: tuple[int, int] | None) -> Grid:
        """The grid of a file. Errors name the file."""
        text = distortion.header_of(source)
        try:
            if is_distorted(text):
                return cls.with_tables(text, source, shape)
            return cls.from_text(text, shape)
        except ValueError as error:
            raise ValueError(f"{shown(source)}: {error}") from error

    @classmethod
    def with_tables(cls, text: str, source: str | os.PathLike[str], shape: tuple[int, int] | None) -> Grid:
        """The grid of a header text whose distortion is in tables of its file. Raises ValueError, OSError like `of`."""
        own = (line for c in cards.split(text) if cards.WCS.fullmatch(c.keyword) for line in c.lines)
        wcs = common.read_wcs(cards.parsed(own), 2, distortion.tables_of(source))
        return cls._of_wcs(wcs, sizes(text, shape))

    @classmethod
    def _of_wcs(cls, wcs: Any, shape: tuple[int, int] | None) -> Grid:
        if shape is None and wcs.array_shape is None:
            raise ValueError("this WCS has no pixel_shape: give shape=(rows, columns)")
        if wcs.naxis != 2:
            wcs = wcs.celestial  # of a cube
        hdus = wcs.to_fits(relax=True)  # without it astropy leaves SIP out
        text = "\n".join(str(card) for card in hdus[0].header.cards if not TABLES.match(card.keyword))
        grid = cls.from_text(text, tuple(shape or wcs.array_shape))
        if len(hdus) == 1:
            return grid
        file = BytesIO()
        hdus.writeto(file)
        return cls(grid.shape, grid.text, file.getvalue())

    @cached_property
    def wcs(self) -> WCS:
        """The astropy WCS, with ``pixel_shape``."""
        made = (
            common.read_wcs(cards.parsed(self.text.split("\n")), 2) if not self.tables else wcs_with_tables(self.tables)
        )
        made.pixel_shape = self.shape[::-1]
        return made

    @cached_property
    def frame(self) -> Any:
        """The celestial system of the coordinates, as an astropy frame."""
        from astropy.wcs.utils import wcs_to_celestial_frame

        return wcs_to_celestial_frame(self.wcs)

    @property
    def header(self) -> Header:
        """An astropy Header with NAXISn and the cards of the WCS."""
        return cards.parsed(self.lines)

    @property
    def lines(self) -> list[str]:
        """The cards of the header, NAXISn first."""
        sizes = [cards.make(f"NAXIS{k}", n) for k, n in enumerate(self.shape[::-1], 1)]
        return [cards.make("NAXIS", 2), *sizes, *self.text.split("\n")]

    @property
    def pixel_size(self) -> float:
        """The side of a pixel in degrees: the root of the pixel area at the reference pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.wcs.pixel_scale_matrix))))

    @property
    def center(self) -> tuple[float, float]:
        """Longitude and latitude of the centre in degrees, in the celestial system of the WCS."""
        rows, columns = self.shape
        world = self.wcs.all_pix2world([[(columns - 1) / 2, (rows - 1) / 2]], 0)[0]
        return float(world[self.wcs.wcs.lng]), float(world[self.wcs.wcs.lat])

    @classmethod
    @public
    def union(
        cls, stack: Any, *, resolution: Any = None, frame: Any = None, north_up: bool = True, projection: str = "TAN"
    ) -> Grid:  # fmt: skip
        """The grid that holds all frames.

        If the frames differ by whole pixels, it is their own grid, enlarged. Otherwise it comes from reproject's
        ``find_optimal_celestial_wcs``: north up, with the smallest pixels among the frames.

        Parameters
        ----------
        stack : DataArray, Dataset, or a list of these or of Grids
        resolution : float or Quantity, optional
            The side of a pixel; a float is in arcseconds.
        frame : str or astropy frame, optional
            The celestial system: "icrs", "galactic", ... Default: that of the first frame.
        north_up : bool, default: True
            False rotates the grid so that it is smallest.
        projection : str, default: "TAN"
            The three letters of the projection in CTYPE.

        Returns
        -------
        Grid

        Raises
        ------
        ValueError
            A frame has no usable WCS, or ``resolution`` is unusable.
        ImportError
            reproject is needed and not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import xccd
        >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
        ...          "CRPIX2": 1.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
        >>> stack = xccd.open_stack([(np.zeros((4, 6)), cards | {"CRPIX1": x}) for x in (1.0, 21.0)])
        >>> xccd.Grid.union(stack).shape
        (4, 26)
        """
        from xccd.sky.grid import every
        from xccd.sky.union import union

        return union(every(stack), resolution=resolution, frame=frame, north_up=north_up, projection=projection)

    def moved(self, rows: float, columns: float, shape: tuple[int, int]) -> Grid:
        """A grid of ``shape`` whose first pixel is this grid's pixel (rows, columns), which may lie outside."""
        shift = {"CRPIX1": columns, "CRPIX2": rows}
        found = {c.keyword: c for c in cards.split(self.text)}
        lines = {k: written(c) for k, c in found.items()}
        for keyword, by in shift.items():
            value = cards.as_number(found[keyword].value) if keyword in found else 0.0
            lines[keyword] = cards.make(keyword, value - by)
        tables = moved_tables(self.tables, rows, columns) if self.tables and (rows, columns) != (0, 0) else self.tables
        return Grid(shape, "\n".join(lines[k] for k in sorted(lines)), tables)

    def __getitem__(self, key: tuple[slice, slice]) -> Grid:
        """The grid of some rows and columns, sliced like an array; the step is 1."""
        if not (isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, slice) for k in key)):
            raise TypeError(f"a grid is cut by two slices, as grid[10:50, :20], not by {key!r}")
        parts = [k.indices(n) for k, n in zip(key, self.shape, strict=True)]
        if any(step != 1 or stop <= start for start, stop, step in parts):
            raise ValueError(f"grid[{key[0]}, {key[1]}] of shape {self.shape} has no pixels, or a step")
        (top, bottom, _), (left, right, _) = parts
        return self.moved(top, left, (bottom - top, right - left))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("xccd.Grid", self.shape, self.text, self.tables)

    def __getstate__(self) -> dict[str, Any]:
        # without the cached WCS and its frame, which are made again
        return {"shape": self.shape, "text": self.text, "tables": self.tables}

    def __repr__(self) -> str:
        rows, columns = self.shape
        longitude, latitude = self.center
        return (
            f'<Grid {columns} x {rows} pixels of {self.pixel_size * 3600:.4g}", {self.wcs.wcs.ctype[0]}, '
            f"centre {longitude:.5f} {latitude:+.5f}>"
        )


def _check_one(stack: Any) -> None:  # raises if frames have different WCS
    texts = list(dict.fromkeys(common.texts(stack, "frame")))
    own = {tuple(c.lines for c in cards.split(text) if cards.WCS.fullmatch(c.keyword)) for text in texts}
    if len(own) > 1 and any("CTYPE1" in text for text in texts) and not common.same_grid(texts):
        raise ValueError(SEVERAL.format(len(own)))


SEVERAL = "the frames have {} WCS: take one, as stack[0], or align them; Grid.union(stack) holds them all"
WITHOUT = "without a WCS: stack.ccd.align(transforms='similarity') matches their stars, align(offsets=...) shifts them"


def grids_of(stack: xr.DataArray) -> list[Grid]:
    """The grid of each frame, for the pixels that it has now, after crops."""
    texts = common.texts(stack, "frame")
    names = frame_names(stack, "frame")
    if not texts:
        raise ValueError(f"the frames have no headers (keep_headers=False?), so no WCS: open them again; {WITHOUT}")
    shape = (stack.sizes["y"], stack.sizes["x"])
    known: dict[str, Grid] = {}
    checked: set[frozenset[str]] = set()  # wcslib reads a card by its keyword, so one header of a night is enough
    found = []
    for i, (text, name) in enumerate(zip(texts, names, strict=True)):
        own = cards.join(c for c in cards.split(text) if cards.WCS.fullmatch(c.keyword))
        key = f"{name}\n{own}" if is_distorted(own) else own  # tables belong to one file
        if key not in known:
            keywords = frozenset(c.keyword for c in cards.split(text))
            try:
                known[key] = _grid(stack.isel(frame=i), own, shape)
                if keywords not in checked and not is_distorted(own):
                    check_whole(text, common.read_wcs(parsed(wcs_lines(own)), 2), shape)
            except ValueError as error:
                raise ValueError(f"{name}: {error}; {WITHOUT}") from error
            checked.add(keywords)
        found.append(known[key])
    return found


def every(frames: Any) -> list[Grid]:
    """The grids of all frames. Takes a stack, a list of stacks, or Grids."""
    items = list(frames) if isinstance(frames, list | tuple) else [frames]
    found: list[Grid] = []
    for item in items:
        if isinstance(item, xr.Dataset):
            item = item[science_variables(item, "frame")[0]]
        stack = isinstance(item, xr.DataArray) and "frame" in item.dims
        found += grids_of(item) if stack else [Grid.of(item)]
    if not found:
        raise ValueError("an empty list has no frames: give stacks, or grids")
    return found


def _grid(frame: xr.DataArray, text: str, shape: tuple[int, int]) -> Grid:
    """The grid of a frame with these WCS cards."""
    moved = pixel_grid.moves(frame, text)
    if is_distorted(text):
        return _part(_of_file(str(frame.coords["file"].item()), text, shape), moved, shape)
    if moved:
        made = parsed(text.split("\n"))
        pixel_grid.move(made, moved)
        text = "\n".join(str(card) for card in made.cards)
    return Grid.of_cards(text, shape)


def _part(grid: Grid, moved: dict[int, tuple[float, float]], shape: tuple[int, int]) -> Grid:
    """The grid of the pixels that are left of a frame whose WCS is distorted by tables."""
    if any(step != 1 for _, step in moved.values()):
        raise ValueError("its WCS is distorted by a table: it cannot be kept with a stride")
    (columns, _), (rows, _) = (moved.get(axis, (0.0, 1.0)) for axis in (1, 2))
    return grid.moved(rows, columns, shape)


def distorted(image: xr.DataArray) -> Grid | None:
    """The grid of an image, or of frames that share it, whose WCS is distorted by tables of their files; else None."""
    if "frame" in image.dims:
        texts = common.texts(image, "frame")
        if not any(map(is_distorted, texts)):
            return None
        grids = set(grids_of(image))
        if len(grids) > 1:
            raise ValueError(SEVERAL.format(len(grids)))
        return grids.pop()
    text = common.text_of(image)
    if text is None or not is_distorted(text):
        return None
    if "file" not in image.coords:
        raise ValueError("the WCS is distorted by a table in another HDU, and the image does not say which file has it")
    return _grid(image, text, (image.sizes["y"], image.sizes["x"]))


def _of_file(file: str, text: str, shape: tuple[int, int]) -> Grid:
    """The grid of a frame whose distortion is in tables of its file."""
    try:
        return Grid.with_tables(text, file, shape)
    except OSError as error:
        raise ValueError(f"its WCS is distorted by a table, and its file cannot be read: {error}") from error
