"""`Grid.of` a file, and `align` to one: through the same checks as stacks, whatever the file is."""

import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable

import xccd
from fits_files import head, line, structure, write
from remote_files import server
from sky import stack_of, tan
from xccd.headers import cards
from xccd.sky.grid import Grid

HEAD = tan((30.5, 20.25), 12)
SIZES = {"NAXIS": 2, "NAXIS1": 60, "NAXIS2": 40}
GRID = Grid.of(HEAD | SIZES)
LINES = [cards.make(k, v if isinstance(v, str) else float(v)) for k, v in HEAD.items()]


def distorted() -> WCS:
    """A WCS with a table of each kind."""
    wcs = WCS(fits.Header(HEAD))
    rng = np.random.default_rng(3)
    steps = ((1.0, 1.0), (1.0, 1.0), (12.0, 10.0))
    wcs.cpdis1, wcs.cpdis2 = (DistortionLookupTable(rng.normal(0, 0.5, (5, 6)).astype("f4"), *steps) for _ in range(2))
    wcs.det2im1 = DistortionLookupTable(rng.normal(0, 0.1, (5, 6)).astype("f4"), *steps)
    wcs.pixel_shape = (60, 40)
    return wcs


def distorted_file(path: Path) -> Path:
    hdus = distorted().to_fits(relax=True)
    hdus.insert(1, fits.ImageHDU(np.ones((40, 60), "f4"), hdus[0].header, name="SCI"))
    hdus[0] = fits.PrimaryHDU()
    hdus.writeto(path)
    return path


def test_a_file_of_any_packing_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(Path("a.fits"), np.zeros((40, 60)), HEAD)
    Path("b.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    tiles = fits.CompImageHDU(np.zeros((40, 60)), fits.Header(HEAD))
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(), tiles]).writeto("c.fits.fz")
    write(Path("~n.fits"), np.zeros((40, 60)), HEAD)
    for source in ("a.fits", path, "b.fits.gz", "c.fits.fz", Path("~n.fits"), "[a].fits", f"file://{path.resolve()}"):
        assert Grid.of(source) == GRID, source
    with server(tmp_path) as http:
        assert Grid.of(f"{http.url}/a.fits") == GRID
        assert len(http.given) == 1
    stack = stack_of(np.ones((1, 40, 60)), [HEAD])
    np.testing.assert_array_equal(stack.ccd.align("a.fits").values, stack.values)


def test_a_header_without_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(head([*structure(8), *LINES]))
    assert Grid.of(path, shape=(40, 60)) == GRID
    with pytest.raises(ValueError, match=r"a\.fits: the header does not say how large the image is"):
        Grid.of(path)
    first = ["XTENSION= 'IMAGE   '", *structure(8)[1:], line("PCOUNT", 0), line("GCOUNT", 1)]
    path.write_bytes(head(structure(8)) + head([*first, *LINES]))  # the same, in an extension
    assert Grid.of(path, shape=(40, 60)) == GRID


def test_distortion_by_tables_comes_with_the_file(tmp_path: Path) -> None:
    path = distorted_file(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        expected = WCS(hdus["SCI"].header, hdus)
    assert expected.cpdis1 is not None
    assert expected.det2im1 is not None
    x, y = np.meshgrid(np.linspace(0, 59, 7), np.linspace(0, 39, 5))
    stack = xccd.open_stack(path)
    for grid in (Grid.of(path), Grid.union(stack)):
        assert grid.shape == (40, 60)
        np.testing.assert_allclose(grid.wcs.all_pix2world(x, y, 0), expected.all_pix2world(x, y, 0), rtol=1e-9)
    assert Grid.of(path, shape=(5, 6)).shape == (5, 6)
    aligned = stack.ccd.align(path)
    np.testing.assert_array_equal(aligned.values, stack.values)


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    path = distorted_file(tmp_path / "a.fits")
    stack = xccd.open_stack(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'WCSDVARR'", b"'NOTHING '"))
    with pytest.raises(ValueError, match=r"a\.fits: .*WCSDVARR"):
        Grid.of(path)
    path.write_bytes(content[:-2880])
    with pytest.raises(OSError, match=r"a\.fits is truncated"):
        Grid.of(path)
    with pytest.raises(ValueError, match=r"its WCS is distorted by a table, and its file cannot be read: .*truncated"):
        Grid.union(stack)


def padded_out(lines: list[str], blocks: int) -> bytes:
    return head([*lines, *[line("A", 1)] * (36 * blocks)])


TABLE = structure(8, 8, 1, first="XTENSION= 'BINTABLE'")
LINEAR = [line("CTYPE1", "'LINEAR'"), line("CTYPE2", "'LINEAR'")]
HOSTILE = {
    "NAXIS = 1e7": (head([line("SIMPLE", "T"), line("BITPIX", 8), line("NAXIS", 10**7)]), "NAXIS = 10000000, FITS"),
    "NAXIS = 2^64": (head([line("SIMPLE", "T"), line("BITPIX", 8), line("NAXIS", 2**64)]), "NAXIS = '184467"),
    "a million cards": (padded_out(structure(8), 6000)[:-2880], "has no END card within"),
    "TFIELDS = 1e9": (
        head(structure(8)) + head([*TABLE, line("TFIELDS", 10**9)]) + bytes(2880),
        "there is no WCS: the header has no CTYPE1",
    ),
    "zip": (b"PK\x03\x04" * 1000, "packed: unzip it"),
    "text": (b"no image " * 1000, "is not a FITS file"),
    "nothing": (b"", "is empty"),
    "BITPIX = 7": (head(structure(7, 60, 40)), "BITPIX = 7 is none of"),
    "no BITPIX": (head([structure(8)[0]]), "NAXIS = None is not a valid size"),
    "many HDUs": (
        head(structure(8)) + head([*structure(8, first="XTENSION= 'IMAGE   '"), line("PCOUNT", 0)]) * 3000,
        "there is no WCS",
    ),
    "no celestial WCS": (head([*structure(8, 60, 40), *LINEAR]), "not celestial"),
    "a damaged WCS": (head([*structure(8, 60, 40), *LINES, line("PV1_1", "'x'")]), "the WCS is damaged: PV1_1 = 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("to_align", [False, True])
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, name: str, to_align: bool) -> None:
    content, match = HOSTILE[name]
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    before = time.process_time()
    with pytest.raises((OSError, ValueError), match=match) as raised:
        stack_of(np.ones((1, 4, 6)), [HEAD]).ccd.align(path) if to_align else Grid.of(path)
    assert "a.fits" in str(raised.value)
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("http://127.0.0.1:1/a.fits", OSError, "http://127.0.0.1:1/a.fits "),
        ("nothing7://a.fits", OSError, "nothing7://a.fits cannot be opened: Protocol not known"),
        ("*.fits", ValueError, r"\*\.fits stands for 2 files: a grid comes from one"),
        (".", ValueError, r"\. stands for 2 files: a grid comes from one"),
        ("n*.fits", FileNotFoundError, r"no file matches 'n\*\.fits'"),
        ("a\0b.fits", OSError, r"a\\x00b\.fits is no path"),
    ],
)
def test_names_that_are_not_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: Any, match: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write(tmp_path / f"{name}.fits", np.zeros((40, 60)), HEAD)
    with pytest.raises(error, match=match):
        Grid.of(source)
