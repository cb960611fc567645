"""Frames whose WCS are corrected by their stars, and WCS from elsewhere."""
# ruff: noqa: E501  (a table is read by its rows)

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

import xccd
from sky import noise, sip, tan, tpv
from star_fields import add_stars, cosmic_rays
from xccd.sky.grid import Grid

SHAPE = (260, 280)
DITHERS = [(0.0, 0.0), (14.3, -9.2), (-22.6, 17.9), (30.2, 25.5)]


def wrong(cards, i):
    """Cards that are off by half a pixel, 0.05 degrees and 0.1 %, another way in each frame."""
    if i == 0:
        return cards
    angle, scale = np.deg2rad(0.05) * (-1) ** i, 1 + 1e-3 * (i - 1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cd = np.array([[cards[f"CD{j}_{k}"] for k in (1, 2)] for j in (1, 2)]) @ turn
    moved = {"CRPIX1": cards["CRPIX1"] + 0.5 * (-1) ** i, "CRPIX2": cards["CRPIX2"] - 0.4 * i}
    return cards | moved | {f"CD{j}_{k}": float(cd[j - 1, k - 1]) for j in (1, 2) for k in (1, 2)}


def frames(kind=tan, *, stars=45, hot=0, rays=0, seed=0, dithers=DITHERS, turn=0.0, shape=SHAPE, peak=(15, 120)):
    """Images of one sky by true WCS, and these WCS as cards."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    heads = [kind((columns / 2 + dx, rows / 2 + dy), turn * i) for i, (dy, dx) in enumerate(dithers)]
    x, y = rng.uniform(-1, 2, (2, 9 * stars)) * [[columns], [rows]]
    ra, dec = WCS(fits.Header(kind((columns / 2, rows / 2)))).wcs_pix2world(x, y, 0)
    peaks = 10 * (peak[0] + rng.exponential(peak[1], x.size))
    at, light = (rng.integers(0, rows, hot), rng.integers(0, columns, hot)), rng.exponential(3000, hot) + 300
    images = []
    for head in heads:
        image = rng.normal(1000, 10, shape)
        px, py = WCS(fits.Header(head)).all_world2pix(ra, dec, 0, quiet=True)
        near = (np.abs(px - columns / 2) < columns) & (np.abs(py - rows / 2) < rows)
        add_stars(image, px[near], py[near], peaks[near], 3.0)
        cosmic_rays(image, rays, rng)
        image[at] += light
        images.append(image)
    return images, heads


def stack(images, heads, **options):
    return xccd.open_stack(list(zip(images, heads, strict=True)), **options)


def apart(one, heads, true):
    """The largest distance, in pixels, of frames from the first one's sky: by the WCS now, from the true ones."""
    x, y = (v.ravel() for v in np.meshgrid([0, 140, 279], [0, 130, 259.0]))
    worst = 0.0
    for i, head in enumerate(true):
        sky = WCS(fits.Header(head)).all_pix2world(x, y, 0)
        base = WCS(fits.Header(true[0])).all_world2pix(*sky, 0, quiet=True)
        now = one.ccd.wcs(0).all_world2pix(*one.ccd.wcs(i).all_pix2world(x, y, 0), 0, quiet=True)
        worst = max(worst, np.hypot(*(np.array(now) - base)).max())
    return worst


@pytest.mark.parametrize(
    ("kind", "turn"), [(tan, 0.0), (tan, 33.0), (sip, 0.0), (tpv, 0.0)], ids=["tan", "turned", "sip", "tpv"]
)
def test_wrong_wcs_end_within_a_tenth_of_a_pixel(kind, turn):
    images, true = frames(kind, turn=turn, hot=60, rays=30)
    bad = stack(images, [wrong(head, i) for i, head in enumerate(true)])
    assert apart(bad, None, true) > 1.0
    good = bad.ccd.refine_wcs()
    assert apart(good, None, true) < 0.1
    assert (good.stars_matched > 15).all()
    assert (good.residual < 0.15).all()
    assert good.residual.attrs["units"] == "pixel"
    assert good.header.values.tolist() == bad.header.values.tolist()
    assert Grid.of(good[0]) == Grid.of(bad[0])
    again = good.ccd.refine_wcs()
    assert apart(again, None, true) < 0.1
    best = bad.ccd.refine_wcs(reference="best")
    assert apart(best, None, true) < 0.1


def test_frames_keep_their_samples_labels_and_laziness():
    images, true = frames()
    bad = stack(images, [wrong(head, i) | {"EXPTIME": 5.0} for i, head in enumerate(true)])
    good = bad.ccd.refine_wcs(reference=0)
    assert good.data.name == bad.data.name
    assert good.attrs["history"] == "xccd.refine_wcs(reference=0)"
    flagged = bad.ccd.to_dataset().ccd.refine_wcs()
    np.testing.assert_allclose(flagged.residual, good.residual)
    assert flagged.data.attrs["history"].endswith("xccd.refine_wcs(reference=0)")
    assert set(flagged.data_vars) == {"data", "data_flags"}
    tree = xr.DataTree.from_dict({"r": bad.to_dataset(name="data")}).ccd.refine_wcs()
    np.testing.assert_allclose(tree["r"]["residual"], good.residual)
    parts = xccd.refine_wcs([bad[:2], bad[2:]])
    np.testing.assert_allclose(np.concatenate([p.residual for p in parts]), good.residual)
    assert parts[1].solved_wcs.values.tolist() == good.solved_wcs.values[2:].tolist()
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("computed early")):
        mean = good.ccd.align(0).ccd.combine("mean")
    assert mean.ccd.header()["EXPTIME"] == 5
    assert mean.ccd.wcs().wcs.crpix.tolist() == [140, 130]


