"""`xccd align`: frames on one grid by WCS or stars, and mosaics, as the functions make them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd
from test_shell import run

CARDS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX2": 6.0, "CDELT1": -1e-4,
         "CDELT2": 1e-4}  # fmt: skip


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(1)
    for i, shape in enumerate([(12, 14), (12, 14), (13, 15)]):
        cards = fits.Header([*CARDS.items(), ("CRPIX1", 5 + 1.3 * i), ("FILTER", "r")])
        fits.writeto(tmp_path / f"a{i}.fits", rng.normal(100, 5, shape).astype("f4"), cards)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stars")
    rng = np.random.default_rng(0)
    x, y, peak = *rng.uniform(10, 110, (2, 25)), rng.uniform(300, 2000, 25)
    v, u = np.mgrid[:120, :120]
    image = sum(p * np.exp(-((u - a) ** 2 + (v - b) ** 2) / 4) for a, b, p in zip(x, y, peak, strict=True))
    for i, frame in enumerate([image, image[::-1, ::-1], np.roll(image, 3, 0)]):
        fits.writeto(folder / f"s{i}.fits", (frame + rng.normal(100, 3, image.shape)).astype("f4"))
    return folder


def test_a_file_for_each_frame(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("align", "a?.fits", "-o", "reg/", capsys=capsys)
    assert (code, err) == (0, "")
    aligned = xccd.align(xccd.open_frames(["a0.fits", "a1.fits", "a2.fits"]))
    assert said.splitlines()[1] == f"reg/a1.fits: a1.fits aligned, {' x '.join(map(str, aligned.shape[1:]))} pixels"
    for i in range(3):
        np.testing.assert_array_equal(fits.getdata(f"reg/a{i}.fits"), aligned[i].values)
        assert fits.getheader(f"reg/a{i}.fits")["CRPIX1"] == xccd.header(aligned[i])["CRPIX1"]
    again = xccd.open_stack("reg/")  # on one grid: aligning it changes nothing
    np.testing.assert_array_equal(again.ccd.align().values, again.values)


@pytest.mark.parametrize("how", [["--method", "exact", "--flux", "total"], ["--order", "bicubic"], ["--to", "a1.fits"]])
def test_ways(field: Path, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("align", "a0.fits", "a1.fits", "-o", "{file}-{FILTER}.fits", *how, capsys=capsys)[0] == 0
    options = dict(zip((o[2:] for o in how[::2]), how[1::2], strict=True))
    aligned = xccd.align(xccd.open_frames(["a0.fits", "a1.fits"]), **options)
    np.testing.assert_array_equal(fits.getdata("a0-r.fits"), aligned[0].values)


@pytest.mark.parametrize("how", [[], ["--combine", "median"], ["--method", "drizzle", "--pixfrac", "0.7"]])
def test_a_mosaic(field: Path, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run("align", "a?.fits", "-o", "m-{FILTER}.fits", "--mosaic", *how, capsys=capsys)
    assert code == 0
    more = {"method": "drizzle", "pixfrac": 0.7} if "drizzle" in how else {}
    stack = xccd.align(xccd.open_frames("a?.fits"), **more)
    method = "median" if "median" in how else "mean"
    image = stack.ccd.combine(method, weights="drizzle" if more else None)
    np.testing.assert_array_equal(fits.getdata("m-r.fits"), image.values)
    assert said == f"m-r.fits: {method} of 3 aligned frames, {' x '.join(map(str, image.shape))} pixels\n"


def test_by_stars(stars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(stars / f"s{i}.fits") for i in range(3)]
    given = ("align", *files, "--stars", "--json")
    code, said, _ = run(*given, "-o", f"{tmp_path}/u/", capsys=capsys)
    assert code == 0
    frames = xccd.open_frames(files)
    found = xccd.find_transforms(frames)
    aligned = xccd.align(frames, transforms=found)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "u/s1.fits"), aligned[1].values)
    told = json.loads(said)
    assert told["shape"] == list(aligned.shape[1:])
    assert [one["stars_matched"] for one in told["products"]] == found.stars_matched.values.tolist()
    assert run(*given, "-o", f"{tmp_path}/t/", "--to", files[2], capsys=capsys)[0] == 0
    found = xccd.find_transforms(frames, reference=2)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "t/s0.fits"), xccd.align(frames, 2, transforms=found)[0])
    code, said, _ = run(*given[:-1], "-o", f"{tmp_path}/m.fits", "--mosaic", "--to", "intersection", capsys=capsys)
    assert (code, fits.getdata(tmp_path / "m.fits").size < 120**2) == (0, True)
    code, said, _ = run(*given[:-1], "-o", f"{tmp_path}/v/", capsys=capsys)
    assert re.search(r"s1.fits aligned, .* turned by -?180\.\d+|179\.\d+ degrees, \d+ stars matched to 0\.\d+", said)


def test_a_dry_run_writes_nothing(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(field.rglob("*"))
    for more, text in ((["-o", "reg/"], "reg/a0.fits: would be a0.fits aligned"),
                       (["-o", "m.fits", "--mosaic"], "m.fits: would be mean of 3 aligned frames")):  # fmt: skip
        code, said, _ = run("align", "a?.fits", *more, "--dry-run", capsys=capsys)
        assert (code, said.splitlines()[0]) == (0, text)
    assert sorted(field.rglob("*")) == before


BAD = [
    (["a?.fits", "-o", "m.fits"], 2, "would be the product of a0.fits and of a1.fits"),
    (["a?.fits", "-o", ".", "--mosaic"], 4, "is a folder: --mosaic makes one file, name it"),
    (["a?.fits", "-o", "{file}.fits", "--mosaic"], 2, r"the frames differ in \{file\}: leave it out"),
    (["a?.fits", "-o", "r/", "--model", "affine"], 2, "--model has no effect without --stars"),
    (["a?.fits", "-o", "r/", "--combine", "median"], 2, "--combine has no effect without --mosaic"),
    (["a?.fits", "-o", "m.fits", "--mosaic", "--combine", "medain"], 2, "did you mean 'median'"),
    (["a?.fits", "-o", "r/", "--method", "exact", "--order", "nearest"], 2, "--order has no effect without"),
    (["a?.fits", "-o", "r/", "--to", "none.fits"], 3, "none.fits"),
    (["a?.fits", "-o", "r/", "--to", "intersection"], 2, "--to intersection goes with --stars"),
    (["a?.fits", "-o", "r/", "--stars", "--to", "b.fits"], 2, "is none of the 3 files"),
    (["a?.fits", "-o", "r/", "--stars"], 3, "6 are needed: give another reference with --to"),
    (["plain.fits", "-o", "r/"], 3, "there is no WCS: .*--stars finds"),
    (["a?.fits", "-o", ".", "--overwrite"], 4, "is a file that this was made of"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD)
def test_errors(field: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto("plain.fits", np.zeros((5, 5), "f4"))
    before = sorted(field.rglob("*"))
    got, said, err = run("align", *arguments, capsys=capsys)
    assert (got, said) == (code, ""), err
    assert err.count("\n") == 1, err
    assert re.search(message, err), err
    assert sorted(field.rglob("*")) == before
