"""Frames and grids of a large part of the sky: seams, poles, the far side, and how large a mosaic becomes."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.sky import pixel_map, transform
from xccd.sky.grid import Grid


def cards(projection: str, at: tuple[float, float], size: int | tuple[int, int], side: float) -> dict[str, float | str]:
    """A grid with square pixels of ``side`` degrees, centred on a position."""
    rows, columns = (size, size) if isinstance(size, int) else size
    return {
        "CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}", "CRVAL1": at[0], "CRVAL2": at[1],
        "CRPIX1": columns / 2 + 0.5, "CRPIX2": rows / 2 + 0.5, "CDELT1": -side, "CDELT2": side,
        "NAXIS1": columns, "NAXIS2": rows,
    }  # fmt: skip


def grid(*arguments) -> Grid:
    return Grid.of(cards(*arguments))


def frame(values: np.ndarray, head: dict) -> tuple[np.ndarray, dict]:
    return values, {k: v for k, v in head.items() if not k.startswith("NAXIS")}


def longitudes(one: Grid) -> np.ndarray:
    y, x = np.indices(one.shape)
    return np.radians(one.wcs.all_pix2world(x.ravel(), y.ravel(), 0)[0]).reshape(one.shape)


SKY = cards("CAR", (0.0, 0.0), (180, 360), 1.0)


@pytest.mark.parametrize("chunks", [None, 7])
@pytest.mark.parametrize(
    ("target", "within"),
    [(cards("TAN", (180.0, 0.0), 60, 1.0), 0.1), (cards("ZEA", (0.0, 90.0), 61, 1.0), 2.0)],
    ids=["seam", "pole"],
)
def test_exact_knows_the_seam_and_the_pole(target, within, chunks) -> None:
    stack = xccd.open_stack([frame(100 * np.cos(longitudes(Grid.of(SKY))), SKY)], chunks=chunks)
    to = Grid.of(target)
    found, true = stack.ccd.align(to, method="exact")[0].values, 100 * np.cos(longitudes(to))
    y, x = np.indices(to.shape)
    away = np.hypot(x - 30, y - 30) > (1.5 if within > 1 else -1)  # at the pole itself longitude has no value
    assert np.isfinite(found)[away].all()
    assert np.abs(found - true)[away].max() < within


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("flagged", [False, True])
def test_adaptive_stays_within_the_frame(scale, flagged) -> None:
    stack = xccd.open_stack([frame(np.ones((40, 40)), cards("TAN", (10.0, 0.0), 40, 1e-3))])
    stack = stack.ccd.to_dataset() if flagged else stack
    found = stack.ccd.align(grid("TAN", (10.0, 0.0), 80 // scale, 1e-3 * scale), method="adaptive")
    value = found.data if flagged else found
    assert int(np.isfinite(value).sum()) == 1600 // scale**2
    if flagged:
        np.testing.assert_array_equal(found.data_flags == 0, np.isfinite(value))


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["CAR", "AIT", "gap"]), st.floats(-60, 60), st.floats(-1, 1), st.sampled_from([0.2, 1.0, 4.0]),
)  # fmt: skip
def test_no_seam_slips_between_the_checked_pixels(kind, latitude, east, side) -> None:
    head = (
        cards("CAR", (0.0, 0.0), (500, 990), 360 / 1000)
        if kind == "gap"
        else cards(kind, (0.0, 0.0), (500, 1000), 0.36)
    )
    source, target = Grid.of(head), grid("TAN", (180 + east, latitude), 700, 4 * side / 3600)
    with mock.patch.object(pixel_map, "CHECKS", 4):  # on 8000 x 8000 pixels, 400 do not find every stripe of 32 pixels
        found = pixel_map.pixel_map(source, target)
    if found.box[0] == found.box[1]:
        return
    rows = np.linspace(found.box[0], found.box[1] - 1, 9).astype(int)
    x = np.arange(found.box[2], found.box[3], 3)
    for row in rows.tolist():
        got = found.positions(row, row + 1)[:, 0, ::3]
        true = transform.positions(source, target, x.astype(float), np.full(x.shape, float(row)))
        off = np.hypot(*(got - true))
        inside = (true[0] > -1) & (true[0] < source.shape[1]) & (true[1] > -1) & (true[1] < source.shape[0])
        assert off[inside].max(initial=0) < 1.5e-3


@pytest.mark.parametrize("away", [30, 89, 95, 120, 180])
def test_a_frame_on_another_part_of_the_sky_is_an_error(away) -> None:
    stack = xccd.open_stack([frame(np.ones((60, 60)), cards("TAN", (0.0, 0.0), 60, 0.1))])
    with pytest.raises(ValueError, match=rf"no frame lies on the grid: the nearest is centred {away} degrees"):
        stack.ccd.align(grid("TAN", (float(away), 0.0), 60, 0.1))


@pytest.mark.parametrize("projection", ["CAR", "AIT", "ZEA"])
@pytest.mark.parametrize("tiles", [[(x, 0.0) for x in range(0, 360, 30)], [(45.0 + x, 0.0) for x in range(0, 360, 90)]])
def test_a_union_round_the_sky_holds_every_frame(projection, tiles) -> None:
    frames = [grid("TAN", at, 40, 1.0) if len(tiles) > 4 else grid("CAR", at, 90, 1.0) for at in tiles]
    found = Grid.union(frames, projection=projection)
    rows, columns = found.shape
    for one in frames:
        y, x = (v.astype(float) for v in np.indices(one.shape))
        at = transform.positions(found, one, x, y)
        assert ((at[0] > -0.51) & (at[0] < columns - 0.49) & (at[1] > -0.51) & (at[1] < rows - 0.49)).all()
    if projection == "CAR":
        assert 360 <= columns <= 362


def test_a_union_of_no_usable_size_says_why() -> None:
    ring = [grid("TAN", (float(x), 0.0), 40, 1.0) for x in range(0, 360, 30)]
    with pytest.raises(ValueError, match="projection='TAN' cannot hold them; AIT and CAR hold most"):
        Grid.union(ring)
    with pytest.warns(UserWarning, match=r"1715 x 32770 pixels, 7\.81e\+03 times those of the frames: .*170 \+0"):
        Grid.union([grid("TAN", (0.0, 0.0), 60, 0.1), grid("TAN", (170.0, 0.0), 60, 0.1)])
