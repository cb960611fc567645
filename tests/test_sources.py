"""What may be given as ``files``: each kind, in order, with its header, mask, unit and WCS."""

import bz2
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from ccdproc import ImageFileCollection

import xccd
from fits_files import line, raw, write

NUMBERS = (2, 10, 1)  # the frames' pixels, and their EXPTIME


class Source(NamedTuple):
    """A row of the table from which docs/sources.md is made."""

    example: str
    meaning: str
    make: Callable[[Path], Any]  # from a folder with flat-1, flat-2 and flat-10
    order: tuple[int, ...] = (1, 2, 10)


def image(number: int) -> np.ndarray[Any, Any]:
    return np.full((2, 3), number, "f4")


def pairs(header: Callable[[int], Any]) -> list[Any]:
    return [(image(n), header(n)) for n in NUMBERS]


def ccds() -> list[CCDData]:
    return [CCDData(image(n), unit="adu", meta={"EXPTIME": float(n)}) for n in NUMBERS]


def hdulists() -> list[fits.HDUList]:
    return [fits.HDUList([fits.PrimaryHDU(image(n), fits.Header({"EXPTIME": float(n)}))]) for n in NUMBERS]


def paths(folder: Path) -> list[Path]:
    return [folder / f"flat-{n}.fits" for n in NUMBERS]


def packed(folder: Path, pack: Any, suffix: str) -> Path:
    for path in paths(folder):
        with open(path, "rb") as plain, pack.open(f"{path}{suffix}", "wb") as target:
            shutil.copyfileobj(plain, target)
        path.unlink()
    return folder


def links(folder: Path) -> Path:
    (folder / "links").mkdir()
    for path in paths(folder):
        (folder / "links" / path.name).symlink_to(path)
    return folder / "links"


