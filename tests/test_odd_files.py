"""Files that are not quite as most are: named wrongly, padded oddly, compressed with odd cards, without data."""

import bz2
import gzip
import logging
import lzma
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import xccd
from fits_files import head, line, padded, raw, structure, write
from xccd.read.files.local import LocalFile

PIXELS = np.arange(20 * 30, dtype="i2").reshape(20, 30)
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("opener", [gzip, bz2, lzma, None], ids=lambda module: getattr(module, "__name__", "plain"))
@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.fits.xz", "b"])
def test_packing_is_told_by_the_first_bytes(tmp_path: Path, opener: Any, name: str) -> None:
    content = write(tmp_path / "plain.fits", PIXELS).read_bytes()
    (tmp_path / name).write_bytes(opener.compress(content) if opener else content)
    np.testing.assert_array_equal(xccd.open_stack(tmp_path / name).values[0], PIXELS)


@pytest.mark.parametrize("fill", [b"\0", b" ", b"\r\n"], ids=repr)
def test_what_follows_end(tmp_path: Path, fill: bytes) -> None:
    lines = b"".join(text.ljust(80).encode() for text in [*structure(16, 30, 20), line("EXPTIME", 3.5)])
    header = (lines + b"END").ljust(2880, fill) if len(fill) == 1 else (lines + b"END" + fill).ljust(2880)
    (tmp_path / "a.fits").write_bytes(header + padded(PIXELS.astype(">i2").tobytes()))
    stack = xccd.open_stack(tmp_path / "a.fits")
    np.testing.assert_array_equal(stack.values[0], PIXELS)
    assert stack.EXPTIME.values.tolist() == [3.5]


