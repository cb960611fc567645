"""`xccd verify`: good files, damage of every kind, checksums, duplicates, mixed frames; it never crashes."""

import bz2
import gzip
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from remote_files import server
from test_cli import run
from xccd.night.look.verify import verify
from xccd.night.look.verify_file import PROBLEM, WARNING, facts_of

DATA = Path(__file__).parents[2] / "shared" / "data"


def image(seed: int = 0, shape: tuple[int, ...] = (30, 40), dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 9, shape).astype(dtype)


def write(path: Path, data: object = None, checksum: bool = False, **cards: object) -> Path:
    fits.writeto(path, image() if data is None else data, fits.Header(list(cards.items())), checksum=checksum)
    return path


def said(path: Path) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in facts_of(path).findings]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("packing", ["", ".gz", ".bz2"])
def test_good_files_are_good(tmp_path: Path, dtype: str, packing: str) -> None:
    path = write(tmp_path / f"a.fits{packing}", (image(0, (20, 30), "f8") / 10).astype(dtype), checksum=True)
    facts = facts_of(path)
    assert facts.findings == []
    assert (facts.image.dtype, facts.image.shape, facts.image.checksum) == (
        {"u1": "uint8"}.get(dtype, str(np.dtype(dtype))),
        (20, 30),
        "good",
    )
    assert (facts.image.missing, facts.image.saturated) == (0, None)


@pytest.mark.versions
def test_all_hdus_are_looked_at(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2, 3])])
    units = [fits.PrimaryHDU(), fits.ImageHDU(image(), name="SCI"), table, fits.CompImageHDU(image(1), name="B")]
    fits.HDUList(units).writeto(tmp_path / "a.fits", checksum=True)
    facts = facts_of(tmp_path / "a.fits")
    assert facts.findings == []
    assert [(h.kind, h.name, h.checksum) for h in facts.hdus] == [
        ("none", "PRIMARY", "good"), ("image", "SCI", "good"), ("table", "", "good"), ("image", "B", "good"),
    ]  # fmt: skip


def test_shares_are_those_of_numpy(tmp_path: Path) -> None:
    data = image(0, (50, 60), "f4")
    data[:5] = np.nan
    path = write(tmp_path / "a.fits", data, SATURATE=1005.0)
    facts = facts_of(path)
    assert facts.image.missing == 0.1
    assert facts.image.saturated == np.mean(data >= 1005)
    assert facts.image.least == np.nanmin(data)
    assert [text for _, text in said(path)] == [
        f"HDU 0: {np.mean(data >= 1005):.0%} of the samples are at SATURATE = 1005 or above"
    ]


def blank(path: Path) -> Path:
    data = image(0, dtype="i2")
    data[:20] = -1
    return write(path, data, BLANK=-1)


def flip(path: Path, at: int, bit: int = 4) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at] ^= bit
    path.write_bytes(bytes(raw))
    return path


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new.ljust(len(old)), 1))
    return path


def cut(path: Path, count: int) -> Path:
    os.truncate(path, path.stat().st_size - count if count > 0 else -count)
    return path


def raw(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def link(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def mef(path: Path) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(image(i)) for i in range(3))]).writeto(path)
    return path


def packed(path: Path, count: int) -> Path:
    whole = gzip.compress(write(path.with_suffix(".tmp")).read_bytes())
    return raw(path, whole[: len(whole) - count])


def tiles(path: Path) -> Path:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image())]).writeto(path)
    return flip(path, path.stat().st_size - 2880 + 3, 0xFF)


def compressed(path: Path) -> Path:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image())]).writeto(path)
    return path


