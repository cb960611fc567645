"""Masks, uncertainties and weights in files of their own: by list or by pattern, for one image a file or many chips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData

import xccd

SHAPE = (4, 5)
MASK = np.zeros(SHAPE, "i2")
MASK[1, 2], MASK[2, 3], MASK[0, 0] = 1, 4, 6


def image(level: float, dtype: str = "f4") -> np.ndarray:
    return (level + np.arange(20).reshape(SHAPE)).astype(dtype)


def write(path: Path, *planes: Any, names: Any = (), **cards: Any) -> Path:
    """A file with one image, or with an empty primary HDU and an extension for each image."""
    if len(planes) == 1 and not names:
        fits.PrimaryHDU(planes[0], fits.Header(cards)).writeto(path)
        return path
    parts = [fits.PrimaryHDU(None, fits.Header(cards))]
    parts += [fits.ImageHDU(p, name=n) for p, n in zip(planes, names or [""] * len(planes), strict=True)]
    fits.HDUList(parts).writeto(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three exposures, each with -img, -msk, -wht."""
    for i in range(3):
        write(tmp_path / f"e{i}-img.fits", image(10 * i, "u2"))
        write(tmp_path / f"e{i}-msk.fits", np.roll(MASK, i, axis=1))
        write(tmp_path / f"e{i}-wht.fits", image(i + 1) / 4)
    return sorted(tmp_path.glob("*-img.fits"))


PATTERN = {"mask": {"-img": "-msk"}, "uncertainty": {"-img": "-wht"}, "weights": {"-img": "-wht"}}


def test_by_pattern_by_list_and_by_glob(files: list[Path], tmp_path: Path) -> None:
    ds = xccd.open_dataset(files, **PATTERN, uncertainty_type="ivar").compute()
    assert (ds.data.dtype, ds.data_flags.dtype) == (np.uint16, np.uint8)
    np.testing.assert_array_equal(ds.data_flags != 0, [np.roll(MASK, i, axis=1) != 0 for i in range(3)])
    np.testing.assert_array_equal(ds.data_weight, [image(i + 1) / 4 for i in range(3)])
    np.testing.assert_array_equal(ds.data_uncertainty, ds.data_weight)
    assert ds.data_uncertainty.attrs["uncertainty_type"] == "ivar"
    assert ds.data.attrs["ancillary_variables"] == "data_flags data_uncertainty data_weight"
    listed = {k: [Path(str(f).replace("-img", v["-img"])) for f in files] for k, v in PATTERN.items()}
    globs = {k: str(tmp_path / f"*{v['-img']}.fits") for k, v in PATTERN.items()}
    for how in (listed, globs):
        for chunks in ("auto", None):
            same = xccd.open_dataset(files, **how, uncertainty_type="ivar", chunks=chunks)
            xr.testing.assert_identical(same.compute(), ds)
    folder = tmp_path / "masks"
    folder.mkdir()
    for f in files:
        f.with_name(f.name.replace("-img", "-msk")).rename(folder / f.name)
    beside = xccd.open_dataset(files, mask={"e": "masks/e"})
    np.testing.assert_array_equal(beside.data_flags, ds.data_flags)


def test_bits_choose_what_is_bad(files: list[Path]) -> None:
    for bits, expected in {(4,): (MASK & 4) != 0, 1: (MASK & 1) != 0, (2, 1): (MASK & 3) != 0}.items():
        found = xccd.open_dataset(files, mask={"-img": "-msk"}, bits=bits if bits == 1 else list(bits))
        np.testing.assert_array_equal(found.data_flags[0] != 0, expected)
        assert set(np.unique(found.data_flags)) == {0, 1}
    with pytest.raises(ValueError, match=r"mask=: .*e0-wht\.fits holds float32, but bits=1 needs whole numbers"):
        xccd.open_dataset(files, mask={"-img": "-wht"}, bits=1)
    found = xccd.open_dataset(files, mask_hdu=None, mask={"-img": "-msk"}, bits=1)
    assert found.data_flags.sum() == 3
    with pytest.raises(ValueError, match=r"bits=3 goes with a mask"):
        xccd.open_dataset(files, mask_hdu=None, bits=3)


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
def test_uncertainties_are_what_the_user_says(files: list[Path], kind: str) -> None:
    ds = xccd.open_dataset(files, uncertainty=PATTERN["uncertainty"], uncertainty_type=kind)
    assert ds.data_uncertainty.attrs["uncertainty_type"] == kind
    mean = ds.ccd.combine("mean")
    assert {"data", "data_uncertainty"} <= set(mean)