SOURCES = {
    "glob": Source('"raw/flat-*.fits"', "A glob, sorted naturally: flat-2 before flat-10.",
                   lambda f: f"{f}/flat-*.fits"),
    "path with a glob": Source('Path("raw/flat-*.fits")', "The same as a Path.", lambda f: f / "flat-*.fits"),
    "folder": Source('"raw/"', "Every .fits, .fit or .fts file in it, packed or not, sorted naturally.", str),
    "folder as Path": Source('Path("raw")', "The same as a Path.", Path),
    "folder of links": Source('"links/"', "Symbolic links are followed.", links),
    "folder of .gz": Source('"raw/"', "Files packed by gzip are unpacked once.", lambda f: packed(f, gzip, ".gz")),
    "folder of .bz2": Source('"raw/"', "Files packed by bzip2 too.", lambda f: packed(f, bz2, ".bz2")),
    "one file": Source('"raw/flat-2.fits"', "A stack of one frame.", lambda f: f / "flat-2.fits", (2,)),
    "list": Source('["flat-2.fits", ...]', "A list keeps its order.", lambda f: [str(p) for p in paths(f)], NUMBERS),
    "list of Path": Source('[Path("flat-2.fits"), ...]', "The same.", paths, NUMBERS),
    "array of names": Source('table["file"]', "Names from a table's column.",
                             lambda f: np.array([str(p) for p in paths(f)]), NUMBERS),
    "generator": Source('folder.glob("*.fits")', "Anything that can be iterated.",
                        lambda f: (p for p in paths(f)), NUMBERS),
    "list of globs": Source('["night1/*.fits", "night2/*.fits"]', "Each spelled out in its place.",
                            lambda f: [f"{f}/flat-?.fits", f"{f}/flat-??.fits"]),
    "mixed list": Source('["flat-2.fits", (array, header), ccd]', "Files and images in memory together.",
                         lambda f: [f"{f}/flat-2.fits", *pairs(lambda n: {"EXPTIME": n})[1:2], ccds()[2]], NUMBERS),
    "ImageFileCollection": Source("ImageFileCollection(folder)", "ccdproc's collection, in its own order.",
                                  lambda f: ImageFileCollection(f), (1, 10, 2)),
    "files_filtered": Source('collection.files_filtered(EXPTIME=2, include_path=True)', "What it filters.",
                             lambda f: ImageFileCollection(f).files_filtered(EXPTIME=2, include_path=True), (2,)),
    "filtered collection": Source('collection.filter(EXPTIME=2)', "The same.",
                                  lambda f: ImageFileCollection(f).filter(EXPTIME=2), (2,)),
    "CCDData": Source("[ccd, ...]", "CCDData with mask, unit, header and WCS.", lambda _: ccds(), NUMBERS),
    "HDUList": Source("[fits.open(path), ...]", "astropy's HDULists.", lambda _: hdulists(), NUMBERS),
    "HDU": Source("[hdu, ...]", "Single image HDUs.", lambda _: [h[0] for h in hdulists()], NUMBERS),
    "array and Header": Source("[(array, fits.Header), ...]", "Arrays with a header.",
                               lambda _: pairs(lambda n: fits.Header({"EXPTIME": float(n)})), NUMBERS),
    "array and dict": Source('[(array, {"EXPTIME": 2.0}), ...]', "The header as a dict.",
                             lambda _: pairs(lambda n: {"EXPTIME": float(n)}), NUMBERS),
    "array and None": Source("[(array, None), ...]", "No header at all.", lambda _: pairs(lambda _: None), NUMBERS),
    "masked array": Source("[(numpy.ma.array, header), ...]", "Masked pixels are missing.",
                           lambda _: [(np.ma.array(a), h) for a, h in pairs(lambda n: {"EXPTIME": n})], NUMBERS),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in NUMBERS:
        write(tmp_path / f"flat-{number}.fits", image(number), {"EXPTIME": float(number)})
    return tmp_path


@pytest.mark.versions
@pytest.mark.parametrize("kind", SOURCES)
def test_kinds_of_source(folder: Path, kind: str) -> None:
    source = SOURCES[kind]
    stack = xccd.open_stack(source.make(folder))
    assert stack[:, 0, 0].values.tolist() == list(source.order)
    if kind != "array and None":
        assert stack.EXPTIME.values.tolist() == list(source.order)
    assert (stack.ccd.combine("sum") == sum(source.order)).all()


def test_the_page_of_sources_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "sources.md"
    assert page.read_text("utf-8") == sources_page(), "run docs/make_bad_input.py"


def sources_page() -> str:
    """The text of docs/sources.md."""
    rows = [f"| `{s.example}` | {s.meaning} |" for s in SOURCES.values()]
    return "\n".join(
        [
            "# What can be opened",
            "",
            "`open_stack` and `open_tree` take these as `files`. A list may mix kinds. A test opens each of them.",
            "",
            "| `files` | what it is |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def test_natural_sort_is_one_order_for_equal_numbers(tmp_path: Path) -> None:
    for name in ("f02", "f2", "f010", "f10", "f1"):
        write(tmp_path / f"{name}.fits", image(1))
    found = [Path(f).stem for f in xccd.open_stack(tmp_path).file.values]
    assert found == ["f1", "f02", "f2", "f010", "f10"]


def test_natural_sort_of_names_with_and_without_a_number(tmp_path: Path) -> None:
    for name in ("a1", "a", "a10"):
        write(tmp_path / name, image(1))
    assert [Path(f).name for f in xccd.open_stack(tmp_path / "a*").file.values] == ["a", "a1", "a10"]


def test_a_folder_gives_fits_files_only(tmp_path: Path) -> None:
    for name in ("a.FITS", "b.fit", "c.fts.gz", "d.txt", ".hidden.fits"):
        write(tmp_path / name, image(1))
    (tmp_path / "folder.fits").mkdir()
    assert [Path(f).name for f in xccd.open_stack(tmp_path).file.values] == ["a.FITS", "b.fit", "c.fts.gz"]


@pytest.mark.parametrize("name", ["[1] *.fits", "naïve.fits", "with blank.fits", "'quoted'.fits"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, image(1))
    stack = xccd.open_stack([str(path), (image(2), None)])
    assert stack.file.values.tolist() == [str(path), "frame-2"]
    product = stack.ccd.combine().ccd.to_fits(tmp_path / "out.fits")
    assert fits.getval(product, "IMCMB001") == name.replace("ï", "\\xef")


@pytest.mark.parametrize("hdu", [1, "SCI", "sci", None])
def test_the_image_is_chosen_by_number_name_or_as_the_first(tmp_path: Path, hdu: Any) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image(1), name="SCI"), fits.ImageHDU(image(2), name="ERR")])
    hdus.writeto(tmp_path / "a.fits")
    for source in (tmp_path / "a.fits", hdus):
        assert (xccd.open_stack(source, hdu=hdu) == 1).all()
        assert (xccd.open_stack(source, hdu=2) == 2).all()
        assert (xccd.open_stack(source, hdu="ERR") == 2).all()


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_a_mask_extension_becomes_nan(tmp_path: Path, suffix: str) -> None:
    mask = np.array([[True, False, False], [False, False, True]])
    path = tmp_path / f"ccd.fits{suffix}"
    CCDData(image(5), unit="adu", mask=mask).write(path, format="fits")
    for source in (path, [fits.open(path)], [CCDData.read(path, format="fits")]):
        for dtype in (None, "native"):
            np.testing.assert_array_equal(xccd.open_stack(source, dtype=dtype).isnull().values[0], mask)
        if isinstance(source, list) and isinstance(source[0], fits.HDUList):
            source[0].close()
    np.testing.assert_array_equal(xccd.open_stack(path, mask_hdu=1).isnull().values[0], mask)
    assert not xccd.open_stack(path, mask_hdu=None).isnull().any()


def test_a_mask_is_found_without_extend(tmp_path: Path) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(image(1)), fits.ImageHDU(np.ones((2, 3), "u1"), name="mask")])
    del hdus[0].header["EXTEND"]
    hdus.writeto(tmp_path / "a.fits", output_verify="ignore")
    assert xccd.open_stack(tmp_path / "a.fits").isnull().all()


# In memory


