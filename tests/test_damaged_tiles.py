"""Tables of tiles that do not hold what their header says: refused before a decoder, or an allocation, trusts them."""

import gzip
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import xccd

RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 900, (32, 40)).astype("i4")


def tiled(path: Path, kind: str = "RICE_1", pixels: Any = PIXELS, **options: Any) -> Path:
    hdu = fits.CompImageHDU(pixels, compression_type=kind, **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path


def with_cards(path: Path, *cards: tuple[str, Any], remove: str = "", more: bytes = b"") -> Path:
    """The table with other cards in its header, and not one byte of its tiles touched."""
    content = path.read_bytes()
    start = 2880 + content[2880:].index(b"XTENSION")
    stop = start + content[start:].index(b"END" + b" " * 77)
    lines = [content[i : i + 80] for i in range(start, stop, 80)]
    for keyword, value in cards:
        lines = [text for text in lines if not text.startswith(keyword.ljust(8).encode())]
        lines.append(f"{keyword:8}= {value!s:>20}".ljust(80).encode())
    lines = [text for text in lines if not remove or not text.startswith(remove.ljust(8).encode())]
    block = b"".join([*lines, more.ljust(80)[: 80 * bool(more)], b"END".ljust(80)])
    rest = content[start + -(-(stop + 80 - start) // 2880) * 2880 :]
    path.write_bytes(content[:start] + block.ljust(-(-len(block) // 2880) * 2880) + rest)
    return path


# What other programs would not survive

CHILD = """
import sys, xccd
try:
    xccd.open_stack(sys.argv[1], chunks=None).values
    print("read")
except OSError as error:
    print(error)
"""


def in_a_child(path: Path) -> str:
    """What a fresh process says of a file; that it lives is what is tested."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tiles_of_hcompress_that_do_not_fit_do_not_end_the_process(tmp_path: Path) -> None:
    path = with_cards(tiled(tmp_path / "a.fits.fz", "HCOMPRESS_1"), ("ZNAXIS1", 39), ("ZTILE1", 39))
    said = in_a_child(path)
    assert "a.fits.fz, HDU 1: a tile has 16 x 40 pixels, its header says (16, 39), it is damaged" in said


@pytest.mark.parametrize(("keyword", "size"), [("ZNAXIS1", 39), ("ZNAXIS1", 20), ("ZNAXIS2", 31)])
def test_tiles_of_hcompress_have_the_size_of_the_header(tmp_path: Path, keyword: str, size: int) -> None:
    path = with_cards(tiled(tmp_path / "a.fits", "HCOMPRESS_1"), (keyword, size))
    with pytest.raises(OSError, match=r"a\.fits, HDU 1: (a tile has|32 bytes|.*tiles)"):
        xccd.open_stack(path).load()


@pytest.mark.parametrize("place", range(2, 10))
def test_a_size_that_is_changed_in_the_tile_itself(tmp_path: Path, place: int) -> None:
    path = tiled(tmp_path / "a.fits", "HCOMPRESS_1")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xdd\x99\0\0\0") + place] ^= 0x41
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"a\.fits, HDU 1: a tile has \d+ x \d+ pixels, its header says \(16, 40\)"):
        xccd.open_stack(path).load()


@pytest.mark.parametrize("tile", [(16, 40), (13, 17), (4, 40), (32, 5)])
def test_tiles_of_hcompress_at_the_edges_are_read(tmp_path: Path, tile: tuple[int, int]) -> None:
    path = tiled(tmp_path / "a.fits", "HCOMPRESS_1", tile_shape=tile)
    stack = xccd.open_stack(path, chunks={"y": 6})
    np.testing.assert_array_equal(stack.values[0], PIXELS)
    np.testing.assert_array_equal(stack[0, 14:19, 3:].values, PIXELS[14:19, 3:])


# What a header may not claim


ABSURD = {
    "ZNAXIS1 = 1e9": ([("ZNAXIS1", 10**9)], "HDU 1: 32 tiles are too few for its shape"),
    "ZNAXIS1 = 1e9 in rows": (
        [("ZNAXIS1", 10**9), ("ZTILE1", 10**9)],
        r"HDU 1: \d+ bytes cannot hold 32000000000 pixels in tiles",
    ),
    "a few rows more": ([("ZNAXIS2", 33)], "HDU 1: 32 tiles are too few for its shape"),
    "fewer axes": ([("ZNAXIS", 1)], "HDU 1: 32 tiles are too many for its shape"),
    "more rows": ([("NAXIS2", 33)], "HDU 1: 33 tiles are too many for its shape"),
    "ZNAXIS1 = 2^63 - 1": ([("ZNAXIS1", 2**63 - 1), ("ZTILE1", 2**63 - 1)], "cannot hold 295147905179352825824 pixels"),
    "smaller tiles": ([("ZTILE1", 1)], "HDU 1: 32 tiles are too few"),
    "few large tiles": ([("ZNAXIS1", 40000), ("ZNAXIS2", 40000), ("ZTILE1", 5000), ("ZTILE2", 10000)], "cannot hold"),
    "TFIELDS is missing": ([], "HDU 1: TFIELDS = None is not valid in a table of tiles"),
    "TFIELDS = 'x'": ([("TFIELDS", "'x'")], "HDU 1: TFIELDS = 'x' is not valid"),
    "TFIELDS = 1e400": ([("TFIELDS", "1E400")], "HDU 1: TFIELDS = inf is not valid"),
    "TFIELDS = 1e9": ([("TFIELDS", 10**9)], "HDU 1: TFIELDS = 1000000000 is not valid"),
    "TFIELDS = x": ([("TFIELDS", "x")], "HDU 1: the card 'TFIELDS .*x' cannot be read"),
    "THEAP = 'x'": ([("THEAP", "'x'")], "HDU 1: THEAP = 'x' is not valid"),
    "THEAP = -1": ([("THEAP", -1)], "HDU 1: THEAP = -1 is not valid"),
    "ZDITHER0 = 'x'": ([("ZDITHER0", "'x'")], "HDU 1: ZDITHER0 = 'x' is not valid"),
    "ZDITHER0 = -1": ([("ZDITHER0", -1)], "HDU 1: ZDITHER0 = -1 is not valid"),
    "ZTILE2 = x": ([("ZTILE2", "x")], "HDU 1: the card 'ZTILE2 .*x' cannot be read"),
    "ZBITPIX = x": ([("ZBITPIX", "x")], "HDU 1: the card 'ZBITPIX .*x' cannot be read"),
    "ZBLANK = x": ([("ZBLANK", "x")], "HDU 1: the card 'ZBLANK .*x' cannot be read"),
    "ZBLANK = 1e30": ([("ZBLANK", "1E30")], r"HDU 1: BLANK = 1e\+30 is not a whole number of 64 bits"),
    "ZSCALE = NaN": ([("ZSCALE", "NaN")], "HDU 1: the card 'ZSCALE .*NaN' cannot be read"),
    "ZVAL1 = x": ([("ZVAL1", "x")], "HDU 1: the card 'ZVAL1 .*x' cannot be read"),
    "ZIMAGE = x": ([("ZIMAGE", "x")], "HDU 1: the card 'ZIMAGE .*x' cannot be read"),
    "ZIMAGE = F": ([("ZIMAGE", "F")], "HDU 1: it has ZCMPTYPE, as tile-compressed images have, but no ZIMAGE = T"),
    "other columns": ([("TTYPE1", "'DATA'")], "HDU 1: no column of pointers is called COMPRESSED_DATA"),
    "no pointers": ([("TFORM1", "'1K'")], "HDU 1: no column of pointers is called COMPRESSED_DATA"),
    "two sizes": ([], "HDU 1: it has ZNAXIS1 = 40 and ZNAXIS1 = 39"),
}


@pytest.mark.parametrize("name", ABSURD)
@pytest.mark.parametrize("opener", [xccd.open_stack, xccd.open_dataset, xccd.open_image])
def test_a_table_that_cannot_be(tmp_path: Path, name: str, opener: Any) -> None:
    cards, match = ABSURD[name]
    options = {"TFIELDS is missing": {"remove": "TFIELDS"}, "two sizes": {"more": b"ZNAXIS1 = 39"}}
    path = with_cards(tiled(tmp_path / "a.fits"), *cards, **options.get(name, {}))
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=match) as raised:
            opener(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert "a.fits" in str(raised.value)


def test_a_scale_for_all_tiles_of_floats_is_refused(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.fits", pixels=PIXELS.astype("f4") + 0.5, quantize_level=4)
    np.testing.assert_allclose(xccd.open_stack(path).values[0], PIXELS + 0.5, atol=200)
    with_cards(path, ("TTYPE3", "'OTHER'"), ("ZSCALE", 2.0))
    with pytest.raises(OSError, match=r"a\.fits, HDU 1: ZSCALE is a card for all tiles"):
        xccd.open_stack(path)


def descriptors(path: Path) -> int:
    """Where the table of pointers begins in the file."""
    with fits.open(path, disable_image_compression=True) as hdus:
        return int(hdus[1].fileinfo()["datLoc"])


@pytest.mark.parametrize("pointer", [(-1, 0), (5, -3), (1 << 30, 0), (5, 1 << 30), (-(1 << 31), 7)], ids=str)
def test_pointers_that_lead_out_of_the_data(tmp_path: Path, pointer: tuple[int, int]) -> None:
    path = tiled(tmp_path / "a.fits")
    start, content = descriptors(path), bytearray(path.read_bytes())
    content[start : start + 8] = struct.pack(">ii", *pointer)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"a\.fits, HDU 1: its tiles are outside of its data, it is damaged"):
        xccd.open_stack(path).load()


# Bombs


def bomb(path: Path, kind: str, members: int = 1) -> Path:
    """A file whose first tile unpacks to 64 MB, where it has 5 kB."""
    tiled(path, kind, tile_shape=(32, 40))
    start, content = descriptors(path), bytearray(path.read_bytes())
    packed = gzip.compress(bytes(64 << 20 if members == 1 else PIXELS.nbytes), mtime=0) * members
    content[start : start + 8] = struct.pack(">ii", len(packed), 0)
    content[start + 8 :] = packed.ljust(-(-len(packed) // 2880) * 2880, b"\0")
    path.write_bytes(content)
    return with_cards(path, ("PCOUNT", len(packed)))


@pytest.mark.parametrize("kind", ["GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("members", [1, 50])
def test_a_tile_that_unpacks_to_more_than_its_pixels(tmp_path: Path, kind: str, members: int) -> None:
    stack = xccd.open_stack(bomb(tmp_path / "a.fits", kind, members))
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=r"HDU 1: a tile of shape \(32, 40\) holds more than its pixels"):
            stack.load()
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_the_tile_that_could_not_be_quantised_is_bounded_as_well(tmp_path: Path) -> None:
    pixels = np.full((4, 30), 5.5, "f4")
    path = tiled(tmp_path / "a.fits", pixels=pixels, quantize_level=16)
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], pixels)
    content = path.read_bytes()
    first = content.index(b"\x1f\x8b")
    longer = gzip.compress(bytes(30 * 8 + 1), mtime=0)  # more than doubles
    second = content.index(b"\x1f\x8b", first + 2)
    assert len(longer) <= second - first
    path.write_bytes(content[:first] + longer.ljust(second - first, b"\0") + content[second:])
    with pytest.raises(OSError, match=r"HDU 1: a tile of shape \(1, 30\) holds more than its pixels"):
        xccd.open_stack(path).load()


@pytest.mark.parametrize("kind", ["GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_whole_tiles_of_gzip_are_read(tmp_path: Path, kind: str, dtype: str) -> None:
    pixels = (PIXELS % 200).astype(dtype)
    path = tiled(tmp_path / "a.fits", kind, pixels=pixels, quantize_level=0, tile_shape=(7, 40))
    np.testing.assert_array_equal(xccd.open_stack(path, dtype="native").values[0], pixels)


def test_a_tile_of_gzip_that_is_cut(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.fits", "GZIP_1", tile_shape=(32, 40))
    start, content = descriptors(path), bytearray(path.read_bytes())
    content[start : start + 4] = struct.pack(">i", struct.unpack(">i", content[start : start + 4])[0] - 5)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"HDU 1: its tiles cannot be read: one of shape \(32, 40\) ends too early"):
        xccd.open_stack(path).load()


def test_a_tile_of_gzip_with_fewer_bytes_than_pixels(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.fits", "GZIP_1", tile_shape=(32, 40))
    packed = gzip.compress(bytes(32 * 40 * 4 - 1), mtime=0)
    start, content = descriptors(path), bytearray(path.read_bytes())
    content[start : start + 4] = struct.pack(">i", len(packed))
    content[start + 8 : start + 8 + len(packed)] = packed
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"HDU 1: a tile of shape \(32, 40\) has 5119 bytes"):
        xccd.open_stack(path).load()


# Decoders that read on behind the end of a tile


@pytest.mark.parametrize(("keyword", "value"), [("ZVAL2", 8), ("ZVAL2", 1000000), ("ZVAL1", 0), ("ZVAL1", 4096)])
def test_parameters_of_rice_beyond_its_decoder(tmp_path: Path, keyword: str, value: int) -> None:
    path = with_cards(tiled(tmp_path / "a.fits"), (keyword, value))
    name = "BLOCKSIZE" if keyword == "ZVAL1" else "BYTEPIX"
    with pytest.raises(OSError, match=rf"a\.fits, HDU 1: {name} = {value} is not valid for RICE_1, it is damaged"):
        xccd.open_stack(path)


def test_tiles_larger_than_a_decoder_counts(tmp_path: Path) -> None:
    side = 1 << 14
    cards = [(keyword, side) for keyword in ("ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2")]
    path = with_cards(tiled(tmp_path / "a.fits", "HCOMPRESS_1", tile_shape=(32, 40)), *cards)
    with pytest.raises(OSError, match=r"a\.fits, HDU 1: tiles of 268435456 pixels are larger than HCOMPRESS_1 allows"):
        xccd.open_stack(path)


def test_a_tile_of_rice_that_ends_in_zeros_does_not_end_the_process(tmp_path: Path) -> None:
    pixels = RNG.normal(1000, 30, (512, 512)).astype("i4")
    path = tiled(tmp_path / "a.fits", pixels=pixels, tile_shape=(512, 512))
    start, content = descriptors(path), bytearray(path.read_bytes())
    size, _ = struct.unpack(">ii", content[start : start + 8])
    for cut in range(20000, 20004):
        end = start + 8 + size
        path.write_bytes(content[: end - cut] + bytes(cut) + content[end:])
        assert "a.fits, HDU 1: its tiles cannot be read: decompression error" in in_a_child(path)


@pytest.mark.parametrize("head", [(0, 0, 32767), (0, 7, 0, 32767, 16383), (0, -9, 0, 9, 0), (0, 7, 0, 0, 0)], ids=str)
def test_a_tile_of_plio_that_announces_more_than_it_has(tmp_path: Path, head: tuple[int, ...]) -> None:
    path = tiled(tmp_path / "a.fits", "PLIO_1", tile_shape=(32, 40))
    start, content = descriptors(path), bytearray(path.read_bytes())
    content[start + 8 : start + 8 + 2 * len(head)] = struct.pack(f">{len(head)}h", *head)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"HDU 1: a tile of shape \(32, 40\) has \d+ words of -?\d+, it is damaged"):
        xccd.open_stack(path).load()


@pytest.mark.parametrize("place", [22, 23, 24])
def test_a_tile_of_hcompress_with_too_many_planes(tmp_path: Path, place: int) -> None:
    path = tiled(tmp_path / "a.fits", "HCOMPRESS_1")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xdd\x99\0\0\0") + place] = 200
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"HDU 1: a tile of shape \(16, 40\) has 200 planes of bits, it is damaged"):
        xccd.open_stack(path).load()


def test_cut_tiles_of_hcompress_do_not_end_the_process(tmp_path: Path) -> None:
    pixels = RNG.normal(1000, 30, (512, 512)).astype("i4")
    path = tiled(tmp_path / "a.fits", "HCOMPRESS_1", pixels=pixels, tile_shape=(512, 512))
    start, content = descriptors(path), bytearray(path.read_bytes())
    size, _ = struct.unpack(">ii", content[start : start + 8])
    for part in (0.2, 0.5, 0.8):
        path.write_bytes(content[:start] + struct.pack(">i", int(size * part)) + content[start + 4 :])
        said = in_a_child(path)
        assert "a.fits, HDU 1: its tiles cannot be read" in said or said == "read\n"