def test_weights_weigh(files: list[Path]) -> None:
    ds = xccd.open_dataset(files, mask=PATTERN["mask"], weights=PATTERN["weights"])
    found = ds.ccd.combine("mean", weights=ds.data_weight).data
    good = ~ds.data_flags.values.astype(bool)
    weight = ds.data_weight.values * good
    np.testing.assert_allclose(found, (weight * ds.data.values).sum(0) / weight.sum(0), rtol=1e-6)
    clipped = ds.ccd.clip_extrema(0, 1)
    xr.testing.assert_identical(clipped.data_weight.compute(), ds.data_weight.compute())


def test_the_type_of_uncertainties_must_be_known(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"uncertainty=: .*e0-wht\.fits: its header does not say what it holds"):
        xccd.open_dataset(files, uncertainty={"-img": "-wht"})
    for i in range(3):
        write(tmp_path / f"e{i}-err.fits", image(1), names=["SIGMA"])
    ds = xccd.open_dataset(files, uncertainty={"-img": "-err"})
    assert ds.data_uncertainty.attrs["uncertainty_type"] == "std"
    with pytest.raises(ValueError, match=r"uncertainty_type='weight' is unknown: use one of std, var, ivar"):
        xccd.open_dataset(files, uncertainty={"-img": "-wht"}, uncertainty_type="weight")


# --- chips

NAMES = ["N4", "S4", "S7"]


def chips(path: Path, levels: Any, names: Any = tuple(NAMES)) -> Path:
    return write(path, *(image(level) for level in levels), names=list(names))


def test_chips_go_by_their_names(tmp_path: Path) -> None:
    files = [chips(tmp_path / f"c4d_{i}_ooi.fits", (i, i + 1, i + 2)) for i in range(2)]
    for i in range(2):  # in another order
        planes = [np.roll(MASK, k, axis=1) for k in (2, 0, 1)]
        write(tmp_path / f"c4d_{i}_ood.fits", *planes, names=["S7", "N4", "S4"])
        chips(tmp_path / f"c4d_{i}_oow.fits", (30, 10, 20), names=("S7", "N4", "S4"))
    ds = xccd.open_dataset(files, hdu="all", mask={"ooi": "ood"}, weights={"ooi": "oow"})
    assert ds.chip.values.tolist() == NAMES * 2
    expected = [np.roll(MASK, k, axis=1) != 0 for k in range(3)] * 2
    np.testing.assert_array_equal(ds.data_flags != 0, expected)
    assert ds.data_weight[:, 0, 0].values.tolist() == [10, 20, 30] * 2
    some = xccd.open_dataset(files, hdu=["S7", "N4"], weights={"ooi": "oow"})
    assert some.data_weight[:, 0, 0].values.tolist() == [30, 10] * 2
    numbers = xccd.open_dataset(files, hdu=[2, 1], weights={"ooi": "oow"})
    assert numbers.data_weight[:, 0, 0].values.tolist() == [20, 10] * 2
    one = xccd.open_dataset(files, hdu="S4", mask={"ooi": "ood"})
    np.testing.assert_array_equal(one.data_flags[0] != 0, expected[1])


def test_chips_without_names_go_by_number_or_order(tmp_path: Path) -> None:
    write(tmp_path / "a-img.fits", image(1), image(2))
    write(tmp_path / "a-msk.fits", MASK, MASK.T.reshape(SHAPE))
    ds = xccd.open_dataset(tmp_path / "a-img.fits", hdu="all", mask={"img": "msk"})
    np.testing.assert_array_equal(ds.data_flags != 0, [MASK != 0, MASK.T.reshape(SHAPE) != 0])
    chips(tmp_path / "a-wht.fits", (5, 6), names=("WHT1", "WHT2"))  # names of maps
    ds = xccd.open_dataset(tmp_path / "a-img.fits", hdu="all", weights={"img": "wht"})
    assert ds.data_weight[:, 0, 0].values.tolist() == [5, 6]