@pytest.mark.parametrize("shape", [(1, 20, 30), (1, 1, 20, 30)])
@pytest.mark.parametrize("tiled", [False, True])
def test_spare_axes_do_not_make_a_band_read_it_all(
    tmp_path: Path, shape: tuple[int, ...], tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = RNG.integers(0, 9999, 600).astype("i2").reshape(shape)
    hdu = fits.CompImageHDU(pixels) if tiled else fits.ImageHDU(pixels)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    stack = xccd.open_stack(tmp_path / "a.fits", chunks={"y": 2})
    asked, real = [], LocalFile.fill
    monkeypatch.setattr(LocalFile, "fill", lambda self, view, start: asked.append(len(view)) or real(self, view, start))
    np.testing.assert_array_equal(stack[0, 4:6].values, pixels.reshape(20, 30)[4:6])
    assert sum(asked) < 200
    np.testing.assert_array_equal(stack.values[0], pixels.reshape(20, 30))


# Compressed by tiles


def compressed(path: Path, pixels: np.ndarray, cards: dict[str, Any] | None = None, **options: Any) -> Path:
    hdu = fits.CompImageHDU(pixels, fits.Header(cards or {}), **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def with_cards(path: Path, change: Any) -> Path:
    """The table of tiles with other cards in its header, as other programs write them."""
    with fits.open(path, disable_image_compression=True) as hdus:
        change(hdus[1].header)
        hdus.writeto(path.with_name("b.fits"), output_verify="ignore")
    return path.with_name("b.fits")


CUBES = {(4, 20, 30): [(1, 1, 30), (1, 20, 30), (2, 7, 13), (3, 20, 11)], (20, 30): [(7, 30), (20, 7), (1, 11)]}


@pytest.mark.parametrize(("shape", "tile"), [(s, t) for s, tiles in CUBES.items() for t in tiles], ids=str)
@pytest.mark.parametrize("method", [-1, 1, 2])
def test_any_tiles_and_any_part(tmp_path: Path, shape: tuple[int, ...], tile: tuple[int, ...], method: int) -> None:
    pixels = RNG.normal(100, 5, shape).astype("f4")
    pixels[..., 3, 4:6] = np.nan
    options = {"quantize_method": method, "quantize_level": 8, "dither_seed": 9990}
    path = compressed(tmp_path / "a.fits", pixels, tile_shape=tile, **options)
    whole = fits.getdata(path)
    stack = xccd.open_stack([path], chunks={"y": 6})
    np.testing.assert_array_equal(stack.values[0], whole)
    part = np.s_[..., 5:17, 8:23]
    np.testing.assert_array_equal(stack[part].values[0], whole[part])
    np.testing.assert_array_equal(xccd.open_stack(path, chunks=None)[:, 2:3].values[0], whole[2:3])


def test_tiles_that_are_not_quantised_among_others(tmp_path: Path) -> None:
    pixels = RNG.normal(100, 5, (20, 30)).astype("f4")
    pixels[7] = 5.5  # cannot be quantised: that tile is kept by GZIP
    path = compressed(tmp_path / "a.fits", pixels, quantize_level=16)
    with fits.open(path, disable_image_compression=True) as hdus:
        assert hdus[1].data["GZIP_COMPRESSED_DATA"][7].size
    np.testing.assert_array_equal(xccd.open_stack(path, chunks={"y": 3}).values[0], fits.getdata(path))


@pytest.mark.parametrize("blank", ["BLANK", "ZBLANK"])
def test_missing_integers(tmp_path: Path, blank: str) -> None:
    path = compressed(tmp_path / "a.fits", PIXELS, {"BLANK": 7})
    if blank == "ZBLANK":
        path = with_cards(path, lambda header: header.rename_keyword("BLANK", "ZBLANK"))
    stack = xccd.open_stack(path)
    np.testing.assert_array_equal(stack.isnull().values[0], PIXELS == 7)
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(xccd.open_stack(hdus).values, stack.values)


@pytest.mark.parametrize("of_primary", [False, True])
def test_the_header_is_that_of_the_image(tmp_path: Path, of_primary: bool) -> None:
    cards = {"OBJECT": "M 51", "EXPTIME": 3.5, "TELESCOP": "none", "LONG": "x" * 100, "EXTNAME": "SCI", "EXTVER": 4}
    path = compressed(tmp_path / "a.fits", PIXELS.astype("u2"), cards)
    of = ("ZSIMPLE", True, "is FITS") if of_primary else ("ZTENSION", "IMAGE", "Image extension")

    def change(header: fits.Header) -> None:
        header.set(*of, after="ZIMAGE")
        header["ZPCOUNT"], header["ZGCOUNT"] = 0, 1
        header["ZHECKSUM"], header["ZDATASUM"] = "abcdefghijklmnop", "0"

    path = with_cards(path, change)
    stack = xccd.open_stack(path, hdu=("SCI", 4))
    ours = fits.Header.fromstring("".join(text.ljust(80) for text in stack.header.values[0].split("\n")))
    theirs = fits.getheader(path, 1)
    leave_out = ("PCOUNT", "GCOUNT") if of_primary else ()
    assert {k: ours[k] for k in ours if k not in leave_out} == dict(theirs)
    assert [ours.comments[k] for k in ("BITPIX", "NAXIS1")] == [theirs.comments[k] for k in ("BITPIX", "NAXIS1")]
    assert next(iter(ours)) == ("SIMPLE" if of_primary else "XTENSION")


def test_a_compressed_image_can_be_sent_and_has_one_name(tmp_path: Path) -> None:
    path = compressed(tmp_path / "a.fits", PIXELS)
    stacks = [xccd.open_stack(path) for _ in range(2)]
    assert stacks[0].data.name == stacks[1].data.name
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stacks[0])).values[0], PIXELS)


