"""`xccd info`: HDUs, keywords, the WCS in numbers, and what is not understood."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from test_cli import run
from test_verify import ODD
from xccd.night.look.file_info import _sexagesimal, info_of


def sky(
    angle: float = 0.0, mirrored: bool = False, ra: float = 150.0, dec: float = -2.5, **more: object
) -> fits.Header:
    scale, turn = 1 / 3600, np.radians(angle)
    east = scale if mirrored else -scale
    cd = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ np.diag([east, scale])
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": 30.5, "CRPIX2": 20.5}
    cards |= {f"CD{i + 1}_{j + 1}": cd[i, j] for i in (0, 1) for j in (0, 1)}
    return fits.Header(list((cards | more).items()))


def write(path: Path, header: fits.Header | None = None, shape: tuple[int, ...] = (40, 60)) -> Path:
    fits.writeto(path, np.zeros(shape, "i2"), header)
    return path


@pytest.mark.versions
def test_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"IMAGETYP": "Light Frame", "FILTER": "r", "EXPTIME": 120.0, "DATE-OBS": "2024-03-01T20:00:00",
            "OBJECT": "M 51", "BUNIT": "adu", "GAIN": 1.5, "XBINNING": 2, "YBINNING": 2, "CCD-TEMP": -20.0}  # fmt: skip
    path = write(tmp_path / "a.fits", sky(**more))
    code, said, err = run("info", path, capsys=capsys)
    assert (code, err) == (0, "")
    assert said.splitlines() == [
        f"{path} (8,640 bytes)",
        "  HDU 0 PRIMARY: image 40 x 60",
        "  image        HDU 0: 40 x 60 int16",
        "  kind         light",
        "  words        Light Frame",
        "  filter       r",
        "  exposure     120 s",
        "  date         2024-03-01T20:00:00.000",
        "  object       M 51",
        "  unit         adu",
        "  gain         1.5",
        "  binning      2x2",
        "  temperature  -20",
        "  WCS          RA---TAN DEC--TAN, ICRS",
        "  centre       150.00000 -2.50000 deg = 10:00:00.00 -02:30:00.0",
        '  pixel        1", the y axis at position angle 0.00 deg',
        "  field        1' x 0.6667'",
    ]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [-170, -30, 0, 30, 90])
@pytest.mark.parametrize(("ra", "dec"), [(150, -2.5), (0.0, 89.0), (359.999, -60)])
def test_the_wcs_in_numbers(tmp_path: Path, angle: float, mirrored: bool, ra: float, dec: float) -> None:
    header = sky(angle, mirrored, ra, dec)
    found = info_of(write(tmp_path / "a.fits", header))["image"]["wcs"]
    w = WCS(header)
    here, up = (SkyCoord(*w.pixel_to_world_values(29.5, y), unit="deg") for y in (19.5, 20.0))
    position = here.position_angle(up).deg
    assert (found["rotation"] - position + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
    assert found["scale"] == pytest.approx([1, 1], rel=1e-5)
    assert found["mirrored"] is mirrored
    assert found["centre"] == pytest.approx([here.ra.deg, here.dec.deg], abs=1e-9)
    text = here.to_string("hmsdms", sep=":", precision=2, pad=True).split()[0]
    assert found["sexagesimal"][0] == text


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (23.99999999, "", "00:00:00.00"),
        (0.0, "", "00:00:00.00"),
        (-0.5, "+", "-00:30:00.0"),
        (59.9999999, "+", "+60:00:00.0"),
        (12.5, "", "12:30:00.00"),
    ],
)
def test_sexagesimal(value: float, sign: str, text: str) -> None:
    assert _sexagesimal(value, sign) == text


@pytest.mark.versions
def test_a_galactic_wcs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = sky(CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN")
    _, said, _ = run("info", write(tmp_path / "a.fits", header), capsys=capsys)
    assert "  WCS          GLON-TAN GLAT-TAN, GLON" in said


def test_a_wcs_that_is_not_on_the_sky(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = sky(CTYPE1="WAVE", CTYPE2="LINEAR")
    _, said, _ = run("info", write(tmp_path / "a.fits", header), capsys=capsys)
    assert "  WCS          WAVE LINEAR: not on the sky" in said


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"IMAGETYP": "wibble"}, "the kind 'wibble' is none that is known: it is one of its own"),
        ({"DATE-OBS": "yesterday"}, "DATE-OBS = 'yesterday' gives no time at which the exposure began"),
        ({"EXPTIME": "long"}, "EXPTIME = 'long' is no time"),
        ({"BUNIT": "wibble"}, "BUNIT = 'wibble' is no unit that is known"),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": 0.0, "CD2_2": 0.0, "CD1_2": 0.0}, "the WCS is singular"),
    ],
)
def test_what_is_not_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cards: dict[str, object], said: str
) -> None:
    path = write(tmp_path / "a.fits", fits.Header(list(cards.items())))
    code, text, _ = run("info", path, capsys=capsys)
    assert code == 0
    assert "  unclear      " in text
    assert said in text


@pytest.mark.parametrize("count", [1, 9])
def test_damaged_cards_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    path = write(tmp_path / "a.fits", fits.Header([(f"KEY{i}", f"abc{i}") for i in range(count)]))
    raw = path.read_bytes()
    for i in range(count):
        raw = raw.replace(f"'abc{i}    '".encode(), f"'abc{i}\x1b    ".encode())
    path.write_bytes(raw)
    code, text, _ = run("info", path, capsys=capsys)
    assert code == 0
    assert "\x1b" not in text
    assert text.count("breaks the standard") == min(count, 5)
    assert ("and 4 more such cards" in text) is (count == 9)


def test_extensions_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2, 3])], name="T")
    units = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 4), "f4"), name="SCI"), table]
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes(b"II*\0" + bytes(99))
    code, text, err = run("info", tmp_path, "--json", capsys=capsys)
    assert code == 3
    assert err == "xccd: 1 of 2 files cannot be opened, see their problem\n"
    one, other = json.loads(text)
    assert [hdu["text"] for hdu in one["hdus"]] == ["0 PRIMARY: no data", "1 SCI: image 3 x 4", "2 T: table (BINTABLE)"]
    assert (one["image"]["hdu"], one["image"]["dtype"], one["image"]["wcs"]) == (1, "float32", None)
    assert (other["image"], other["problem"]) == (None, "not a FITS file: this is a TIFF: convert it to FITS")


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("name", [k for k in ODD if k != "folder"])
def test_odd_files(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ODD[name][0](tmp_path / "odd.fits")
    code, text, err = run("info", path, capsys=capsys)
    assert code in (0, 3)
    assert text.startswith(str(path))
    assert (code == 3) == ("cannot be opened" in err)


def test_nothing_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = run("info", tmp_path / "*.fits", capsys=capsys)
    assert (code, text) == (3, "")
    assert "no file matches" in err
