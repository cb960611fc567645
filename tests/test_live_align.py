"""`LiveStack` with frames that must be brought onto the first: by WCS, offsets and stars."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from test_live import CARDS, WCS, frame

STARS = np.random.default_rng(3)
X, Y, PEAK = STARS.uniform(10, 190, 60), STARS.uniform(10, 150, 60), STARS.uniform(300, 4000, 60)
V, U = np.mgrid[:160, :200]


def sky(seed: int, dx: float = 0.0, dy: float = 0.0, turn: float = 0.0) -> tuple[np.ndarray, dict]:
    c, s = np.cos(turn), np.sin(turn)
    x, y = 100 + c * (X - 100) - s * (Y - 80) + dx, 80 + s * (X - 100) + c * (Y - 80) + dy
    image = np.random.default_rng(seed).normal(100, 3, U.shape)
    for place in zip(x, y, PEAK, strict=True):
        image += place[2] * np.exp(-((U - place[0]) ** 2 + (V - place[1]) ** 2) / 4)
    return image.astype("f4"), CARDS


@pytest.mark.parametrize("how", ["offsets", "transforms"])
def test_by_stars(how: str, tmp_path: Path) -> None:
    live = xccd.LiveStack(None, None, align=how)
    for number in range(5):
        assert live.add(sky(number, 1.5 * number, -number, 0.05 * number * (how == "transforms")))
    empty = np.random.default_rng(9).normal(100, 3, U.shape).astype("f4")
    with pytest.warns(UserWarning, match="frame-6 is left out, it cannot be brought onto the first frame"):
        assert live.add((empty, CARDS)) is None
    image = live.snapshot()
    assert (image["data"].attrs["NCOMBINE"], live.left_out, len(live)) == (5, ["frame-6"], 5)
    bright = PEAK > 2000
    peaks = image["data"].values[np.round(Y).astype(int), np.round(X).astype(int)][bright]
    first = sky(0)[0][np.round(Y).astype(int), np.round(X).astype(int)][bright]
    np.testing.assert_allclose(peaks, first, rtol=0.2)
    again = xccd.LiveStack.load(live.save(tmp_path / "live.state"))
    for one in (live, again):
        one.add(sky(7, 2.25, 3.5))
    xr.testing.assert_identical(again.snapshot(), live.snapshot())


@pytest.mark.versions
def test_by_wcs_as_align_does() -> None:
    frames = [frame(i, **WCS | {"CRPIX1": 15.0 + i / 2, "CRPIX2": 10.0 - i}) for i in range(4)]
    live = xccd.LiveStack(None, None, align="wcs")
    for one in frames:
        live.add(one)
    found = live.snapshot()
    aligned = xccd.open_stack(frames, chunks=None).ccd.align(0)
    expected = aligned.ccd.combine("mean")
    np.testing.assert_allclose(found["data"], expected, rtol=1e-6)
    np.testing.assert_array_equal(found["data_count"], aligned.ccd.count())
    ours, theirs = found["data"].ccd.header(), expected.ccd.header()
    for header in (ours, theirs):
        header.remove("HISTORY", remove_all=True)
    assert ours.tostring() == theirs.tostring()
    assert found["data"].coords["x"].variable.identical(expected.coords["x"].variable)


def test_by_wcs_of_other_shapes_and_without() -> None:
    live = xccd.LiveStack(align="wcs")
    with pytest.raises(ValueError, match="frame-1: align='wcs' needs the WCS of the first frame"):
        live.add(frame(1))
    live.add(frame(1, **WCS))
    assert live.add(frame(2, (30, 40), **WCS | {"CRPIX1": 20.0, "CRPIX2": 15.0})).samples == 600
    for bad, why in ((frame(3), "there is no WCS"), (frame(3, **WCS | {"CRVAL1": 50.0}), "no frame lies on the grid")):
        with pytest.warns(UserWarning, match=f"frame-[34] is left out, .*{why}"):
            assert live.add(bad) is None
    with pytest.raises(ValueError, match=r"has the dimensions \('z', 'y', 'x'\): align='wcs' takes images"):
        live.add(np.ones((2, 20, 30)))
    assert repr(live) == "<xccd.LiveStack: 2 frames of 20 x 30 pixels, 2 left out>"
    with pytest.raises(ValueError, match="takes images"):
        xccd.LiveStack(align="offsets").add(np.ones((2, 20, 30)))