def test_chips_go_by_their_version(tmp_path: Path) -> None:
    """SCI,1 has DQ,1, wherever it stands."""

    def versions(path: Path, name: str, *numbers: int) -> Path:
        parts = [fits.ImageHDU(image(10 * n), name=name, ver=n) for n in numbers]
        fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)
        return path

    path = versions(tmp_path / "a-img.fits", "SCI", 1, 2)
    versions(tmp_path / "a-wht.fits", "WHT", 2, 1)
    for hdu, expected in (("all", [10, 20]), ([2, 1], [20, 10])):
        ds = xccd.open_dataset(path, hdu=hdu, weights={"img": "wht"})
        assert ds.data_weight[:, 0, 0].values.tolist() == expected


def test_chips_are_never_guessed(tmp_path: Path) -> None:
    path = chips(tmp_path / "a-img.fits", (1, 2, 3))
    chips(tmp_path / "a-wht.fits", (1, 2, 3), names=("N4", "S7", "S9"))
    with pytest.raises(ValueError, match=r"weights=: .*a-wht\.fits has N4, S7, S9, and .*a-img\.fits has N4, S4, S7"):
        xccd.open_dataset(path, hdu="all", weights={"img": "wht"})
    chips(tmp_path / "a-own.fits", (10, 20, 30), names=("A", "B", "C"))
    ordered = xccd.open_dataset(path, hdu="all", weights={"img": "own"})
    assert ordered.data_weight[:, 0, 0].values.tolist() == [10, 20, 30]
    numbers = xccd.open_dataset(path, hdu=[3, 1], weights={"img": "own"})
    assert numbers.data_weight[:, 0, 0].values.tolist() == [30, 10]
    with pytest.raises(OSError, match=r"weights=: .*a-own\.fits has no hdu='S4'"):
        xccd.open_dataset(path, hdu=["S4", "N4"], weights={"img": "own"})


def test_the_image_of_a_companion(tmp_path: Path) -> None:
    """The first one; the only one, whatever its number; or the one that is named."""
    path = write(tmp_path / "a.fits", image(1), image(2), names=["A", "B"])
    only = write(tmp_path / "m.fits", MASK)
    for hdu in (None, "B", 2, ("A", 1)):
        ds = xccd.open_dataset(path, hdu=hdu, mask=[only])
        np.testing.assert_array_equal(ds.data_flags[0] != 0, MASK != 0)
    both = write(tmp_path / "b.fits", MASK * 0, MASK, names=["FIRST", "BAD"])
    assert not xccd.open_dataset(path, mask=[both]).data_flags.any()
    assert xccd.open_dataset(path, mask=[both], mask_hdu="BAD").data_flags.any()
    assert xccd.open_dataset(path, mask=[both], mask_hdu=2).data_flags.any()


