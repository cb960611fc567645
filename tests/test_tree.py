"""`open_tree`: which node a frame is in, and what the nodes are called."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from ccdproc import ImageFileCollection
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.read.images.hdus import Walk
from xccd.read.images.pixels import FilePixels

ROBUST = {"center": "median", "deviation": "mad_std"}  # no warning with few frames
KINDS = {  # of the simulated night, with the names of their files
    "bias/0": "bias-*", "dark/60": "dark-60s-*", "dark/120": "dark-120s-*",
    "flat/g/2": "flat-g-*", "flat/r/1.5": "flat-r-*", "light/r/120": "light-r-*",
}  # fmt: skip


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    return xccd.simulate_night(folder, shape=(48, 40), nbias=5, ndark=4, nflat=4, nlight=6)


def frame(
    level: float = 1, shape: tuple[int, ...] = (2, 3), **cards: Any
) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    return np.full(shape, level, "f4"), cards


def leaves(tree: xr.DataTree) -> list[str]:
    return [node.path.lstrip("/") for node in tree.leaves]


def levels(tree: xr.DataTree) -> dict[str, list[float]]:
    """The first pixel of every frame, at each node."""
    return {
        path: tree[path]["data"].values.reshape(tree[path].sizes["frame"], -1)[:, 0].tolist() for path in leaves(tree)
    }


# Which node a frame is in


def test_a_night_is_a_tree_of_its_kinds(night: Path) -> None:
    tree = xccd.open_tree(night)
    assert leaves(tree) == list(KINDS)
    assert list(tree["flat"].children) == ["g", "r"]
    for node in tree.leaves:
        assert list(node.data_vars) == ["data"]


@pytest.mark.parametrize("path", KINDS)
def test_a_node_is_the_stack_of_its_files(night: Path, path: str) -> None:
    stack = xccd.open_stack(night / f"{KINDS[path]}.fits")
    tree = xccd.open_tree(night)
    xr.testing.assert_identical(tree[path]["data"].compute(), stack.compute())
    assert tree[path]["data"].chunks == stack.chunks
    images = tree.ccd.sigma_clip(3, 3, **ROBUST).ccd.combine()
    image = stack.ccd.sigma_clip(3, 3, **ROBUST).ccd.combine()
    xr.testing.assert_identical(images[path]["data"].compute(), image.compute())
    assert images[path]["data"].ccd.header().tostring() == image.ccd.header().tostring()


def test_headers_are_read_once(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[Path] = Counter()
    whole = Walk._header

    def counted(self: Walk, index: int, position: int) -> str | None:
        text = whole(self, index, position)
        read[self.path] += text is not None
        return text

    monkeypatch.setattr(Walk, "_header", counted)
    xccd.open_tree(night)
    assert set(read.values()) == {1}
    assert len(read) == 5 + 2 * 4 + 2 * 4 + 6


def test_opening_and_verbs_read_no_pixel(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(FilePixels, "read", read)
    tree = xccd.open_tree(night)
    clipped = tree.ccd.normalize("median").ccd.minmax(0, 1e6).ccd.clip_extrema(0, 1).ccd.sigma_clip(3, 3, **ROBUST)
    for lazy in (clipped.ccd.combine("median", weights="GAIN"), clipped.ccd.count(), clipped.ccd.mask):
        assert leaves(lazy) == list(KINDS)
    with pytest.raises(AssertionError, match="a pixel was read"):
        clipped.ccd.combine().compute()


def test_sources(night: Path) -> None:
    whole = xccd.open_tree(night)
    for files in (
        ImageFileCollection(night, glob_include="*.fits"),
        sorted(night.glob("*.fits")),
        [night / "bias-*.fits", str(night / "[dfl]*.fits")],
    ):
        xr.testing.assert_identical(xccd.open_tree(files).compute(), whole.compute())
    meta = fits.getheader(night / "flat-g-001.fits")
    ccd = CCDData(np.ones((48, 40)), unit="adu", meta=meta)
    mixed = xccd.open_tree([ccd, frame(IMAGETYP="dark", EXPTIME=3.0), night / "flat-g-002.fits"])
    assert {path: mixed[path].sizes["frame"] for path in leaves(mixed)} == {"dark/3": 1, "flat/g/2": 2}


def test_frames_keep_their_order_and_nodes_have_a_natural_one() -> None:
    tree = xccd.open_tree(
        [
            frame(i, FILTER=f, EXPTIME=t)
            for i, (f, t) in enumerate([("f10", 100.0), ("f9", 20.0), ("f10", 3.0), ("f9", 20.0)])
        ]
    )
    assert levels(tree) == {"f9/20": [1, 3], "f10/3": [2], "f10/100": [0]}
    tree = xccd.open_tree(
        [frame(IMAGETYP="zero"), frame(IMAGETYP="arc", FILTER="r"), frame(IMAGETYP="b1"), frame(IMAGETYP="b")]
    )
    assert list(tree.children) == ["arc", "b", "b1", "bias"]  # however deep each is


# What nodes are called


NAMES: dict[str, tuple[Any, list[Any], list[str]]] = {
    "numbers": ("EXPTIME", [30.0, 0.5, 100, -1.5, 1e-5, 1e20], ["minus1.5", "1e-05", "0.5", "30", "100", "1e+20"]),
    "a long number": ("EXPTIME", [0.1 + 0.2], ["0.3"]),
    "numbers of one name": ("EXPTIME", [0.1 + 0.2, 0.3], ["0.3", "0.3-2"]),
    "whole ones": ("XBINNING", [2, 1, 123456789012345], ["1", "2", "123456789012345"]),
    "numbers as texts": ("EXPTIME", ["30.", "30.0"], ["30"]),
    "booleans": ("SHUT", [True, False], ["0", "1"]),
    "dates": ("DATE-OBS", ["2024-03-09T21:00:00", "2024-03-09T21:00:00.25"],
              ["2024-03-09T21_00_00", "2024-03-09T21_00_00.25"]),
    "kinds": ("IMAGETYP", ["Light Frame", "LIGHT", "Flat Field", "dome flat", "Image", "zero"],
              ["bias", "flat", "image", "light"]),
    "filters differ in case": ("FILTER", ["r", "R", "r "], ["R", "r"]),
    "slashes": ("FILTER", ["r/i", "/r", "r/"], ["_r", "r_", "r_i"]),
    "blanks": ("FILTER", ["r  band", "  r"], ["r", "r_band"]),
    "two of one name": ("FILTER", ["r/i", "r i", "r_i", "r_i-2"], ["r_i", "r_i-2", "r_i-3", "r_i-2-2"]),
    "dots": ("FILTER", [".", "..", "../r"], ["_", "_-2", "_r"]),
    "nothing but signs": ("FILTER", ["***"], ["_"]),
    "reserved by Zarr": ("FILTER", ["__r"], ["_r"]),
    "empty": ("FILTER", ["", "r", "  ", None], ["r", "no_FILTER"]),
    "named as missing": ("FILTER", ["no_FILTER", None], ["no_FILTER", "no_FILTER-2"]),
    "very long": ("FILTER", ["x" * 300, "x" * 299 + "y"], ["x" * 60, "x" * 60 + "-2"]),
    "not ASCII": ("FILTER", ["Hδ"], ["H_u03b4"]),  # a card holds ASCII: the header says so too
    "a long keyword": ("ESO DET CHIP", ["A1"], ["A1"]),
    "lower case": ("filter", ["r"], ["r"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    by, values, expected = NAMES[name]
    tree = xccd.open_tree([frame(**{by: value}) for value in values], by=by)
    assert leaves(tree) == expected


@given(st.lists(st.text() | st.floats() | st.none() | st.integers(-(10**20), 10**20), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_value_has_a_node_of_its_own_with_a_safe_name(values: list[Any]) -> None:
    given_ = iter(values)
    meant = [v.strip() if isinstance(v, str) else None if v != v else v for v in values]
    meant = [None if v == "" else v for v in meant]
    files = [frame(i) for i in range(len(values))]
    if set(meant) == {None}:
        with pytest.raises(ValueError, match="no frame has a value"):
            xccd.open_tree(files, by=lambda _: next(given_), chunks=None)
        return
    tree = xccd.open_tree(files, by=lambda _: next(given_), chunks=None)
    groups = {frozenset(map(int, numbers)) for numbers in levels(tree).values()}
    assert groups == {frozenset(i for i, other in enumerate(meant) if other == value) for value in meant}
    for path in leaves(tree):
        assert re.fullmatch(r"(_|[^\W_])[\w.+-]{0,64}", path)
        assert not path.startswith("__")


def test_other_spellings_feed_a_keyword() -> None:
    tree = xccd.open_tree(
        [frame(1, IMAGETYP="flat", FILTER="r", EXPTIME=30.0), frame(2, FRAME="Flat Field", FILTER1="r", EXPOSURE="30"),
         frame(3, OBSTYPE="FLAT", FILTNAM="r", ITIME=30)]
    )  # fmt: skip
    assert levels(tree) == {"flat/r/30": [1, 2, 3]}
    by = [frame(1, IMAGETYP="light", OBSTYPE="SKY"), frame(2, IMAGETYP="light", OBSTYPE="STANDARD")]
    assert levels(xccd.open_tree(by)) == {"light": [1, 2]}
    assert levels(xccd.open_tree(by, by=("IMAGETYP", "OBSTYPE"))) == {"light/sky": [1], "light/standard": [2]}


def test_missing_keywords() -> None:
    files = [
        frame(1, IMAGETYP="bias"), frame(2, IMAGETYP="flat", FILTER="r"), frame(3, IMAGETYP="flat"),
        frame(4, FILTER="r"), frame(5),
    ]  # fmt: skip
    assert levels(xccd.open_tree(files)) == {
        "bias": [1], "flat/r": [2], "flat/no_FILTER": [3], "no_IMAGETYP/r": [4], "no_IMAGETYP/no_FILTER": [5],
    }  # fmt: skip
    assert levels(xccd.open_tree(files, by=["FILTER", "IMAGETYP"]))["no_FILTER/no_IMAGETYP"] == [5]


def test_a_function_names_nodes() -> None:
    files = [frame(i, EXPTIME=t, FILTER="r") for i, t in enumerate([29.98, 30.01, 60.0])]

    def seconds(header: dict[str, Any]) -> float | None:
        assert header["FILTER"] == "r"
        return round(header.pop("EXPTIME")) if header["EXPTIME"] < 50 else None

    assert levels(xccd.open_tree(files, by=seconds)) == {"30": [0, 1], "no_seconds": [2]}
    assert levels(xccd.open_tree(files, by=["FILTER", seconds]))["r/30"] == [0, 1]
    assert leaves(xccd.open_tree(files, by=lambda h: f"Hδ {h['EXPTIME'] > 50}")) == ["Hδ_False", "Hδ_True"]
    assert leaves(xccd.open_tree(files, by=lambda h: h["EXPTIME"] > 50)) == ["False", "True"]


# Shapes


def test_differing_shapes_get_nodes_where_they_differ() -> None:
    files = [
        frame(1, (4, 5), IMAGETYP="bias"), frame(2, (4, 5), IMAGETYP="flat"), frame(3, (10, 4), IMAGETYP="flat"),
        frame(4, (2, 4, 5), IMAGETYP="flat"), frame(5, (4, 5), IMAGETYP="flat"),
    ]  # fmt: skip
    tree = xccd.open_tree(files)
    assert levels(tree) == {"bias": [1], "flat/2x4x5": [4], "flat/4x5": [2, 5], "flat/10x4": [3]}
    images = tree.ccd.combine()
    assert {path: images[path]["data"].shape for path in leaves(images)} == {
        "bias": (4, 5), "flat/2x4x5": (2, 4, 5), "flat/4x5": (4, 5), "flat/10x4": (10, 4),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ({"XBINNING": 2, "YBINNING": 1}, "bin1x2"),
        ({"XBINNING": 2.0, "YBINNING": 2.0}, "bin2x2"),
        ({"CCDSUM": "2 4"}, "bin4x2"),
        ({"BINNING": "3x3"}, "bin3x3"),
        ({"BINNING": 3}, "bin3x3"),
        ({"CCDXBIN": 4}, "bin4x4"),
        ({"BINX": 2, "BINY": 3}, "bin3x2"),
        ({"CCDBIN1": 2, "CCDBIN2": 3}, "bin3x2"),
    ],
)
def test_binning_gets_nodes_where_it_differs(cards: dict[str, Any], name: str) -> None:
    files = [
        frame(1, FILTER="r"),
        frame(2, FILTER="r", **cards),
        frame(3, FILTER="g", **cards),
        frame(4, FILTER="r", CCDSUM="1 1"),
    ]
    assert levels(xccd.open_tree(files)) == {"g": [3], "r/bin1x1": [1, 4], f"r/{name}": [2]}
    assert levels(xccd.open_tree([*files, frame(5, (4, 4), FILTER="r")]))[f"r/2x3/{name}"] == [2]


def test_real_frames_of_three_instruments(real_frames: Path) -> None:
    bok = str(real_frames / "bok_90prime" / "deep2?_ra352_?-ccd?.fits")
    tree = xccd.open_tree([real_frames / "kast_blue", real_frames / "decam_i", bok])
    assert {node.path: node["data"].shape for node in tree.leaves} == {
        "/dark/0": (3, 350, 2112),  # the bias frames say so
        "/light/no_FILTER/15": (3, 350, 2112),
        "/light/no_FILTER/30": (1, 350, 2112),
        "/light/no_FILTER/1200": (1, 350, 2112),
        "/light/bokr/100/30x30": (2, 30, 30),
        "/light/bokr/100/30x31": (1, 30, 31),
        "/light/bokr/100/31x30": (1, 31, 30),
        "/light/bokr/100/31x31": (1, 31, 31),
        "/light/g/100/30x30": (1, 30, 30),
        "/light/g/100/30x31": (2, 30, 31),
        "/light/g/100/31x30": (1, 31, 30),
        "/light/g/100/31x31": (1, 31, 31),
        "/no_IMAGETYP/i_DECam_SDSS_c0003_7835.0_1470.0/330": (10, 256, 256),
    }
    images = tree.ccd.combine("median").compute()
    bias = xccd.open_stack(real_frames / "kast_blue" / "b2[123].fits.gz").ccd.combine("median").compute()
    xr.testing.assert_identical(images["dark/0"]["data"], bias)


# The arguments of open_stack


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": None},
        {"chunks": {"y": 16}},
        {"dtype": "native"},
        {"dtype": "float64"},
        {"keep_headers": False},
        {"hdu": 0},
    ],
    ids=str,
)
def test_other_arguments_are_those_of_open_stack(night: Path, options: dict[str, Any]) -> None:
    tree = xccd.open_tree(night, **options)
    for path in ("bias/0", "flat/g/2"):
        stack = xccd.open_stack(night / f"{KINDS[path]}.fits", **options)
        found = tree[path]["data"]
        assert (found.chunks, found.dtype) == (stack.chunks, stack.dtype)
        xr.testing.assert_identical(found.compute(), stack.compute())


def test_masks_and_extensions(tmp_path: Path) -> None:
    for name in "ab":
        hdus = [fits.PrimaryHDU(header=fits.Header({"FILTER": name})), fits.ImageHDU(np.ones((2, 2)), name="SCI")]
        fits.HDUList([*hdus, fits.ImageHDU(np.eye(2, dtype="u1"), name="BAD")]).writeto(tmp_path / f"{name}.fits")
    tree = xccd.open_tree(tmp_path, hdu="SCI", mask_hdu="BAD")
    assert leaves(tree) == ["a", "b"]
    assert int(tree["a"]["data"].isnull().sum()) == 2
    assert int(xccd.open_tree(tmp_path, hdu="SCI", mask_hdu=None)["a"]["data"].isnull().sum()) == 0


def test_keywords_are_coordinates_where_frames_have_them() -> None:
    tree = xccd.open_tree([frame(IMAGETYP="bias"), frame(IMAGETYP="light", SEEING=1.5)], keywords=["seeing"])
    assert tree["light"]["data"].SEEING.values.tolist() == [1.5]
    assert "SEEING" not in tree["bias"]["data"].coords
    with pytest.raises(ValueError, match=r"keywords=\['SEEING'\]: no frame has them"):
        xccd.open_tree([frame(IMAGETYP="bias")], keywords=["SEEING"])


def test_frames_without_any_kind_are_at_the_root() -> None:
    wcs = {"CTYPE1": "RA---TAN", "CRVAL1": 10.0, "NAXIS": 2}
    tree = xccd.open_tree([frame(1, **wcs), frame(3)])
    assert levels(tree) == {"": [1, 3]}
    assert tree.ccd.combine("mean")["data"].values.tolist() == [[2] * 3] * 2
    assert levels(xccd.open_tree([frame(1), frame(2, (4, 4))])) == {"2x3": [1], "4x4": [2]}


# Errors


TWO = [frame(IMAGETYP="bias", GAIN=1.5), frame(IMAGETYP="flat", FILTER="r", CTYPE1="RA---TAN")]
ERRORS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "an unknown keyword": (TWO, {"by": "FILTRE"}, ValueError,
                           r"by=\['FILTRE'\]: no frame has a value for it; their headers have FILTER, GAIN, IMAGETYP$"),
    "one of two": (TWO, {"by": ["IMAGETYP", "FILTRE"]}, ValueError, r"by=\['FILTRE'\]: no frame"),
    "asked for, and nowhere": (TWO, {"by": ["IMAGETYP", "EXPTIME"]}, ValueError, r"by=\['EXPTIME'\]: no frame"),
    "none of those": ([frame(GAIN=1.0)], {"by": ["IMAGETYP", "FILTER"]}, ValueError,
                            r"by=\['IMAGETYP', 'FILTER'\]: no frame has a value.*headers have GAIN"),
    "many keywords": ([frame(**{f"K{i:03}": i for i in range(70)})], {"by": "FILTER"}, ValueError,
                      r"K000, K001.*K059 and 10 more"),
    "empty headers": ([frame()], {"by": "FILTER"}, ValueError, "their headers are empty"),
    "a WCS alone": ([frame(CTYPE1="RA---TAN")], {"by": "FILTER"}, ValueError, "keywords of pixels and WCS only$"),
    "chips that were not asked for": (TWO, {"by": "chip"}, ValueError,
                                      "GAIN, IMAGETYP, and hdu='all' gives frames a chip"),
    "no by": (TWO, {"by": []}, TypeError, r"by=\[\] is not a header keyword, a function of a header, or a list"),
    "an empty keyword": (TWO, {"by": " "}, TypeError, r"by=' ' is not a header keyword"),
    "a number": (TWO, {"by": 3}, TypeError, r"by=3 is not a header keyword"),
    "a set, which has no order": (TWO, {"by": {"FILTER"}}, TypeError, r"by=\{'FILTER'\} is not"),
    "a function's odd answer": (TWO, {"by": lambda h: [h["IMAGETYP"]]}, TypeError, r"by= gave \['bias'\] for frame-1"),
    "a complex one": (TWO, {"by": lambda h: np.complex64(1j)}, TypeError, r"by= gave np\.complex64\(1j\) for frame-1"),
    "a function that fails": (TWO, {"by": lambda h: h["FILTER"]}, KeyError,
                              r"(?s)'FILTER'.*in the function by= for the header of frame-1"),
    "a function that says nothing": (TWO, {"by": lambda h: None}, ValueError, r"by=\['name'\]: no frame has a value"),
    "chunks": (TWO, {"chunks": {"z": 1}}, ValueError, r"(?s)chunks=.* names \['z'\].*at the node 'bias' of the tree"),
    "a dtype": (TWO, {"dtype": "int8"}, ValueError, r"(?s)dtype='int8' is not.*at the node 'bias'"),
    "no files": ([], {}, ValueError, r"files=\[\] is empty"),
    "hdu": (TWO, {"hdu": -1}, ValueError, "hdu=-1"),
    "keywords": (TWO, {"keywords": "GAIN"}, TypeError, "keywords='GAIN' is not a list"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    files, options, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        xccd.open_tree(files, **options)


def test_open_stack_points_to_the_tree() -> None:
    with pytest.raises(ValueError, match=r"differing shapes .* or use xccd.open_tree"):
        xccd.open_stack([frame(shape=(2, 3)), frame(shape=(3, 3))])