@pytest.mark.versions
def test_ccddata_keeps_mask_unit_and_header() -> None:
    mask = np.array([[True, False, False], [False, True, False]])
    ccd = CCDData(image(3), unit=u.electron, mask=mask, meta={"OBJECT": "M 51", "BUNIT": "adu", "EXPTIME": 5})
    stack = xccd.open_stack([ccd, ccd])
    np.testing.assert_array_equal(stack.isnull().values, [mask, mask])
    assert stack.units == "electron"
    assert stack.ccd.header(1)["OBJECT"] == "M 51"
    assert stack.EXPTIME.values.tolist() == [5, 5]


def sip() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN-SIP", "DEC--TAN-SIP"], [10, 20], [2, 3]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    a = np.zeros((3, 3))
    a[2, 0] = 1e-3
    wcs.sip = astropy_sip(a, a.T, wcs.wcs.crpix)
    return wcs


def astropy_sip(a: Any, b: Any, crpix: Any) -> Any:
    from astropy.wcs import Sip

    return Sip(a, b, None, None, crpix)


@pytest.mark.versions
@pytest.mark.parametrize("cut", [np.s_[:, :], np.s_[2:, 3:]], ids=["whole", "sliced"])
@pytest.mark.parametrize("repeated", [False, True], ids=["WCS", "WCS and header"])
def test_ccddata_keeps_its_wcs_with_sip(cut: Any, repeated: bool) -> None:
    wcs = sip()
    meta = wcs.to_header(relax=True) if repeated else fits.Header()
    ccd = CCDData(np.zeros((8, 9)), unit="adu", wcs=wcs, meta=meta)[cut]
    found = xccd.open_stack([ccd]).ccd.wcs(0)
    np.testing.assert_allclose(found.all_pix2world([[0, 0], [5, 4]], 0), ccd.wcs.all_pix2world([[0, 0], [5, 4]], 0))
    assert found.sip is not None


BLANKS = {
    "BLANK = 0": {"BLANK": 0},
    "BLANK = 5": {"BLANK": 5},
    "BLANK = 0, scaled": {"BLANK": 0, "BSCALE": 2.0, "BZERO": 10.0},
    "BLANK = 0, unsigned": {"BLANK": 0, "BZERO": 32768},
    "unsigned": {"BZERO": 32768},
}


@pytest.mark.versions(loaded=(False,))
@pytest.mark.parametrize("loaded", [False, True], ids=["lazily loaded", "loaded"])
@pytest.mark.parametrize("options", [{}, {"memmap": False}, {"uint": False}], ids=str)
@pytest.mark.parametrize("name", BLANKS)
def test_hdulists_are_read_as_their_files(tmp_path: Path, name: str, options: dict, loaded: bool) -> None:
    stored = np.array([[0, 1, 5], [7, 0, 3]], "i2")
    path = raw(tmp_path / "a.fits", stored, *(line(k, v) for k, v in BLANKS[name].items()))
    with fits.open(path, **options) as hdus:
        if loaded:
            assert hdus[0].data is not None
        stack = xccd.open_stack(hdus)
    expected = xccd.open_stack(path)
    np.testing.assert_array_equal(stack.values, expected.values)
    assert stack.dtype == expected.dtype
    assert stack.file.values.tolist() == [str(path)]


def test_an_hdulist_may_be_changed_and_closed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.arange(6, dtype="i2").reshape(2, 3), {"OBJECT": "old"})
    with fits.open(path) as hdus:
        hdus[0].header["OBJECT"] = "new"
        stack = xccd.open_stack(hdus)
        hdus[0].data = hdus[0].data + 10
        changed = xccd.open_stack(hdus)
    assert stack.OBJECT.values.tolist() == ["new"]
    assert stack.values.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert changed.values.tolist() == [[[10, 11, 12], [13, 14, 15]]]


@pytest.mark.versions
def test_an_hdulist_from_bytes_and_from_gz(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits.gz", image(4))
    with gzip.open(path) as file:
        content = file.read()
    with fits.HDUList.fromstring(content) as hdus:
        assert (xccd.open_stack(hdus) == 4).all()
    with fits.open(path) as hdus:
        assert (xccd.open_stack(hdus) == 4).all()


@pytest.mark.versions
def test_a_compressed_hdu_of_astropy(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype="i2").reshape(20, 30)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        np.testing.assert_array_equal(xccd.open_stack(hdus).values[0], pixels)


@pytest.mark.versions
def test_masked_arrays_and_other_dtypes() -> None:
    masked = np.ma.array([[1, 2], [3, 4]], mask=[[True, False], [False, False]], dtype="u2")
    stack = xccd.open_stack([(masked, None), (np.eye(2, dtype=bool), None), (np.zeros((2, 2), ">f2"), None)])
    assert stack.dtype == "float32"
    np.testing.assert_array_equal(stack.values, [[[np.nan, 2], [3, 4]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]])


def test_frames_without_a_file_get_a_name() -> None:
    stack = xccd.open_stack([(image(1), None), (image(2), {"FILENAME": "b.fits"})])
    assert stack.file.values.tolist() == ["frame-1", "b.fits"]
