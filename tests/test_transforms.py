"""Frames without a WCS: transforms from star patterns, and frames aligned by them."""
# ruff: noqa: E501  (a table is read by its rows)

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from sky import noise, stack_of, tan, turned
from star_fields import add_stars, cosmic_rays
from xccd.sky import affine
from xccd.sky.patterns import match
from xccd.sky.similarity import apply, inverse, is_mirrored, of_complex, pairs, product, scale_of
from xccd.sky.stars import find_stars

SHAPE = (200, 220)
NEAR = (0.95, 1.05)
WIDE = (0.25, 0.45), (2.2, 4.0)


def matrix_of(degrees=0.0, scale=1.0, shift=(0.0, 0.0), mirrored=False, shape=SHAPE, other=None):
    """From a frame to the reference: a turn and a scale about the centres of both, and a shift (x, y)."""
    a = scale * np.exp(1j * np.deg2rad(degrees))
    found = of_complex(a, 0, mirrored)
    centre, there = (np.array([n - 1 for n in s[::-1]]) / 2 for s in (other or shape, shape))
    found[:, 2] = there + shift - found[:, :2] @ centre
    return found


def corners(shape=SHAPE):
    rows, columns = shape
    return np.array([0, columns - 1, 1j * (rows - 1), columns - 1 + 1j * (rows - 1)])


def off(found, true, shape=SHAPE):
    """The largest distance between two matrices at the corners of a frame."""
    return np.abs(apply(found, corners(shape)) - apply(true, corners(shape))).max()


def lists(seed, true, stars=40, other=SHAPE):
    """The stars of the reference and of a frame, brightest first: some are lost, and some are not real."""
    rng = np.random.default_rng(seed)
    sky = rng.uniform(-1, 2, (2, 9 * stars)) * [[220], [200]]
    sky, light = sky[0] + 1j * sky[1], rng.pareto(1.2, 9 * stars) + 1
    found = []
    for places, (rows, columns) in ((sky, SHAPE), (apply(inverse(true), sky), other)):
        inside = (places.real > 0) & (places.real < columns) & (places.imag > 0) & (places.imag < rows)
        seen = np.flatnonzero(inside & (rng.random(places.size) > 0.1))
        n = max(1, seen.size // 6)
        own = rng.uniform(0, columns, n) + 1j * rng.uniform(0, rows, n)
        at = np.append(places[seen] + rng.normal(0, 0.05, (2, seen.size)).T @ [1, 1j], own)
        flux = np.append(light[seen] * np.exp(rng.normal(0, 0.2, seen.size)), rng.pareto(1.2, n) + 1)
        found.append(at[np.argsort(-flux)])
    return found


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), degrees=st.floats(-180, 180), scale=st.floats(0.96, 1.04), mirrored=st.booleans(),
    shift=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
)  # fmt: skip
def test_patterns_need_no_guess(seed, degrees, scale, mirrored, shift):
    true = matrix_of(degrees, scale, shift, mirrored)
    first, other = lists(seed, true)
    found = match(first, other, (SHAPE, SHAPE), scales=(NEAR,), model="similarity")
    assert found is not None
    assert found.sure
    assert off(found.fit.matrix, true) < 0.25
    assert is_mirrored(found.fit.matrix) == mirrored


@pytest.mark.parametrize("seed", range(2))
def test_another_scale_and_lists_of_other_skies(seed):
    shape, scale = (180, 240), (0.4, 2.5)[seed % 2]
    true = matrix_of(70 * seed, scale, mirrored=seed > 0, other=shape)
    first, other = lists(seed, true, 50, shape)
    found = match(first, other, (SHAPE, shape), scales=WIDE, model="similarity")
    assert found.sure
    assert off(found.fit.matrix, true, shape) < 0.4 * max(1, scale)
    assert scale_of(found.fit.matrix) == pytest.approx(scale, rel=3e-3)
    for stars in (10, 40):
        alien = lists(seed + 100, true, stars)[1]
        by_chance = match(lists(seed, true, stars)[0], alien, (SHAPE, shape), scales=(NEAR,), model="affine")
        assert by_chance is None or not by_chance.sure


