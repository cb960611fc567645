"""What `align` refuses, and warns of."""

import pytest

import xccd
from sky import noise, stack_of, tan
from xccd.grid import Grid

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
        (lambda: FLAT.ccd.align(object()), TypeError, "a object has no WCS"),
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
        (lambda: FLAT.expand_dims("z").ccd.align(), ValueError, r"align takes frames \(frame, y, x\), this stack has"),
        (lambda: FLAT.drop_vars("header").ccd.align(), ValueError, "the frames have no headers"),
        (lambda: FLAT.load().ccd.align(Grid.of(tan((30, 20)), shape=(900_000, 900_000))), ValueError,
         r"align would make 1.296e\+04 GB \(2 frame\(s\) of 900000 x 900000 pixels\)"),
        (lambda: FLAT.ccd.to_dataset(uncertainty=1.0).ccd.align(1, method="exact"), ValueError,
         "method='exact' carries no uncertainties"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_errors(run, error, match):
    with pytest.raises(error, match=match):
        run()


def test_scales_that_differ_much_are_warned_of():
    with pytest.warns(UserWarning, match=r'frame 0 \(.*\) has pixels of 0.36" \(and 1 more\), the grid 7.2"'):
        FLAT.ccd.align(Grid.of(tan((3, 3), scale=20e-4), shape=(5, 5)))