def test_a_companion_stands_for_the_extension(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", image(1), MASK.astype("u1"), image(2), names=["SCI", "MASK", "ERR"])
    ds = xccd.open_dataset(
        path, mask=[(np.zeros(SHAPE, "u1"), {})], uncertainty=[(image(7), {})], uncertainty_type="var"
    )
    assert not ds.data_flags.any()
    assert (float(ds.data_uncertainty[0, 0, 0]), ds.data_uncertainty.attrs["uncertainty_type"]) == (7, "var")


@pytest.mark.versions
def test_companions_in_memory(files: list[Path]) -> None:
    pairs = [(MASK, {})] * 3
    ds = xccd.open_dataset([CCDData(image(1), unit="adu")] * 3, mask=pairs, weights=pairs)
    np.testing.assert_array_equal(ds.data_flags != 0, [MASK != 0] * 3)
    with pytest.raises(ValueError, match=r"mask=.*: the name of frame-1 has no '-img': give the files as a list"):
        xccd.open_dataset(pairs, mask={"-img": "-msk"})


def test_rows_that_run_the_other_way(tmp_path: Path) -> None:
    names = ("TOP-DOWN", "BOTTOM-UP")
    files = [write(tmp_path / f"{k}-img.fits", image(1), ROWORDER=k) for k in names]
    for k in names:
        write(tmp_path / f"{k}-msk.fits", MASK)
        write(tmp_path / f"{k}-own.fits", MASK, ROWORDER=k)
        write(tmp_path / f"{k}-top.fits", MASK, ROWORDER="TOP-DOWN")
    for part in ("msk", "own"):  # a companion without ROWORDER has that of its image
        ds = xccd.open_dataset(files, mask={"img": part}, flip=True)
        np.testing.assert_array_equal(ds.data_flags != 0, [MASK != 0, MASK[::-1] != 0])
    top = xccd.open_dataset(files, mask={"img": "top"}, flip=True)
    np.testing.assert_array_equal(top.data_flags != 0, [MASK != 0] * 2)
    with pytest.raises(ValueError, match=r"mask=: .*BOTTOM-UP-top\.fits has ROWORDER = 'TOP-DOWN', its image"):
        xccd.open_dataset(files[1], mask={"img": "top"})


# --- what is wrong is told before a pixel is read


def test_wrong_companions(files: list[Path], tmp_path: Path) -> None:
    small = write(tmp_path / "small.fits", MASK[:2])
    (tmp_path / "text.fits").write_text("no image")
    three = [write(tmp_path / f"x{i}.fits", *[image(1)] * 3, names=NAMES) for i in range(2)]
    many = write(tmp_path / "y.fits", *[image(1)] * 2, names=["P", "Q"])
    wrong: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (files, {"mask": [small] * 2}, ValueError,
         r"mask= has 2 file\(s\), the images are in 3 \(.*e0-img\.fits, .*\): give one for each, in their order"),
        (files, {"mask": small}, ValueError, r"mask= has 1 file\(s\), .*; mask_where\(\) takes one mask for all"),
        (files, {"weights": [small] * 3}, ValueError,
         r"weights=: .*small\.fits has shape \(2, 5\), its image .*e0-img\.fits \(4, 5\)"),
        (files, {"mask": {"-img": "-bpm"}}, FileNotFoundError,
         r"mask=\{'-img': '-bpm'\}: there is no file .*e0-bpm\.fits beside .*e0-img\.fits"),
        (files, {"mask": {"ooi": "ood"}}, ValueError,
         r"mask=\{'ooi': 'ood'\}: the name of .*e0-img\.fits has no 'ooi': give the files as a list"),
        (files, {"weights": [tmp_path / "none.fits"] * 3}, FileNotFoundError, r"weights=: there is no file .*none"),
        (files, {"weights": str(tmp_path / "*.wht")}, FileNotFoundError, r"weights=: no file matches"),
        (files, {"mask": {}}, TypeError, r"mask=\{\} is no pattern of names"),
        (files, {"mask": {"-img": 3}}, TypeError, r"mask=\{'-img': 3\} is no pattern of names: give parts of names"),
        (files, {"mask": 7}, TypeError, r"mask=: ?7 is no file or image, but an int"),
        (files, {"mask": np.zeros(SHAPE)}, TypeError, r"mask=: is a NumPy array"),
        (files, {"mask": [tmp_path / "text.fits"] * 3}, OSError, r"mask=: .*text\.fits"),
        (three, {"hdu": "all", "mask": [many] * 2}, ValueError,
         r"mask=: .*y\.fits has P, Q, and .*x0\.fits has N4, S4, S7: it is not clear which"),
        (three, {"hdu": "S4", "mask": [many] * 2}, OSError, r"mask=: .*y\.fits has no hdu='S4'"),
    ]  # fmt: skip
    for given, how, error, message in wrong:
        with pytest.raises(error, match=message):
            xccd.open_dataset(given, **how)