def test_what_stays_at_its_pixels_does_not_lead():
    """Faults of a camera, more and brighter than the stars that all move."""
    true = matrix_of(0.5, 1.0, (9, -4))
    first, other = lists(5, true, 30)
    faults = np.random.default_rng(0).uniform(0, 200, (2, 40)).T @ [1, 1j]
    one, two = np.append(faults, first), np.append(faults, other)
    found = match(one, two, (SHAPE, SHAPE), scales=(NEAR,), model="similarity")
    assert off(found.fit.matrix, true) < 0.2
    still = match(one, one, (SHAPE, SHAPE), scales=(NEAR,), model="similarity")
    np.testing.assert_allclose(still.fit.matrix, np.eye(2, 3), atol=1e-9)


def test_stars_on_the_edge_count():
    edge = np.append(np.arange(3, 200, 28) - 0.6 + 0j, 1j * np.arange(5, 200, 33) - 1.2)
    found = match(edge, edge + 0.1, (SHAPE, SHAPE), scales=(NEAR,), model="similarity")
    assert found.sure
    assert len(found.fit) == len(edge)


def images(matrices, *, stars=45, seed=0, shape=SHAPE, hot=0, rays=0, fwhm=3.0, peak=(12, 120)):
    """Frames (y, x) of one sky, which the matrices bring to the first; sky 1000 and noise 10."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    sky = rng.uniform(-1, 2, (2, 9 * stars)) * [[columns], [rows]]
    heights = 10 * (peak[0] + rng.exponential(peak[1], sky.shape[1]))
    at, light = (rng.integers(0, rows, hot), rng.integers(0, columns, hot)), rng.exponential(3000, hot) + 300
    found = []
    for matrix in matrices:
        places, image = apply(inverse(matrix), sky[0] + 1j * sky[1]), rng.normal(1000, 10, shape)
        add_stars(image, places.real, places.imag, heights, fwhm / scale_of(matrix))
        cosmic_rays(image, rays, rng)
        image[at] += light
        found.append(image)
    return found


def stack(frames, heads=None, **options):
    return xccd.open_stack(list(zip(frames, heads or [{}] * len(frames), strict=True)), **options)


TRUE = [matrix_of(), matrix_of(0.5, 1.003, (12, -7)), matrix_of(180.2, 1, (-9, 5)), matrix_of(24, 0.99, (3, 8), True)]


@pytest.fixture(scope="module")
def frames():
    return images(TRUE, hot=60, rays=40)


def test_shift_turn_scale_flip_and_mirror(frames):
    found = stack(frames).ccd.find_transforms()
    assert [off(m, true) < 0.1 for m, true in zip(found.matrix.values, TRUE, strict=True)] == [True] * 4
    np.testing.assert_allclose(found.rotation, [0, 0.5, -179.8, 24], atol=0.02)
    np.testing.assert_allclose(found.scale, [1, 1.003, 1, 0.99], atol=2e-4)
    assert found.mirrored.values.tolist() == [False, False, False, True]
    assert (found.stars_matched > 15).all()
    assert (found.residual < 0.2).all()
    assert found.matrix.dims == ("frame", "axis", "term")
    assert found.attrs == {"model": "similarity", "reference": 0}
    assert found.file.values.tolist() == stack(frames).file.values.tolist()
    other = stack(frames).ccd.find_transforms(reference=-2)
    assert other.attrs["reference"] == 2
    assert off(product(inverse(other.matrix.values[0]), other.matrix.values[1]), TRUE[1]) < 0.2


def test_all_forms_give_the_same(frames):
    plain = stack(frames[:2])
    forms = {
        "numpy": plain.load(), "transposed, dask": plain.chunk(frame=1, y=100).transpose("y", "x", "frame"),
        "flagged, deferred": stack(frames[:2], chunks=None).ccd.to_dataset(), "list": [plain[:1], plain[1:]],
    }  # fmt: skip
    expected = plain.ccd.find_transforms().drop_vars("file")
    for name, form in forms.items():
        assert xccd.find_transforms(form).drop_vars("file").identical(expected), name


def test_an_affine_model_and_the_sharpest_frame():
    shear = np.array([[1.004, 0.006, 5.0], [-0.002, 0.995, -8.0]])
    frames = [*images([TRUE[0]], fwhm=4.5), *images([TRUE[0], shear], fwhm=3.0)[1:], *images([TRUE[0]], fwhm=5.0)]
    found = stack(frames).ccd.find_transforms("affine", reference="best")
    assert found.attrs == {"model": "affine", "reference": 1}
    assert off(found.matrix.values[0], inverse(shear)) < 0.1
    assert off(found.matrix.values[1], np.eye(2, 3)) == 0


def test_other_cameras():
    """A camera of half the scale, mirrored: its keywords explain it, or a warning asks."""
    wide = matrix_of(31, 2.0, mirrored=True, other=(150, 170))
    (first,), (_, second) = images([TRUE[0]], stars=60), images([TRUE[0], wide], stars=60)
    rows, columns = 150, 170
    heads = [{"XPIXSZ": 3.8, "FOCALLEN": 800.0}, {"XPIXSZ": 3.8, "FOCALLEN": 400.0}]
    both = [stack([first], heads[:1]), stack([second[:rows, :columns]], heads[1:])]
    found = xccd.find_transforms(both)
    assert off(found.matrix.values[1], wide, (rows, columns)) < 0.3
    aligned = xccd.align(both, "intersection", transforms=found, order="bicubic")
    bright = aligned.max("frame").values > 1500
    assert np.corrcoef(aligned.values[0][bright], aligned.values[1][bright])[0, 1] > 0.5
    bare = [one.assign_coords(header=("frame", [""])) for one in both]
    with pytest.warns(UserWarning, match=r"frame 1 \(.*\) is scaled by 2(\.00\d|), which no keyword explains"):
        xccd.find_transforms(bare)


def test_false_matches_are_errors(frames):
    alien = images([TRUE[0]], seed=99)
    three = stack([frames[0], alien[0], frames[1], noise(1, SHAPE)[0]])
    with pytest.raises(ValueError, match=(
        r"frame 1 \(.*\) has no pattern of 6 or more of its \d+ stars in common with frame 0 \(.*\); "
        r"frame 3 \(.*\) shows \d stars?, 6 are needed. Leave them out, as stack.drop_isel\(frame=\[1, 3\]\)"
    )):  # fmt: skip
        three.ccd.find_transforms()
    assert three.drop_isel(frame=[1, 3]).ccd.find_transforms().sizes["frame"] == 2
    with pytest.raises(ValueError, match=r"reference=3: frame 3 \(.*\) shows \d stars?, 6 are needed: choose another"):
        three.ccd.find_transforms(reference=3)


def test_a_lens_that_distorts_warns():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(5, 215, (2, 80))
    peaks = rng.uniform(300, 3000, 80)
    made = []
    for bend in (0, 1e-5):
        z = (x - 110 + 1j * (y - 100)) * (1 + bend * ((x - 110) ** 2 + (y - 100) ** 2 - 7000)) + 110 + 100j
        image = rng.normal(1000, 10, SHAPE)
        add_stars(image, z.real, z.imag, peaks, 3.0)
        made.append(image)
    rough = r"frame 1 \(.*\) has a residual of .* try model='affine', or solve their WCS"
    unsure = r"frame 1 \(.*\) is matched by \d+ stars that leave a corner unsure by .* pixels: look at it"
    with pytest.warns(UserWarning, match=rough), pytest.warns(UserWarning, match=unsure):
        stack(made).ccd.find_transforms()


ERRORS = [
    (lambda s: s.ccd.find_transforms("similar"), ValueError, "model='similar' is unknown: use one of similarity, affine; did you mean 'similarity'"),
    (lambda s: s.ccd.find_transforms(reference=9), ValueError, "reference=9: the frames are 0 to 3, or give 'best' for the sharpest"),
    (lambda s: s.ccd.find_transforms(reference=True), ValueError, "reference=True: the frames are"),
    (lambda s: s[0].ccd.find_transforms(), ValueError, "no dimension 'frame'"),
    (lambda s: s[:, 0].ccd.find_transforms(), ValueError, r"find_transforms takes frames \(frame, y, x\)"),
    (lambda s: xccd.find_transforms([]), ValueError, "find_transforms takes frames, an empty list has none"),
    (lambda s: xccd.find_transforms(s.values), TypeError, "find_transforms takes a DataArray, a Dataset or a list of these, not a ndarray"),
    (lambda s: xr.Dataset({"a": s, "b": s}).ccd.find_transforms(), ValueError, r"this Dataset has a, b: pick one, as ds\['a'\].ccd.find_transforms\(\)"),
    (lambda s: s.ccd.align(), ValueError, r"no WCS: .* without a WCS: stack.ccd.align\(transforms='similarity'\) matches their stars"),
    (lambda s: s.ccd.align(transforms="similarity", offsets=[(0, 0)] * 4), ValueError, "offsets= and transforms= were both given"),
    (lambda s: s.ccd.align(transforms="similar"), ValueError, "model='similar' is unknown"),
    (lambda s: s.ccd.align(transforms=np.ones((3, 2, 3))), ValueError, r"transforms has shape \(3, 2, 3\): give a matrix \(2, 3\) for each of 4 frames"),
    (lambda s: s.ccd.align(transforms=np.ones((4, 2, 3))), ValueError, "transforms of frame 0 are .*: they cannot be turned round"),
    (lambda s: s.ccd.align(transforms={"a": 1}), TypeError, "are no matrices: give a model's name"),
    (lambda s: s.ccd.align(transforms=xr.Dataset({"a": 1})), ValueError, "without the variable 'matrix'"),
    (lambda s: s.ccd.align("onion", transforms=np.array(TRUE)), ValueError, "to='onion' with transforms=: .* or the number of a frame, 0 to 3; did you mean 'union'"),
    (lambda s: s.ccd.align(4, transforms=np.array(TRUE)), ValueError, "to=4 with transforms="),
    (lambda s: s.ccd.align("intersection", transforms=np.array([*TRUE[:3], matrix_of(shift=(999, 0))])), ValueError, "to='intersection': the frames have no pixel in common after these transforms"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "match"), ERRORS)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(stack(noise(4, SHAPE)))


def test_transforms_of_other_frames_are_errors(frames):
    four = stack(frames)
    found = four.ccd.find_transforms()
    with pytest.raises(ValueError, match="transforms= are of 4 frames, there are 2: find them again, or select"):
        four[:2].ccd.align(transforms=found)
    with pytest.raises(ValueError, match=r"transforms= of frame 0 are of .*, the frame is .*: find them again"):
        four[:2].ccd.align(transforms=found.isel(frame=slice(2, 4)))
    with pytest.raises(
        ValueError, match=r"of frame 0 are of 200 x 220 pixels from \(0, 0\), the frame has 190 x 220 from \(10, 0\)"
    ):
        four[:, 10:].ccd.align(transforms=found)
    assert four[2:].ccd.align(transforms=found.isel(frame=slice(2, 4))).sizes["frame"] == 2


# align


def by_wcs(options):
    """Frames with a WCS each, and the matrices that are the same thing: one tangent point, so exactly."""
    sky = turned(4, (40, 60), **options)
    matrices = []
    for i in range(4):
        there, here = sky.ccd.wcs(0), sky.ccd.wcs(i)
        linear = np.linalg.solve(there.pixel_scale_matrix, here.pixel_scale_matrix)
        matrices.append(np.column_stack([linear, there.wcs.crpix - 1 - linear @ (here.wcs.crpix - 1)]))
    return sky, np.array(matrices)


CASES = [
    {"order": "nearest"}, {}, {"order": "bicubic"}, {"order": "lanczos3"}, {"flux": "total"}, {"method": "exact"},
    {"method": "exact", "flux": "total"}, {"method": "adaptive"},
]  # fmt: skip


@pytest.mark.parametrize("how", CASES, ids=str)
def test_align_is_that_of_the_wcs(how):
    sky, matrices = by_wcs({})
    expected = sky.ccd.align(0, **how)
    found = sky.ccd.align(0, transforms=matrices, **how)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert (found.align_error == 0).all()
    for kind in ("footprint", "feather"):
        one, two = (a.ccd.combine("mean", weights=kind)[5:30, 3:] for a in (found, expected))
        np.testing.assert_allclose(one, two, rtol=1e-5)
        cropped = found[:, 5:30, 3:].ccd.combine("mean", weights=kind)
        np.testing.assert_allclose(cropped, two, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"chunks": None}], ids=str)
def test_flags_uncertainties_and_laziness(options):
    sky, matrices = by_wcs(options)
    flagged = sky.where(sky < 112).ccd.to_dataset()
    flagged = flagged.assign(data_uncertainty=flagged.data * 0 + 5)
    flagged["data_uncertainty"].attrs["uncertainty_type"] = "std"
    flagged.data.attrs["ancillary_variables"] = "data_flags data_uncertainty"
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("computed early")):
        found, expected = (flagged.ccd.align(0, **by) for by in ({"transforms": matrices}, {}))
        assert found.ccd.combine("mean").data.chunks is not None or options
    for name in ("data", "data_flags", "data_uncertainty"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-6)
    assert (found.data_flags == 128).any()


def test_the_canvas_and_copied_pixels(frames):
    four = stack(frames)
    union = four.ccd.align(transforms=np.array(TRUE))
    assert np.isfinite(union).sum(("y", "x")).values.tolist() == pytest.approx(
        [s := 200 * 220, s * 1.006, s, s * 0.98], rel=0.01
    )
    own = union[0].dropna("y", how="all").dropna("x", how="all")
    np.testing.assert_array_equal(own, four[0])
    inner = four.ccd.align("intersection", transforms=np.array(TRUE))
    assert np.isfinite(inner.values).all()
    assert inner.sizes["y"] * inner.sizes["x"] > 0.3 * s
    third = four.ccd.align(3, transforms=np.array(TRUE))
    np.testing.assert_array_equal(third[3], four[3])
    named = four.ccd.align("intersection", transforms="similarity", order="lanczos3")
    assert named.shape == inner.shape
    assert (named.stars_matched > 15).all()
    assert named.residual.attrs["units"] == "pixel"
    assert "transforms='similarity'" in named.attrs["history"]
    bright = inner.min("frame").values > 1300  # no hot pixels
    assert np.corrcoef(named.values[:, bright]).min() > 0.8


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-6, 6), st.floats(-6, 6)), min_size=1, max_size=4))
def test_the_intersection_is_the_largest(turns):
    shape = (9, 12)
    matrices = np.array(
        [matrix_of(0, 1, (0, 0), False, shape), *(matrix_of(a, 1, (x, y), False, shape) for a, x, y in turns)]
    )
    y, x = np.mgrid[-15:25, -15:25].astype(float)
    inside = np.ones(x.shape, bool)
    for matrix in matrices:
        at = apply(inverse(matrix), x + 1j * y)
        inside &= (np.abs(at.real - 5.5) <= 5.5 + 2e-4) & (np.abs(at.imag - 4) <= 4 + 2e-4)
    best = 0
    for top in range(40):
        for bottom in range(top, min(40, top + 10)):
            columns = np.flatnonzero(inside[top] & inside[bottom])
            best = max(best, (bottom - top + 1) * (np.ptp(columns) + 1)) if columns.size else best
    if best == 0:
        with pytest.raises(ValueError, match="have no pixel in common"):
            affine.window_of([shape] * len(matrices), matrices, "intersection")
        return
    window = affine.window_of([shape] * len(matrices), matrices, "intersection")
    (row, column), (rows, columns) = window
    assert rows * columns == pytest.approx(best, abs=12)  # pixels whose centre is on an edge
    assert inside[row + 15 : row + 15 + rows, column + 15 : column + 15 + columns].all()


def test_the_wcs_is_that_of_the_reference_or_none(frames):
    heads = [tan((100.3, 80.2), 12), *[{}] * 3]
    some = stack(frames, heads)
    for to in (None, "intersection", 0, 3):
        aligned = some.ccd.align(to, transforms=np.array(TRUE))
        base = TRUE[3] if to == 3 else np.eye(2, 3)
        sky = aligned.ccd.wcs(2).all_pix2world([[7, 5]], 0)
        first = affine.window_of([SHAPE] * 4, np.array(TRUE), to).first
        at = base @ [7 + first[1], 5 + first[0], 1]
        np.testing.assert_allclose(sky, some.ccd.wcs(0).all_pix2world([at], 0), atol=1e-10)
        product_header = aligned.ccd.combine("mean").ccd.header()
        assert product_header["CTYPE1"] == "RA---TAN"
    none = stack(frames).ccd.align("intersection", transforms=np.array(TRUE))
    assert not [k for k in none.ccd.combine("mean").ccd.header() if k.startswith(("CTYPE", "CRVAL", "CD1", "MATRIX"))]
    with pytest.raises(ValueError, match="has no WCS"):
        none.ccd.wcs(0)
    second = stack(frames, [{}, tan((100.3, 80.2), 12), {}, {}]).ccd.align(transforms=np.array(TRUE))
    assert "CTYPE1" not in second.ccd.header(1)
    first = stack(frames, [tan((100.3, 80.2), 12)] * 4)
    found = first.ccd.find_transforms()
    rest = first[1:].ccd.align(transforms=found.isel(frame=slice(1, None)))  # without the reference
    assert "CTYPE1" not in rest.ccd.header(0)
    found = some.ccd.find_transforms(reference=1)
    assert "CTYPE1" not in some.ccd.align(transforms=found).ccd.header(0)


def test_stacks_of_other_shapes_and_trees(frames):
    parts = [stack(frames[:1]), stack([frames[1][10:, :180]])]
    found = xccd.find_transforms(parts)
    true = product(TRUE[1], np.array([[1, 0, 0], [0, 1, 10.0]]))
    assert off(found.matrix.values[1], true) < 0.1
    aligned = xccd.align(parts, 0, transforms=found)
    assert aligned.shape == (2, *SHAPE)
    whole = stack(frames[:2]).ccd.align(
        0, transforms=np.array([TRUE[0], product(found.matrix.values[1], inverse(np.array([[1, 0, 0], [0, 1, 10.0]])))])
    )
    same = np.abs(aligned.values[1] - whole.values[1]) < 1e-6 * whole.values[1]
    assert same.sum() > 0.98 * np.isfinite(aligned.values[1]).sum()  # but for the edges of the smaller one
    tree = xr.DataTree.from_dict({"light/r": stack(frames[:2]).to_dataset(name="data")})
    assert tree.ccd.align(0, transforms="similarity")["light/r"]["data"].sizes["y"] == SHAPE[0]


@pytest.mark.parametrize("turn", [0.25, 0.5])
@pytest.mark.parametrize("order", ["bilinear", "bicubic", "lanczos3"])
def test_the_mean_of_turned_frames_is_as_sharp_as_one(turn, order):
    matrices = [matrix_of(turn * i, 1.003**-i, (7.3 * (i % 3), -5.6 * (i % 2))) for i in range(5)]
    frames = stack(images(matrices, stars=40, seed=1, peak=(40, 200)))
    aligned = frames.ccd.align("intersection", transforms="similarity", order=order)
    one, mean = find_stars(aligned.values[0]), find_stars(aligned.ccd.combine("mean").values)
    i, j = pairs(one.x + 1j * one.y, mean.x + 1j * mean.y, 1.0)
    alone = np.sort(np.abs(one.x + 1j * one.y - (one.x + 1j * one.y)[i][:, None]), axis=1)[:, 1] > 15
    bright = (one.snr[i] > 100) & alone
    assert bright.sum() >= 8
    wider = np.median(mean.fwhm[j][bright] / one.fwhm[i][bright])
    assert wider < (1.06 if order == "bilinear" else 1.02)
    assert np.quantile(np.hypot(one.x[i] - mean.x[j], one.y[i] - mean.y[j])[bright], 0.9) < 0.05


def test_raw_frames_of_a_simulated_night(tmp_path):
    """Uncalibrated lights, with hot pixels, cosmic rays and a satellite."""
    night = xccd.simulate_night(tmp_path / "n", shape=(256, 320), dither=14.0, nlight=4, nflat=0, nbias=0, ndark=0)
    lights = xccd.open_stack(night / "light-r-*.fits")
    found = lights.ccd.find_transforms()
    points = np.array([[0, 0], [319, 0], [0, 255], [319, 255.0]])
    for i, matrix in enumerate(found.matrix.values):
        true = lights.ccd.wcs(0).all_world2pix(lights.ccd.wcs(i).all_pix2world(points, 0), 0)
        np.testing.assert_allclose(np.c_[points, np.ones(4)] @ matrix.T, true, atol=0.1)


def test_cards_of_a_stack_are_one_shape():
    """A frame aligned by transforms is a frame: with a header, and an image that can be saved."""
    heads = [{"EXPTIME": 10.0 + i} for i in range(2)]
    made = stack_of(noise(2, SHAPE), heads).ccd.align("intersection", transforms=np.array(TRUE[:2]))
    assert made.ccd.header(1)["EXPTIME"] == 11
    assert made.ccd.header(1)["NAXIS1"] == made.sizes["x"]
