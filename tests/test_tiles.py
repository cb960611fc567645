"""Tiles that are decoded one by one have the pixels that astropy reads, bit for bit, in whole images and in parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import xccd
from xccd.read.images import tile_decoders

pytestmark = pytest.mark.versions
RNG = np.random.default_rng(5)
WHOLE = RNG.normal(900, 30, (37, 53)).astype("i4")
REAL = RNG.normal(50, 3, (37, 53)).astype("f4")
HOLES = np.where(RNG.random(REAL.shape) < 0.1, np.nan, REAL).astype("f4")
EVEN = REAL.copy()
EVEN[7:21] = 5.5  # tiles that cannot be quantised

CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    f"{kind} of {dtype} in {tile}": (WHOLE.astype(dtype), kind, {"tile_shape": tile})
    for kind in ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS")
    for dtype in ("u1", "i2", "u2", "i4")
    for tile in ((1, 53), (10, 20))
    if (kind, dtype) != ("PLIO_1", "u2")
}
CASES |= {f"HCOMPRESS_1 of {dtype}": (WHOLE.astype(dtype), "HCOMPRESS_1", {}) for dtype in ("i2", "i4")}
CASES |= {
    f"{kind} of {name}, dither {method}, {np.dtype(dtype)}": (
        pixels.astype(dtype),
        kind,
        {"quantize_level": 16, "quantize_method": method, "dither_seed": 9997, "tile_shape": (8, 53)},
    )
    for kind in ("RICE_1", "GZIP_2", "HCOMPRESS_1")
    for name, pixels in {"reals": REAL, "holes": HOLES, "even rows": EVEN}.items()
    for method in (-1, 1, 2)
    for dtype in ("f4", "f8")
    if dtype == "f4" or method == 2
}
CASES |= {
    f"{kind} of lossless {np.dtype(dtype)}": (HOLES.astype(dtype), kind, {"quantize_level": 0})
    for kind in ("GZIP_1", "GZIP_2")
    for dtype in ("f4", "f8")
}
PARTS = [(slice(None), slice(None)), (slice(9, 12), slice(None)), (slice(30, 37), slice(19, 41)), (36, slice(52, 53))]


def written(path: Path, pixels: Any, kind: str, options: dict[str, Any]) -> Path:
    hdu = fits.CompImageHDU(pixels, compression_type=kind, **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def same(path: Path) -> None:
    stack = xccd.open_stack(path, chunks=None, dtype="native")[0]
    with fits.open(path) as hdus:
        for part in PARTS:
            theirs = hdus[1].section[part]
            ours = stack[part].values
            assert ours.dtype == theirs.dtype.newbyteorder("=")
            assert ours.tobytes() == theirs.astype(ours.dtype).tobytes(), part


@pytest.mark.parametrize("name", CASES)
def test_the_pixels_are_those_of_astropy(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xccd.read.images.tiled.TiledPixels._by_astropy", None)  # all of these are plain
    same(written(tmp_path / "a.fits", *CASES[name]))


PLAIN = [name for name in CASES if name.endswith(("float32", "HCOMPRESS_1 of i4", "(10, 20)"))]


@pytest.mark.parametrize("name", PLAIN)
def test_an_astropy_without_its_compiled_functions(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_decoders, "COMPILED", "astropy.io.fits.no_such_module")
    same(written(tmp_path / "a.fits", *CASES[name]))


def test_a_table_with_scaled_columns_is_left_to_astropy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.fits", *CASES["RICE_1 of reals, dither 1, float32"])
    content = path.read_bytes()
    card = b"EXTNAME = 'COMPRESSED_IMAGE'"
    assert content.count(card) == 1
    path.write_bytes(content.replace(content[content.index(card) :][:80], b"TSCAL3  =                  2.0".ljust(80)))
    monkeypatch.setattr(tile_decoders, "_floats", None)
    same(path)


def test_only_tiles_of_the_part_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.fits", WHOLE, "GZIP_2", {"tile_shape": (10, 10)})
    seen, unpack = [], tile_decoders.unpack
    monkeypatch.setattr(tile_decoders, "unpack", lambda data, shape: seen.append(shape) or unpack(data, shape))
    part = xccd.open_stack(path, chunks=None)[0, 18:22, 45:52]
    np.testing.assert_array_equal(part.values, WHOLE[18:22, 45:52])
    assert seen == [(10, 10), (10, 3)] * 2