DAMAGED = {
    "ZTILE1 = 0": ({"ZTILE1": 0}, r"HDU 1: tiles of shape \(1, 0\), the file is damaged"),
    "few tiles": ({"ZNAXIS2": 99}, "HDU 1: 20 tiles are too few for its shape"),
    "no form": ({"TFORM1": "7Y"}, "HDU 1: TFORM1 = '7Y' is not known"),
    "wide rows": ({"TFORM1": "9PB(9)"}, "HDU 1: rows of 8 bytes cannot hold its columns"),
    "a heap elsewhere": ({"THEAP": 10**9}, "HDU 1: its tiles are outside of its data"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_tiles(tmp_path: Path, name: str) -> None:
    cards, message = DAMAGED[name]
    path = compressed(tmp_path / "a.fits", PIXELS)
    with fits.open(path, disable_image_compression=True) as hdus:
        header = hdus[1].header
        before = header.tostring().encode()
        header.update(cards)
        after = header.tostring().encode()
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(OSError, match=message):
        xccd.open_stack(path).load()


# Masks by version


def sci_and_masks(path: Path, *versions: int | None) -> Path:
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(PIXELS, name="SCI", ver=1), fits.ImageHDU(PIXELS, name="SCI", ver=2)]
    hdus[1].header["EXTVER"] = 1
    for version in versions:
        mask = fits.ImageHDU(((version or 0) == PIXELS).astype("u1"), name="MASK")
        if version:
            mask.header["EXTVER"] = version
        hdus.append(mask)
    fits.HDUList(hdus).writeto(path)
    return path


MASKS = [  # versions of masks, the mask that is asked for, and which of them is that of SCI, 2
    ((1, 2), "MASK", 2),
    ((1,), "MASK", None),
    ((1,), ("MASK", 1), 1),
    ((None,), "MASK", 0),
    ((1, 3), 4, 3),
    ((1, 2), None, None),
]


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize(("versions", "asked", "of"), MASKS, ids=str)
def test_masks_by_version(tmp_path: Path, versions: Any, asked: Any, of: Any, in_memory: bool) -> None:
    path = sci_and_masks(tmp_path / "a.fits", *versions)
    with fits.open(path) as hdus:
        stack = xccd.open_stack(hdus if in_memory else path, hdu=("SCI", 2), mask_hdu=asked)
        expected = np.zeros(PIXELS.shape, bool) if of is None else of == PIXELS
        np.testing.assert_array_equal(stack.isnull().values[0], expected)


def test_a_mask_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = sci_and_masks(tmp_path / "a.fits", 1)
    said = ", those of a mask extension as NaN (mask_hdu=None leaves them); on frame: "
    for options, told in (({}, True), ({"mask_hdu": None}, False)):
        caplog.clear()
        with caplog.at_level(logging.INFO, "xccd"):
            xccd.open_stack(path, **options)
        assert (said in caplog.text) == told


# Without data


@pytest.mark.parametrize("bitpix", [8, 16, 32, 64, -32, -64])
@pytest.mark.parametrize("more", [{}, {"BZERO": 5}, {"BSCALE": 0.5, "BZERO": 1.5}, {"BLANK": 7}], ids=str)
def test_constant_images_are_as_with_data(tmp_path: Path, bitpix: int, more: dict[str, Any]) -> None:
    cards = [line(k, v) for k, v in more.items()]
    sizes = [line("NPIX1", 30), line("NPIX2", 20), line("PIXVALUE", 7 if bitpix > 0 else 7.0)]
    first = [line("XTENSION", "'IMAGE   '"), *structure(bitpix)[1:], *sizes, line("EXTNAME", "'DQ'"), *cards]
    (tmp_path / "a.fits").write_bytes(head(structure(8)) + head(first))
    dtype = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}[bitpix]
    full = raw(tmp_path / "b.fits", np.full((20, 30), 7, dtype), *cards)
    for chunks in ("auto", None, {"y": 3}):
        found, expected = (xccd.open_stack(p, chunks=chunks, dtype="native") for p in (tmp_path / "a.fits", full))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found[0, 3:5, 7:9].values, expected[0, 3:5, 7:9].values)
    flags = [xccd.open_dataset(p).data_flags.values for p in (tmp_path / "a.fits", full)]
    np.testing.assert_array_equal(*flags)
    keywords = {card.split("=")[0].strip() for card in found.header.values[0].split("\n")}
    assert {"NAXIS1", "NAXIS2"} <= keywords
    assert not keywords & {"NPIX1", "NPIX2", "PIXVALUE"}