def pixvalue(path: Path, size: int) -> Path:
    """One number for all samples, as the convention of constant images has it."""
    cards = [("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 0), ("EXTEND", True)]
    own = [("XTENSION", "IMAGE"), ("BITPIX", 16), ("NAXIS", 0), ("PCOUNT", 0), ("GCOUNT", 1), ("NPIX1", size),
           ("NPIX2", size), ("PIXVALUE", 7)]  # fmt: skip
    path.write_bytes(b"".join(fits.Header(some).tostring().encode() for some in (cards, own)))
    return path


ODD = {  # how a file is made, its level ("" for none), and what is said
    "empty": (lambda p: raw(p, b""), PROBLEM, "empty, not a FITS file"),
    "text": (lambda p: raw(p, b"hello world\n" * 300), PROBLEM, "not a FITS file: it starts with b'hello wor'"),
    "tiff": (lambda p: raw(p, b"II*\0" + bytes(3000)), PROBLEM, "this is a TIFF: convert it"),
    "zeros": (lambda p: raw(p, bytes(5760)), PROBLEM, "not a FITS file"),
    "header cut": (lambda p: cut(write(p), -500), PROBLEM, "truncated: the header of HDU 0 has no END card"),
    "data cut": (lambda p: cut(write(p), 2000), PROBLEM, "truncated: HDU 0 needs 2400 bytes of data"),
    "last block cut": (lambda p: cut(write(p), 100), WARNING, "its last block lacks 100 bytes of padding"),
    "mef cut": (lambda p: cut(mef(p), 2880), PROBLEM, "truncated: HDU 3 needs 2400 bytes"),
    "second header cut": (lambda p: cut(mef(p), -(2880 + 100)), PROBLEM, ""),
    "more bytes": (lambda p: raw(p, write(p).read_bytes() + b"x" * 77), WARNING, "77 bytes follow its last HDU"),
    "bad END": (lambda p: replaced(write(p), b"END ", b"ENDX"), PROBLEM, "the file is damaged"),
    "bad BITPIX": (lambda p: replaced(write(p), b"BITPIX  =                   16", b"BITPIX  =                   17"),
                   PROBLEM, "BITPIX = 17 is none of"),
    "bad NAXIS1": (lambda p: replaced(write(p), b"NAXIS1  =                   40", b"NAXIS1  =                   -4"),
                   PROBLEM, "NAXIS1"),
    "huge": (lambda p: replaced(write(p), b"NAXIS1  =                   40", b"NAXIS1  =         999999999999"),
             PROBLEM, "truncated"),
    "not standard": (lambda p: replaced(write(p), b"SIMPLE  =                    T", b"SIMPLE  =                    F"),
                     PROBLEM, "its data do not follow the FITS standard"),
    "BSCALE 0": (lambda p: replaced(write(p), b"BSCALE  =                    1", b"BSCALE  =                    0"),
                 PROBLEM, "BSCALE"),
    "no samples": (lambda p: write(p, np.full((9, 9), np.nan)), PROBLEM, "HDU 0: no sample is a finite number"),
    "mostly missing": (lambda p: blank(p), WARNING, "67% of the samples are missing"),
    "equal": (lambda p: write(p, np.full((9, 9), 7, "i2")), WARNING, "HDU 0: all samples are 7"),
    "no image": (lambda p: write(p, np.zeros(0)), WARNING, "samples"),
    "only a header": (lambda p: (fits.PrimaryHDU().writeto(p), p)[1], WARNING, "it holds no image"),
    "folder": (folder, None, ""),
    "dead link": (link, PROBLEM, "does not exist"),
    "pipe": (pipe, PROBLEM, "not a regular file"),
    "gz cut": (lambda p: packed(p, 40), PROBLEM, "cannot be unpacked"),
    "gz": (lambda p: packed(p, 0), "", ""),
    "bz2 noise": (lambda p: raw(p, bz2.compress(b"x" * 9)[:20]), PROBLEM, ""),
    "tiles damaged": (tiles, None, ""),
    "constant": (lambda p: write(p, np.zeros((4, 4), "f4")), WARNING, "all samples are 0"),
    "one pixel": (lambda p: write(p, np.ones((1, 1), "f4")), WARNING, "all samples are 1"),
    "one axis": (lambda p: write(p, image(0, (99,))), "", ""),
    "four axes": (lambda p: write(p, image(0, (2, 1, 3, 4))), "", ""),
    "one number for all": (lambda p: pixvalue(p, 1000), WARNING, "HDU 1: all samples are 7"),
    "one number for too many": (lambda p: pixvalue(p, 1000000), PROBLEM, "the file is damaged"),
    "tiles of a huge image": (lambda p: replaced(compressed(p), b"ZNAXIS1 =                   40",
                                                 b"ZNAXIS1 =           2000000000"), PROBLEM, ""),
    "NEXTEND": (lambda p: (fits.HDUList([fits.PrimaryHDU(header=fits.Header([("NEXTEND", 5)])),
                                         fits.ImageHDU(image(), name="SCI")]).writeto(p), p)[1],
                WARNING, "NEXTEND announces 5 extensions, and it has 1"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("name", [k for k in ODD if k != "folder"])
def test_odd_files(tmp_path: Path, name: str) -> None:
    make, level, text = ODD[name]
    path = make(tmp_path / "odd.fits")
    facts = facts_of(path)
    if level is not None:
        assert {one.level for one in facts.findings} == ({level} if level else set())
    assert any(text in one.text for one in facts.findings) or not text
    assert not any(str(path) in one.text for one in facts.findings)
    assert not any("unforeseen" in one.text or "Error:" in one.text for one in facts.findings)


@pytest.mark.parametrize("extension", [False, True])
def test_a_flipped_bit_of_the_data_is_found(tmp_path: Path, extension: bool) -> None:
    units = [fits.PrimaryHDU(), fits.ImageHDU(image())] if extension else [fits.PrimaryHDU(image())]
    fits.HDUList(units).writeto(tmp_path / "a.fits", checksum=True)
    path = flip(tmp_path / "a.fits", (tmp_path / "a.fits").stat().st_size - 2800)
    ((level, text),) = said(path)
    assert level == PROBLEM
    assert f"HDU {int(extension)}: its data have changed since DATASUM was written: their sum is " in text
    assert [h.checksum for h in facts_of(path).hdus][-1] == "bad"


def test_a_changed_header_is_told_of(tmp_path: Path) -> None:
    path = replaced(write(tmp_path / "a.fits", checksum=True, OBJECT="M 51"), b"M 51", b"M 52")
    assert said(path) == [(WARNING, "HDU 0: its header has changed since CHECKSUM was written, its data have not")]


def test_sums_of_another_file_are_no_damage(tmp_path: Path) -> None:
    head = fits.getheader(write(tmp_path / "a.fits", checksum=True))
    head["OBJECT"] = "M 51"
    fits.writeto(tmp_path / "b.fits", image(5), head)
    ((level, text),) = said(tmp_path / "b.fits")
    assert level == WARNING
    assert text.startswith("HDU 0: CHECKSUM and DATASUM are not of this file")


def test_a_sum_that_is_no_number(tmp_path: Path) -> None:
    assert said(write(tmp_path / "a.fits", DATASUM="x")) == [(WARNING, "HDU 0: DATASUM = 'x' is not a number")]


def test_one_sum_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", checksum=True)
    head = fits.getheader(path)
    only = write(tmp_path / "b.fits", DATASUM=head["DATASUM"])
    assert said(only) == []
    assert said(flip(only, only.stat().st_size - 2800))[0][0] == PROBLEM
    ((level, text),) = said(write(tmp_path / "c.fits", CHECKSUM=head["CHECKSUM"]))
    assert (level, text) == (PROBLEM, "HDU 0: its header or its data have changed since CHECKSUM was written")


@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_never_crashes(tmp_path: Path) -> None:
    units = [fits.PrimaryHDU(), fits.ImageHDU(image(), name="SCI"), fits.CompImageHDU(image(1))]
    fits.HDUList(units).writeto(tmp_path / "good.fits", checksum=True)
    whole = (tmp_path / "good.fits").read_bytes()
    draw = random.Random(4)
    path = tmp_path / "a.fits"
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 3, 30])):
            data[draw.randrange(len(data))] = draw.choice([0, 32, 39, 57, 255, draw.randrange(256)])
        end = draw.choice([len(data), len(data), draw.randrange(len(data))])
        path.write_bytes(bytes(data[:end]))
        facts = facts_of(path)
        assert facts.findings or bytes(data[:end]) == whole


def test_duplicates(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", OBJECT="M 51")
    write(tmp_path / "b.fits", OBJECT="M 52")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image())]).writeto(tmp_path / "c.fits")
    write(tmp_path / "d.fits", image(1))
    write(tmp_path / "e.fits", image(0).reshape(40, 30))
    found = verify([str(tmp_path)])
    assert [[one.text for one in f.findings] for f in found.files] == [
        [], [f"its samples are those of {tmp_path}/a.fits"], [f"its samples are those of {tmp_path}/a.fits"], [], [],
    ]  # fmt: skip