def test_no_pixel_is_read(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from xccd.read.images.pixels import FilePixels

    def read(*args: Any) -> None:
        raise AssertionError("read early")

    monkeypatch.setattr(FilePixels, "read", read)
    ds = xccd.open_dataset(files, **PATTERN, uncertainty_type="ivar")
    with pytest.raises(AssertionError, match="read early"):
        ds.data_flags.compute()


# --- real frames, and chips that become one mosaic


def test_bok_with_its_inverse_variances(real_frames: Path) -> None:
    for band in "gr":
        files = sorted(real_frames.glob(f"bok_90prime/deep2{band}_*-ccd?.fits"))
        assert len(files) == 5
        sets = [xccd.open_dataset(f, uncertainty={".fits": ".wht.fits"}, uncertainty_type="ivar") for f in files]
        for f, ds in zip(files, sets, strict=True):
            np.testing.assert_array_equal(ds.data_uncertainty[0], fits.getdata(str(f).replace(".fits", ".wht.fits"), 1))
        aligned = xccd.align(sets)
        assert (aligned.data_uncertainty.attrs["uncertainty_type"], aligned.sizes["frame"]) == ("ivar", 5)
        inside = (aligned.data_flags == 0).sum(("y", "x"))
        assert (inside > 780).all()
        level = aligned.ccd.to_stack().ccd.normalize(zero="overlap")
        apart = (level - level.ccd.combine("median")).median(("y", "x"))
        assert float(abs(apart).max()) < 0.5
        weights = xccd.align([xccd.open_dataset(f, weights={".fits": ".wht.fits"}).data_weight for f in files])
        image = level.ccd.combine("mean", weights=weights.fillna(0))
        assert np.isfinite(image.values[8:-8, 8:-8]).all()


def test_decam_with_masks_and_weights(real_frames: Path, tmp_path: Path) -> None:
    """Cut-outs of DECam with companions as the community pipeline names them."""
    for k, path in enumerate(sorted(real_frames.glob("decam_i/OBS04?.fits"))):
        with fits.open(path) as source:
            data, header = source[0].data, source[0].header
        fits.PrimaryHDU(data, header).writeto(tmp_path / f"c4d_{k}_ooi.fits")
        bad = (data > np.percentile(data, 99.9)).astype("i4") * 4
        fits.PrimaryHDU(bad).writeto(tmp_path / f"c4d_{k}_ood.fits")
        fits.PrimaryHDU(np.full(data.shape, 1.0 + k, "f4")).writeto(tmp_path / f"c4d_{k}_oow.fits")
    ds = xccd.open_dataset(
        tmp_path / "*ooi*", mask={"ooi": "ood"}, bits=[4], uncertainty={"ooi": "oow"}, uncertainty_type="ivar"
    )
    assert ds.sizes == {"frame": 5, "y": 256, "x": 256}
    assert ds.data_uncertainty[:, 0, 0].values.tolist() == [1, 2, 3, 4, 5]
    assert ((ds.data_flags != 0).sum(("y", "x")) == 66).all()
    aligned = ds.ccd.align()
    np.testing.assert_array_equal(aligned.data_flags, ds.data_flags)  # they are on one grid
    level = aligned.ccd.to_stack().ccd.normalize(scale="overlap", zero="overlap")
    np.testing.assert_allclose(level.scale, 1, atol=0.05)
    apart = level - level.ccd.combine("median")
    assert float(abs(apart.median(("y", "x"))).max()) < 0.1 * float(apart.quantile(0.84))


def test_chips_of_four_exposures_become_a_mosaic(tmp_path: Path) -> None:
    """Four chips an exposure, each with a gain and a sky of its own: open, align, normalise."""
    from mosaic_fields import Field, blocks

    field = Field.random((740, 760), 450, seed=3, fluxes=(2000, 5e4))
    size, places = (300, 310), [(215, 225), (215, 540), (525, 225), (525, 540)]
    gains, skies = np.array([1, 1.2, 0.9, 1.1]), np.array([100.0, 250, 180, 90])
    rng = np.random.default_rng(1)
    for k, (dy, dx) in enumerate([(0, 0), (-60, 65), (65, -60), (60, 65)]):
        parts = [fits.PrimaryHDU()]
        for i, (y, x) in enumerate(places):
            centre = (y + dy, x + dx)
            pixels = gains[i] * field.image(centre, size, 0.5 * k) + skies[i] + 20 * k + rng.normal(0, 5, size)
            header = fits.Header(field.cards(centre, size, 0.5 * k))
            parts.append(fits.ImageHDU(pixels.astype("f4"), header, f"CCD{i}"))
        fits.HDUList(parts).writeto(tmp_path / f"e{k}.fits")
    stack = xccd.open_stack(tmp_path, hdu="all")
    assert stack.chip.values.tolist() == ["CCD0", "CCD1", "CCD2", "CCD3"] * 4
    aligned = stack.ccd.align(field.grid).load()
    level = aligned.ccd.normalize(scale="overlap", zero="overlap")
    np.testing.assert_allclose(1 / level.scale, np.tile(gains, 4), rtol=0.02)
    assert np.std(blocks(level.ccd.combine("mean").values, field.empty(), 50)) < 0.6