def test_the_new_wcs_follows_crops_files_and_arithmetic(tmp_path):
    images, true = frames()
    bad = stack(images, [wrong(head, i) for i, head in enumerate(true)])
    good = bad.ccd.refine_wcs()
    sky = good.ccd.wcs(2).all_pix2world([[50, 60]], 0)
    for cut, at in (
        (good[:, 10:, 20:], (30, 50)),
        (bad[:, 10:, 20:].ccd.refine_wcs(), (30, 50)),
        (good - 100.0, (50, 60)),
    ):
        np.testing.assert_allclose(cut.ccd.wcs(2).all_pix2world([at], 0), sky, atol=4e-6)  # 0.04 pixel: other stars
    one = good[2]
    np.testing.assert_allclose(one.ccd.wcs().all_pix2world([[50, 60]], 0), sky)
    lost = good - bad.ccd.refine_wcs(reference=1)
    with pytest.raises(ValueError, match=r"it was given one, and arithmetic .* dropped the coordinate 'solved_wcs'"):
        lost.ccd.wcs(1)
    sky_coords = good.ccd.align(0).ccd.assign_sky_coords()
    with pytest.raises(ValueError, match=r"the coordinates ra, dec are of the old WCS: leave them out with drop_vars"):
        sky_coords.ccd.assign_wcs(true[0])
    saved = tmp_path / "stack.nc"
    good.to_netcdf(saved)
    again = xr.load_dataarray(saved)
    np.testing.assert_allclose(again.ccd.wcs(2).all_pix2world([[50, 60]], 0), sky)
    with pytest.raises(ValueError, match="refine_wcs takes frames that are not aligned yet"):
        good.ccd.align(0).ccd.refine_wcs()


def test_frames_that_do_not_match_keep_their_wcs_and_warn():
    images, true = frames()
    alien, _ = frames(seed=7)
    some = stack([images[0], alien[1], images[2]], [true[0], true[1], wrong(true[2], 2)])
    with pytest.warns(
        UserWarning,
        match=r"refine_wcs: frame 1 \(.*\) has fewer than 6 stars in common with frame 0 \(.*\) near where its WCS says. Its WCS stays",
    ):
        good = some.ccd.refine_wcs()
    assert good.ccd.wcs(1).wcs.crpix.tolist() == some.ccd.wcs(1).wcs.crpix.tolist()
    assert good.stars_matched.values[1] == 0
    assert np.isnan(good.residual.values[1])
    assert apart(good[[0, 2]], None, [true[0], true[2]]) < 0.1
    with pytest.warns(UserWarning, match=r"frame 1 \(.*\) \(and 1 more\) has fewer"):
        stack([images[0], alien[1], alien[2]], true[:3]).ccd.refine_wcs()
    still = stack([images[0], images[0]], true[:2])
    with pytest.warns(
        UserWarning,
        match=r"frame 1 \(.*\) has \d+ stars at the same pixels as frame 0 \(.*\), though it moved by 17 by the WCS: are they hot pixels\? If not, align\(transforms='similarity'\) goes by them. Its WCS stays",
    ):
        still.ccd.refine_wcs()


