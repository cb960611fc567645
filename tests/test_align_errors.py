"""What `align` refuses, and warns of."""

import sys

import numpy as np
import pytest

import xccd
from sky import noise, sip, stack_of, tan, turned
from xccd.sky.grid import Grid

FLAT = stack_of(noise(2), [tan((30, 20)), tan((31, 20))])
PER_AREA = FLAT.assign_attrs(units="MJy / sr")
FAR = Grid.of(tan((30, 20)) | {"CRVAL2": 50.0}, shape=(40, 60))


@pytest.mark.parametrize(
    ("run", "error", "match"),
    [
        (lambda: stack_of(noise(2), [tan((1, 1)), {}]).ccd.align(), ValueError, r"frame 1 \(.*\): there is no WCS"),
        (lambda: stack_of(noise(1), [tan((1, 1)) | {"CTYPE1": "FREQ", "CTYPE2": "STOKES"}]).ccd.align(FAR), ValueError,
         r"frame 0 \(.*\): .*not celestial|frame 0"),
        (lambda: FLAT.ccd.align(FAR), ValueError, "no frame lies on the grid: the nearest is centred 30 degrees"),
        (lambda: FLAT.ccd.align(7), ValueError, "to=7: the frames are 0 to 1"),
        (lambda: FLAT.ccd.align({"NAXIS1": 3}), ValueError, "to= has no grid that can be used: "),
        (lambda: FLAT.ccd.align(object()), TypeError, "an object has no WCS"),
        (lambda: FLAT.ccd.align("intersection"), ValueError, "to='intersection' goes with offsets="),
        (lambda: FLAT.ccd.align(method="magic"), ValueError, "method='magic' is unknown: use one of interp, adaptive"),
        (lambda: FLAT.ccd.align(order="cubic"), ValueError, "order='cubic' is unknown: use one of nearest, bilinear"),
        (lambda: FLAT.ccd.align(order="bicubic", method="exact"), ValueError, "order goes with 'interp'"),
        (lambda: FLAT.ccd.align(flux="all"), ValueError, "flux='all' is unknown"),
        (lambda: PER_AREA.ccd.align(flux="total"), ValueError, "flux='total' of data in 'MJy / sr', which is per area"),
        (lambda: FLAT.ccd.align(FAR, offsets=[(0, 0), (1, 1)]), ValueError, "with offsets=: use 'union'"),
        (lambda: xccd.align([]), TypeError, "not an empty list"),
        (lambda: xccd.align([FLAT, FLAT.ccd.to_dataset()]), TypeError, "not DataArray, Dataset"),
        (lambda: FLAT[0].ccd.align(), ValueError, "has no dimension 'frame'"),
        (lambda: FLAT.expand_dims(["z", "t"]).ccd.align(), ValueError, r"align takes frames \(frame, y, x\), or"),
        (lambda: FLAT.drop_vars("header").ccd.align(), ValueError, "the frames have no headers"),
        (lambda: FLAT.load().ccd.align(Grid.of(tan((30, 20)), shape=(900_000, 900_000))), ValueError,
         r"align would make 1.296e\+04 GB \(2 frame\(s\) of 900000 x 900000 pixels\)"),
        (lambda: FLAT.ccd.to_dataset(uncertainty=1.0).ccd.align(1, method="adaptive"), ValueError,
         "method='adaptive' carries no uncertainties"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors(run, error, match):
    with pytest.raises(error, match=match):
        run()


def test_scales_that_differ_much_are_warned_of():
    with pytest.warns(UserWarning, match=r'frame 0 \(.*\) has pixels of 0.36" \(and 1 more\), the grid 7.2"'):
        FLAT.ccd.align(Grid.of(tan((3, 3), scale=20e-4), shape=(5, 5)))


DAMAGED = [
    ({"CRPIX1": 1e30}, r"no grid of a usable size that holds all frames \(shape=\(40, 1e\+30|no grid of a usable size"),
    ({"CRVAL1": 1e300}, r"no grid of a usable size that holds all frames"),
    ({"CRVAL2": 95.0}, r"frame 1 \(.*\): .*Ill-conditioned"),
    ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, r"frame 1 \(.*\): .*Unrecognized projection"),
    ({"CUNIT1": "furlong"}, r"frame 1 \(.*\): .*CUNIT1"),
    ({"CRPIX1": "abc"}, r"frame 1 \(.*\): the WCS is damaged: CRPIX1 = 'abc' is not a number"),
    ({"RADESYS": "NOPE"}, r"frame 1 \(.*\): the WCS has no celestial system that is known"),
    ({"CD1_1": 0.0, "CD2_1": 0.0}, r"frame 1 \(.*\): .*[Ss]ingular"),
    (sip((30, 20)) | {"A_ORDER": 60000}, r"frame 1 \(.*\): A_ORDER = 60000, the SIP convention ends at 9"),
    (sip((30, 20)) | {"A_ORDER": 9, "B_ORDER": 9, "A_9_0": 1e30}, "no grid of a usable size that holds all frames"),
]


@pytest.mark.parametrize(("cards", "match"), DAMAGED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_damaged_wcs_is_an_error(cards, match):
    stack = stack_of(noise(2), [tan((30, 20), 1), tan((30, 20), 1) | cards])
    with pytest.raises(ValueError, match=match):
        stack.ccd.align()


@pytest.mark.parametrize("card", [{"NAXIS": 65536}, {"WCSAXES": 65536}, {"PV1_99999999": 1.0}, {"A_500_500": 1.0}])
def test_cards_that_would_crash_are_left_out(card):
    stack = stack_of(noise(2), [tan((30, 20), 1), tan((33.5, 20), 1) | card])
    expected = stack_of(noise(2), [tan((30, 20), 1), tan((33.5, 20), 1)]).ccd.align(0)
    np.testing.assert_array_equal(stack.ccd.align(0), expected)


def test_what_needs_reproject_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "reproject", None)
    monkeypatch.setitem(sys.modules, "reproject.mosaicking", None)
    with pytest.raises(ImportError, match=r"needs reproject and shapely: pip install .*, or give the grid as to="):
        turned(2).ccd.align()
    with pytest.raises(ImportError, match=r"method='adaptive' needs reproject: pip install 'xccd\[align\]'"):
        turned(2).ccd.align(0, method="adaptive")
    assert turned(2).ccd.align(0).shape == (2, 40, 60)
    for name, method in (("skimage.registration", "phase"), ("sep", "stars")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=r"needs? .*: pip install 'xccd\[offsets\]'"):
            turned(2).ccd.find_offsets(method)


@pytest.mark.parametrize("chunks", ["auto", None])
@pytest.mark.parametrize("flagged", [False, True], ids=["stack", "dataset"])
def test_frames_that_are_on_the_grid_get_the_labels_too(chunks, flagged):
    stack = stack_of(noise(2), [tan((30, 20))] * 2, chunks=chunks)
    given = stack.ccd.to_dataset() if flagged else stack
    for to in (None, 0, Grid.of(stack[0])):
        aligned = given.ccd.align(to)
        assert aligned is not given
        assert "align_error" not in given.coords
        assert aligned.align_error.values.tolist() == [0.0, 0.0]
        assert [Grid.from_text(text) for text in aligned.aligned_from.values] == [Grid.of(stack[0])] * 2
        images = [aligned.ccd.combine("mean", weights="footprint"), given.ccd.combine("mean")]
        one, other = (image["data"].values if flagged else image.values for image in images)
        np.testing.assert_allclose(one, other, rtol=1e-6)
    moved = stack[:, 3:, 2:].ccd.align(0)
    assert moved.aligned_from.shape == (2,)