def test_equal_constants_are_no_duplicates(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.fits", np.zeros((5, 6)))
    assert verify([str(tmp_path)]).count(PROBLEM) == 0


def test_one_file_under_two_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits")
    os.link(path, tmp_path / "b.fits")
    found = verify([str(path), str(tmp_path / "*.fits")])
    assert len(found.files) == 1
    assert [one.text for one in found.together] == [
        f"{path} is given twice, or is the same file as {path}",
        f"{tmp_path}/b.fits is given twice, or is the same file as {path}",
    ]


def test_mixed_frames(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", image(0), IMAGETYP="light", FILTER="r", GAIN=1.5, BUNIT="adu")
    write(tmp_path / "b.fits", image(1), IMAGETYP="light", FILTER="r", GAIN=2.5, BUNIT="electron")
    write(tmp_path / "c.fits", image(2, (5, 6)), IMAGETYP="light", FILTER="r")
    write(tmp_path / "d.fits", image(3, (7, 8)), IMAGETYP="light", FILTER="g")
    write(tmp_path / "e.wht.fits", image(4, (9, 9)), IMAGETYP="light", FILTER="r")
    found = verify([str(tmp_path)])
    assert [one.text for one in found.together] == [
        "r light: they differ in shape: 30x40 (2), 5x6 (1)",
        "r light: they differ in unit: adu (1), electron (1)",
        "r light: they differ in gain: 1.5 (1), 2.5 (1)",
    ]
    assert {one.level for one in found.together} == {WARNING}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real frames are not here")
@pytest.mark.parametrize("name", ["kast_blue", "decam_i", "bok_90prime"])
def test_no_false_alarm_on_real_frames(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = run("verify", DATA / name, capsys=capsys)
    assert (code, err) == (0, "")
    assert text.splitlines()[-1].endswith(" 0 with problems")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.fits", checksum=True)
    code, text, err = run("verify", tmp_path, capsys=capsys)
    assert (code, err) == (0, "")
    assert text.splitlines() == [
        f"good     {tmp_path}/a.fits: 30x40 uint16, checksums hold",
        "1 files: 1 good, 0 with warnings, 0 with problems",
    ]
    cut(write(tmp_path / "b\x1b[31m.fits"), 2000)
    write(tmp_path / "c.fits", np.full((3, 4), 1.0))
    code, text, err = run("verify", tmp_path, tmp_path / "none.fits", capsys=capsys)
    assert code == 3
    assert f"problem  {tmp_path}/b\\x1b[31m.fits: truncated: HDU 0 needs 2400 bytes" in text
    assert f"problem  {tmp_path}/none.fits: does not exist: check the path" in text
    assert text.splitlines()[-1] == "4 files: 1 good, 1 with warnings, 2 with problems"
    assert err == "xccd: 2 of 4 files have problems\n"


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.fits", checksum=True)
    shutil.copy(tmp_path / "a.fits", tmp_path / "b.fits")
    code, text, _ = run("verify", tmp_path, "--json", capsys=capsys)
    found = json.loads(text)
    assert (code, found["good"]) == (3, False)
    one, other = found["files"]
    assert one["good"]
    assert one["hdus"][0]["shape"] == [30, 40]
    assert other["problems"] == [
        {"what": "duplicate", "hdu": None, "text": f"its samples are those of {tmp_path}/a.fits"}
    ]


@pytest.mark.parametrize("command", ["info", "verify", "stats", "preview", "report"])
def test_files_behind_urls(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    write(tmp_path / "a.fits", checksum=True)
    with server(tmp_path) as served:
        code, text, err = run(command, f"{served.url}/a.fits", capsys=capsys)
        assert (code, err) == (0, "")
        code, text, _ = run(command, f"{served.url}/a.fits", f"{served.url}/b.fits", capsys=capsys)
        assert code == 3
        assert "404" in text


def test_a_place_without_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = run("verify", tmp_path, capsys=capsys)
    assert (code, text) == (3, "")
    assert "holds no FITS file" in err