def test_stars_in_one_corner_leave_the_others_unsure():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(20, 75, (2, 14))
    images = []
    for i in range(2):
        image = rng.normal(1000, 10, SHAPE)
        add_stars(image, x + 4 * i, y, rng.uniform(90, 150, 14), 3.0)
        images.append(image)
    with pytest.warns(
        UserWarning, match=r"frame 1 \(.*\) has \d+ stars that leave a corner unsure by .* pixels, matched with frame 0"
    ):
        stack(images, [tan((140, 130)), tan((144.4, 130))]).ccd.refine_wcs()


def test_other_distortions_warn():
    images, true = frames(sip)
    bent = [sip((140, 130), size=3e-4), tan((true[1]["CRPIX1"], true[1]["CRPIX2"]))]
    with pytest.warns(
        UserWarning,
        match=r"frame 1 \(.*\) has (a residual of .* pixels: its distortions are not those of frame 0|fewer)",
    ):
        stack(images[:2], bent).ccd.refine_wcs()


REFUSED = [
    (lambda s: s.ccd.refine_wcs(reference=7), ValueError, "reference=7: the frames are 0 to 2, or give 'best'"),
    (lambda s: s[0].ccd.refine_wcs(), ValueError, "no dimension 'frame'"),
    (
        lambda s: xccd.refine_wcs(s.values),
        TypeError,
        "refine_wcs takes a DataArray, a Dataset or a list of these, not a ndarray",
    ),
    (
        lambda s: s.ccd.refine_wcs(),
        ValueError,
        r"reference=0: frame 0 \(.*\) shows \d star\(s\), 6 are needed: choose another frame",
    ),
    (lambda s: stack(noise(2), [{}] * 2).ccd.refine_wcs(), ValueError, r"frame 0 \(.*\): there is no WCS"),
]


@pytest.mark.parametrize(("call", "error", "match"), REFUSED)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(stack(noise(3), [tan((30, 20))] * 3))


# assign_wcs


def plain(**options):
    return stack(noise(3), [{"OBJECT": "M 51", "LTV1": -5.0}] * 3, **options)


def test_a_function_solves_each_frame():
    seen = []

    def solve(frame):
        seen.append((frame.dims, frame.shape, bool(np.isnan(frame.values[0, 0])), frame.coords["file"].item()))
        return WCS(fits.Header(tan((30 + len(seen), 20))))

    flagged = plain().where(plain().y + plain().x > 5).ccd.to_dataset()
    for stack_ in (plain(), flagged):
        solved = stack_.ccd.assign_wcs(solve)
        one = solved.data if isinstance(solved, xr.Dataset) else solved
        assert [one.ccd.wcs(i).wcs.crpix[0] for i in range(3)] == [
            len(seen) - 2 + 30,
            len(seen) - 1 + 30,
            len(seen) + 30,
        ]
        assert one.ccd.header(1)["OBJECT"] == "M 51"
        assert one.ccd.header(1)["LTV1"] == -5
        assert "xccd.assign_wcs(wcs=" in one.attrs["history"]
    assert seen[1] == (("y", "x"), (40, 60), False, "frame-2")
    assert seen[3][2]  # a masked pixel
    aligned = solved.data.ccd.align(0)
    assert aligned.ccd.wcs(2).wcs.crpix[0] == 34


def forms(tmp_path):
    cards = tan((30, 20), 5)
    header = fits.Header(cards)
    path = tmp_path / "frame.wcs"  # as astrometry.net writes it
    fits.PrimaryHDU(header=fits.Header([*header.cards, ("IMAGEW", 60), ("IMAGEH", 40)])).writeto(path)
    image = stack(noise(1), [cards])
    return {
        "dict": cards, "header": header, "wcs": WCS(header), "path": path, "text path": str(path),
        "grid": Grid.of(image[0]), "image": image[0], "list": [cards, header, WCS(header)],
    }  # fmt: skip


def test_all_that_has_a_wcs_is_taken(tmp_path):
    for name, form in forms(tmp_path).items():
        made = plain().ccd.assign_wcs(form)
        found = made.ccd.wcs(1)
        np.testing.assert_allclose(
            found.all_pix2world([[7, 8]], 0),
            WCS(fits.Header(tan((30, 20), 5))).all_pix2world([[7, 8]], 0),
            err_msg=name,
        )


@pytest.mark.parametrize("chunks", ["auto", None])
def test_crops_images_and_products(tmp_path, chunks):
    some = plain(chunks=chunks)
    cut = some[:, 4:, 7:].ccd.assign_wcs(tan((30, 20)))
    assert cut.ccd.wcs(0).wcs.crpix.tolist() == [30, 20]
    assert cut[:, 1:, 2:].ccd.wcs(0).wcs.crpix.tolist() == [28, 19]
    whole = some[0].ccd.assign_wcs(tan((30, 20)))
    assert whole[5:].ccd.wcs().wcs.crpix.tolist() == [30, 15]
    mean = some.ccd.combine("mean")
    for image in (mean, mean[3:, 2:]):
        solved = image.ccd.assign_wcs(tan((30, 20)))
        assert solved.ccd.wcs().wcs.crpix.tolist() == [30, 20]
        path = solved.ccd.to_fits(tmp_path / "mean.fits", overwrite=True)
        written = fits.getheader(Path(path))
        assert (written["CRPIX1"], written["CTYPE1"], written["NCOMBINE"]) == (30, "RA---TAN", 3)
        assert "xccd.assign_wcs(wcs='dict')" in "".join(written["HISTORY"])
    product = cut.ccd.combine("median")
    assert product.ccd.wcs().wcs.crpix.tolist() == [30, 20]
    shifted = some.ccd.align("intersection", offsets=[(0, 0), (3, 2), (1, 1)])
    solved = shifted.ccd.assign_wcs(tan((30, 20)))
    assert solved.ccd.wcs(1).wcs.crpix.tolist() == [30, 20]
    assert solved[:, 2:].ccd.combine("mean").ccd.wcs().wcs.crpix.tolist() == [30, 18]
    replaced = stack(noise(2), [tan((1, 2), 77)] * 2).ccd.assign_wcs(tan((30, 20)))
    assert replaced.ccd.header(0)["CD1_1"] == tan((30, 20))["CD1_1"]


BAD = [
    (lambda s: s.ccd.assign_wcs([{}]), ValueError, "wcs has 1 entries for 3 frames: give one for each"),
    (
        lambda s: s.ccd.assign_wcs(lambda f: None),
        ValueError,
        r"wcs=.*<lambda> returned None for frame 0 \(.*\): leave it out",
    ),
    (
        lambda s: s.ccd.assign_wcs({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}),
        ValueError,
        r"the WCS for frame 0 \(.*\) cannot be used: the WCS is not celestial",
    ),
    (
        lambda s: s.ccd.assign_wcs(tan((1, 1)) | {"NAXIS1": 30, "NAXIS2": 20}),
        ValueError,
        r"cannot be used: it is of 20 x 30 pixels \(rows, columns\), the frame has 40 x 60",
    ),
    (lambda s: s.ccd.assign_wcs(5), TypeError, r"the WCS for frame 0 \(.*\) cannot be used: an int has no WCS"),
    (
        lambda s: s[:, ::2, ::2].ccd.assign_wcs(tan((1, 1))),
        ValueError,
        "the frames are taken with a stride: give a WCS to all pixels",
    ),
    (lambda s: s.drop_vars("header").ccd.assign_wcs(tan((1, 1))), ValueError, "there is no header to hold a WCS"),
    (
        lambda s: s[:, 0].ccd.assign_wcs(tan((1, 1))),
        ValueError,
        r"assign_wcs takes frames \(frame, y, x\) or an image \(y, x\)",
    ),
    (
        lambda s: xccd.assign_wcs(s.values, tan((1, 1))),
        TypeError,
        "assign_wcs takes a DataArray or a Dataset, not a ndarray",
    ),
    (
        lambda s: s.ccd.align(offsets=[(0, 0)] * 3).ccd.assign_wcs([tan((i, 1)) for i in (1, 2, 3)]),
        ValueError,
        "these frames are aligned to one grid, and there are 3 WCS for them: give one",
    ),
    (lambda s: s.ccd.assign_wcs("no/such/file.wcs"), FileNotFoundError, "no/such/file.wcs"),
]


@pytest.mark.parametrize(("call", "error", "match"), BAD)
def test_errors_of_assign_wcs(call, error, match):
    with pytest.raises(error, match=match):
        call(plain())


def test_an_error_of_a_solver_names_the_frame():
    def solve(frame):
        raise RuntimeError("no solution")

    with pytest.raises(RuntimeError, match="no solution") as raised:
        plain().ccd.assign_wcs(solve)
    assert "raised this for frame 0" in raised.value.__notes__[0]
