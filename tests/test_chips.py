"""Files of several images: one word where some are left, all of them as chips, and the maps of each beside it."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.cli.main import main

SHAPE = (2, 3)
Extension = tuple[str, int | None, Any]  # EXTNAME, EXTVER, level or pixels


def hdus(*extensions: Extension, kind: Any = fits.ImageHDU, primary: Any = None, **cards: Any) -> fits.HDUList:
    made = fits.HDUList([fits.PrimaryHDU(primary, fits.Header(cards))])
    for name, version, level in extensions:
        pixels = np.full(SHAPE, level, "f4") if np.ndim(level) == 0 else np.asarray(level)
        made.append(kind(pixels, name=name or None))
        if version is not None:
            made[-1].header["EXTVER"] = version
    return made


def file_of(path: Path, *extensions: Extension, **options: Any) -> Path:
    hdus(*extensions, **options).writeto(path, overwrite=True)
    return path


FORMS = ("file", "fz", "HDUList", "HDUList without a file")


@contextmanager
def opened_as(form: str, path: Path, *extensions: Extension) -> Iterator[Any]:
    if form in ("file", "fz"):
        yield file_of(path, *extensions, kind=fits.CompImageHDU if form == "fz" else fits.ImageHDU)
    elif form == "HDUList":
        with fits.open(file_of(path, *extensions)) as source:
            yield source
    else:
        yield hdus(*extensions)


def levels(obj: Any) -> list[float]:
    """The last pixel of each frame, which no mask has here."""
    return [float(v) for v in obj.values[:, -1, -1]]


MASKED = np.array([[1, 0, 0], [0, 0, 0]], "u1")
CHIPS = {  # extensions, and labels and levels of the chips
    "names": ([("CHIP1", None, 1), ("CHIP2", None, 2)], ["CHIP1", "CHIP2"], [1, 2]),
    "small letters": ([("im1", None, 1), ("im2", None, 2)], ["IM1", "IM2"], [1, 2]),
    "names and versions": ([("CCD1", 1, 1), ("CCD2", 2, 2)], ["CCD1", "CCD2"], [1, 2]),
    "one name": ([("SCI", 1, 1), ("SCI", 2, 2)], ["SCI,1", "SCI,2"], [1, 2]),
    "no names": ([("", None, 1), ("", None, 2)], ["1", "2"], [1, 2]),
    "names that do not tell": ([("SCI", None, 1), ("SCI", None, 2)], ["1", "2"], [1, 2]),
    "some": ([("SCI", 1, 1), ("SCI", 2, 2), ("FOCUS", None, 3), ("", None, 4)], ["SCI,1", "SCI,2", "FOCUS", "4"],
             [1, 2, 3, 4]),
    "HST": ([(name, v, level) for v in (1, 2) for name, level in (("SCI", v), ("ERR", 9), ("DQ", MASKED))],
            ["SCI,1", "SCI,2"], [1, 2]),
    "JWST": ([("SCI", 1, 1), ("ERR", 1, 9), ("DQ", 1, MASKED), ("AREA", 1, 9), ("VAR_POISSON", 1, 9),
              ("VAR_RNOISE", 1, 9), ("VAR_FLAT", 1, 9)], ["SCI"], [1]),
    "LSST": ([("IMAGE", None, 1), ("MASK", None, MASKED), ("VARIANCE", None, 9)], ["IMAGE"], [1]),
    "drizzled": ([("SCI", 1, 1), ("WHT", 1, 9), ("CTX", 1, 9)], ["SCI"], [1]),
    "others": ([("SCI", 1, 1), ("SAMP", 1, 9), ("TIME", 1, 9), ("WCSDVARR", 1, 9), ("D2IMARR", 1, 9), ("COUNT", 1, 9),
                ("UNCERT", 1, 9), ("CCD1_MASK", 1, 9), ("WEIGHT", 1, 9), ("IVAR", 1, 9)], ["SCI"], [1]),
    "maps alone": ([("BPM", 1, 1), ("BPM", 2, 2)], ["BPM,1", "BPM,2"], [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CHIPS)
def test_all_images_are_chips(tmp_path: Path, form: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    extensions, labels, expected = CHIPS[name]
    with opened_as(form, tmp_path / "a.fits", *extensions) as source, caplog.at_level(logging.WARNING, "xccd"):
        stack = xccd.open_stack(source, hdu="all")
        assert not caplog.records
        assert stack.chip.dims == ("frame",)
        assert stack.chip.values.tolist() == labels
        assert levels(stack) == expected
        assert len(set(stack.file.values.tolist())) == 1
        numbers = [i for i, (_, _, level) in enumerate(extensions, 1) if np.ndim(level) == 0 and level in expected]
        some = xccd.open_dataset(source, hdu=numbers[::-1])
        assert (some.chip.values.tolist(), levels(some.data)) == (labels[::-1], expected[::-1])
        one = xccd.open_stack(source)
        assert "chip" not in one.coords
        assert levels(one) == expected[:1]
        left = [record.getMessage() for record in caplog.records]
        assert len(left) == (1 if len(labels) > 1 and name != "maps alone" else 0)
        for message in left:
            assert f"one image was opened, {len(labels) - 1} left" in message
            assert "hdu='all' opens all" in message


def test_the_word_names_them_and_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chips = [(f"CHIP{i}", None, i) for i in range(1, 10)]
    files = [file_of(tmp_path / f"{i}.fits", *chips) for i in range(3)]
    with caplog.at_level(logging.WARNING, "xccd"):
        for opened in (xccd.open_stack, xccd.open_dataset, xccd.open_tree, xccd.open_frames):
            caplog.clear()
            opened(files)
            (record,) = caplog.records
            assert record.getMessage() == (
                f"{files[0]}: one image was opened, 8 left (CHIP2, CHIP3, CHIP4, CHIP5, CHIP6, CHIP7, ...), "
                "and likewise in 2 more file(s): hdu='all' opens all, hdu= names others"
            )
        caplog.clear()
        for options in ({"hdu": 2}, {"hdu": "CHIP2"}, {"hdu": [1]}, {"hdu": "all"}):
            xccd.open_stack(files, **options)
        assert not caplog.records
        xccd.open_stack(
            file_of(tmp_path / "sci.fits", ("SCI", 1, 1), ("SCI", 2, 2), ("X", 1, 3)), hdu="sci", mask_hdu=None
        )
        assert "1 left (SCI,2)" in caplog.text


def test_a_single_image_is_a_chip_too(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.ones(SHAPE)).writeto(tmp_path / "a.fits")
    files = [tmp_path / "a.fits", CCDData(np.ones(SHAPE), unit="adu"), (np.ones(SHAPE), {"EXTNAME": "amp"})]
    assert xccd.open_stack(files, hdu="all").chip.values.tolist() == ["0", "0", "amp"]
    assert xccd.open_image(tmp_path / "a.fits", hdu="all").shape == SHAPE
    with pytest.raises(ValueError, match=r"stands for 2 images: open_stack opens many"):
        xccd.open_image(file_of(tmp_path / "b.fits", ("A", 1, 1), ("B", 1, np.zeros((4, 4)))), hdu="all")


def test_files_times_chips(tmp_path: Path) -> None:
    files = [
        file_of(tmp_path / f"{n}.fits", ("SCI", 1, 10 * n), ("SCI", 2, 10 * n + 1), EXPTIME=1.0 * n) for n in (1, 2)
    ]
    files.append(file_of(tmp_path / "half.fits", ("SCI", 1, 30), EXPTIME=3.0))  # has the labels of the others
    stack = xccd.open_stack(files, hdu="ALL")
    assert stack.chip.values.tolist() == ["SCI,1", "SCI,2", "SCI,1", "SCI,2", "SCI,1"]
    assert [Path(f).stem for f in stack.file.values] == ["1", "1", "2", "2", "half"]
    assert levels(stack) == [10, 11, 20, 21, 30]
    assert stack.EXPTIME.values.tolist() == [1, 1, 2, 2, 3]  # of the primary
    memory = xccd.open_stack([hdus(("A", 1, 1), ("B", 1, 2)), hdus(("A", 1, 3), ("B", 1, 4))], hdu=["B", ("A", 1)])
    assert memory.file.values.tolist() == ["frame-1", "frame-1", "frame-2", "frame-2"]
    assert levels(memory) == [2, 1, 4, 3]
    product = xccd.open_stack(files, hdu="all").ccd.combine("mean").ccd.header()
    assert [product[f"IMCMB00{i}"] for i in (1, 2, 5)] == ["1.fits[SCI,1]", "1.fits[SCI,2]", "half.fits[SCI,1]"]


# Maps beside each chip

BESIDE = {
    "by EXTVER": [("SCI", 1, 1), ("DQ", 1, 0), ("SCI", 2, 2), ("DQ", 2, 0)],
    "by EXTVER, in another order": [("SCI", 1, 1), ("SCI", 2, 2), ("DQ", 2, 0), ("DQ", 1, 0)],
    "by EXTVER of the maps alone": [("CHIP1", None, 1), ("CHIP2", None, 2), ("DQ", 1, 0), ("DQ", 2, 0)],
    "each after its chip": [("CHIP1", None, 1), ("DQ", None, 0), ("CHIP2", None, 2), ("DQ", None, 0)],
    "after all": [("CHIP1", None, 1), ("CHIP2", None, 2), ("DQ", None, 0), ("DQ", None, 0)],
    "before each": [("DQ", None, 0), ("CHIP1", None, 1), ("DQ", None, 0), ("CHIP2", None, 2)],
    "versions of the chips alone": [("SCI", 1, 1), ("DQ", None, 0), ("SCI", 2, 2), ("DQ", None, 0)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BESIDE)
def test_each_chip_has_its_own_map(tmp_path: Path, form: str, name: str) -> None:
    """The mask of chip n has its pixel n."""
    count = itertools.count(1)
    extensions = []
    for title, version, level in BESIDE[name]:
        if title == "DQ":
            number = version or next(count)
            level = (np.arange(6).reshape(SHAPE) == number).astype("u1")
        extensions.append((title, version, level))
    with opened_as(form, tmp_path / "a.fits", *extensions) as source:
        stack = xccd.open_stack(source, hdu="all")
        assert np.argwhere(stack.isnull().values.reshape(2, -1)).tolist() == [[0, 1], [1, 2]]
        for number in (1, 2):  # and by itself
            index = next(i for i, (_, _, level) in enumerate(extensions, 1) if np.ndim(level) == 0 and level == number)
            assert np.flatnonzero(xccd.open_stack(source, hdu=index).isnull()).tolist() == [number]
        ds = xccd.open_dataset(source, hdu="all")
        assert np.argwhere(ds.data_flags.values.reshape(2, -1)).tolist() == [[0, 1], [1, 2]]


LAYOUTS = st.integers(1, 3).flatmap(
    lambda n: st.tuples(
        st.permutations([*(("A", i) for i in range(n)), *(("DQ", i) for i in range(n))]),
        st.integers(0, n),  # maps that are missing
        st.booleans(),
        st.booleans(),
    )
)


@settings(max_examples=40, deadline=None)
@given(LAYOUTS)
def test_a_chip_has_the_same_map_alone_and_among_all(layout: tuple[list[tuple[str, int]], int, bool, bool]) -> None:
    """Whatever the order: its own where EXTVER tells, and never one of another chip's that has it already."""
    order, missing, of_chips, of_maps = layout
    parts: list[Extension] = []
    for name, i in order:
        told = i + 1 if (of_chips if name == "A" else of_maps) else None
        if name == "A" or i >= missing:
            parts.append((name, told, 10 + i if name == "A" else (np.arange(6).reshape(SHAPE) == i).astype("u1")))
    source = hdus(*parts)
    try:
        frames = xccd.open_stack(source, hdu="all").values
    except OSError as error:
        assert "EXTVER does not tell which belongs to which image" in str(error)  # noqa: PT017
        assert not (of_chips and of_maps)
        return
    numbers = [i for i, (name, *_) in enumerate(parts, 1) if name == "A"]
    np.testing.assert_array_equal(frames, [xccd.open_stack(source, hdu=i).values[0] for i in numbers])
    if of_chips and of_maps:
        for frame in frames:
            own = int(np.nanmax(frame)) - 10
            assert np.flatnonzero(np.isnan(frame)).tolist() == ([own] if own >= missing else [])


def test_a_map_of_all_and_a_map_of_one(tmp_path: Path) -> None:
    chips = [("A", None, 1), ("B", None, 2)]
    shared = file_of(tmp_path / "a.fits", *chips, ("MASK", None, MASKED))
    assert xccd.open_stack(shared, hdu="all").isnull().sum(("y", "x")).values.tolist() == [1, 1]
    of_one = file_of(tmp_path / "b.fits", chips[0], ("MASK", None, MASKED), chips[1])
    assert xccd.open_stack(of_one, hdu="all").isnull().sum(("y", "x")).values.tolist() == [1, 0]
    preview = file_of(tmp_path / "c.fits", ("", None, 5), ("SCI", 1, 1), ("DQ", 1, MASKED))
    assert xccd.open_stack(preview, hdu="all").isnull().sum(("y", "x")).values.tolist() == [0, 1]
    named = xccd.open_stack(of_one, hdu="all", mask_hdu=2)  # the user says that it is of all
    assert named.isnull().sum(("y", "x")).values.tolist() == [1, 1]


def test_maps_that_cannot_be_told_apart(tmp_path: Path) -> None:
    chips = [(name, None, 1) for name in "ABC"]
    path = file_of(tmp_path / "a.fits", *chips, ("MASK", None, MASKED), ("MASK", None, MASKED))
    message = r"a\.fits: it has 2 extensions MASK for 3 image\(s\), and EXTVER does not tell .* mask_hdu=None leaves"
    for hdu in ("all", 1, None):
        with pytest.raises(OSError, match=message):
            xccd.open_stack(path, hdu=hdu)
    assert not xccd.open_stack(path, hdu="all", mask_hdu=None).isnull().any()


def test_uncertainties_of_chips(tmp_path: Path) -> None:
    parts = [(name, v, level) for v in (1, 2) for name, level in (("SCI", v), ("VARIANCE", v / 10))]
    ds = xccd.open_dataset(file_of(tmp_path / "a.fits", *parts), hdu="all")
    np.testing.assert_allclose(ds.data_uncertainty.values[:, 0, 0], [0.1, 0.2])
    assert ds.data_uncertainty.attrs["uncertainty_type"] == "var"
    engine = xr.open_dataset(tmp_path / "a.fits", engine="xccd", hdu="all")
    xr.testing.assert_identical(engine.compute(), ds.compute())


# What chips are good for


def differing(path: Path, level: int) -> Path:
    return file_of(path, ("SCI", 1, np.full((2, 3), level)), ("SCI", 2, np.full((4, 3), level + 1)), FILTER="r")


def test_chips_of_several_shapes(tmp_path: Path) -> None:
    files = [differing(tmp_path / f"{i}.fits", 10 * i) for i in range(3)]
    message = (
        r"differing shapes \(2 x 3: .*0\.fits\[SCI,1\], .* 4 x 3: .*0\.fits\[SCI,2\], .*xccd\.open_tree "
        r"\(one stack a shape, of chips with hdu='all', by='chip'\) or xccd\.open_frames"
    )
    for opened in (xccd.open_stack, xccd.open_dataset):
        with pytest.raises(ValueError, match=message):
            opened(files, hdu="all")
    tree = xccd.open_tree(files, hdu="all", by=["chip", "FILTER"])
    assert [node.path for node in tree.leaves] == ["/SCI_1/r", "/SCI_2/r"]
    assert levels(tree["SCI_2/r/data"]) == [1, 11, 21]
    assert [node.path for node in xccd.open_tree(files, hdu="all").leaves] == ["/r/2x3", "/r/4x3"]
    masters = tree.ccd.combine("mean")
    assert masters["SCI_1/r/data"].values.tolist() == [[10.0] * 3] * 2
    assert [s.shape for s in xccd.open_frames(files, hdu="all")] == [(1, 2, 3), (1, 4, 3)] * 3
    assert [s.chip.item() for s in xccd.open_frames(files, hdu="all")[:2]] == ["SCI,1", "SCI,2"]


def test_chip_is_a_keyword_where_no_chips_were_asked_for() -> None:
    frames = [(np.ones(SHAPE), {"CHIP": n}) for n in (3, 4)]
    assert [node.path for node in xccd.open_tree(frames, by="chip").leaves] == ["/3", "/4"]
    tree = xccd.open_tree(frames, by=["CHIP", "chip"], hdu="all")
    assert [node.path for node in tree.leaves] == ["/3/0", "/4/0"]


def test_weights_go_by_file_and_chip(tmp_path: Path) -> None:
    files = [file_of(tmp_path / f"{n}.fits", ("A", 1, 10 * n), ("B", 1, 10 * n + 1)) for n in (1, 2)]
    stack = xccd.open_stack(files, hdu="all")
    weights = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="frame", coords={k: stack[k] for k in ("file", "chip")})
    image = stack.ccd.combine("mean", weights=weights)
    assert image.values[0, 0] == pytest.approx((10 + 2 * 11 + 3 * 20 + 4 * 21) / 10)
    mixed = stack.ccd.combine("mean", weights=weights[[3, 0, 2, 1]])
    np.testing.assert_array_equal(mixed.values, image.values)
    with pytest.raises(ValueError, match=r"share some of their files, not all, each once \(.*1\.fits\[A\]"):
        stack.ccd.combine("mean", weights=weights[[1, 1, 2, 3]])
    with pytest.raises(ValueError, match=r"share some of their files, not all, each once \(.*1\.fits, .*2\.fits\)"):
        stack.ccd.combine("mean", weights=weights[[3, 0, 2, 1]].drop_vars("chip"))
    by_chip = stack.groupby("chip").map(lambda g: g.ccd.combine("mean"))
    assert by_chip.chip.values.tolist() == ["A", "B"]
    assert levels(by_chip) == [15, 16]


WRONG = [
    ([], ValueError, r"hdu=\[\] names no image: None takes the first, 'all' takes all"),
    ([1, None], TypeError, r"hdu=\[1, None\]: None is neither the number of an HDU nor its EXTNAME"),
    ([1, 1.5], TypeError, r"hdu=\[1, 1\.5\]: 1\.5 is neither the number"),
    ([[1]], TypeError, r"\[1\] is neither the number"),
    ([-1], ValueError, r"hdu=\[-1\]: -1: HDUs are numbered from 0"),
    ((1, 2), TypeError, r"hdu=\(1, 2\) is not \(EXTNAME, EXTVER\), as \('SCI', 2\), and several are a list"),
    ([1, "A"], ValueError, r"hdu=\[1, 'A'\]: 'A' is an image of .*a\.fits that is already in the list"),
    ([1, 7], OSError, r"a\.fits has no hdu=7: its HDUs are 0 PRIMARY: no data; 1 A: image 2 x 3; 2 B: image 2 x 3"),
    ([0, 1], OSError, r"a\.fits: hdu=0 is not an image, but 0 PRIMARY: no data"),
]


@pytest.mark.parametrize(("hdu", "error", "message"), WRONG, ids=lambda v: repr(v)[:20])
def test_lists_that_cannot_be(tmp_path: Path, hdu: Any, error: type[Exception], message: str) -> None:
    path = file_of(tmp_path / "a.fits", ("A", None, 1), ("B", None, 2))
    for opened in (xccd.open_stack, xccd.open_dataset, xccd.open_tree, xccd.open_frames):
        with pytest.raises(error, match=message):
            opened(path, hdu=hdu)


def test_the_command_takes_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "a.fits", ("A", 1, 1), ("B", 1, 3))
    with pytest.raises(SystemExit, match="0"):
        main(["combine", str(path), "--hdu", "all", "-o", str(tmp_path / "out.fits")])
    assert "mean of 2 frames" in capsys.readouterr().out
    assert (fits.getdata(tmp_path / "out.fits") == 2).all()


# Files without an image


def test_a_folder_may_hold_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("A", "E", array=np.ones(2))], name="CATALOG")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a-table.fits")
    for name in ("b", "c"):
        fits.PrimaryHDU(np.ones(SHAPE), fits.Header({"FILTER": name})).writeto(tmp_path / f"{name}.fits")
    with caplog.at_level(logging.WARNING, "xccd"):
        for opened in (xccd.open_stack, xccd.open_dataset, xccd.open_frames, xccd.open_tree):
            for files in (tmp_path, tmp_path / "*.fits", [str(tmp_path / "?*.fits")]):
                caplog.clear()
                opened(files)
                (record,) = caplog.records
                assert "a-table.fits has no image" in record.getMessage()
                assert record.getMessage().startswith("skipped: ")
    assert [node.path for node in xccd.open_tree(tmp_path).leaves] == ["/b", "/c"]
    for files in (tmp_path / "a-table.fits", [tmp_path / "b.fits", tmp_path / "a-table.fits"], tmp_path / "a*.fits"):
        with pytest.raises(OSError, match=r"a-table\.fits has no image: its HDUs are .* 1 CATALOG: table"):
            xccd.open_tree(files)
    with pytest.raises(OSError, match=r"a-table\.fits has no hdu='SCI'"):
        xccd.open_tree(tmp_path, hdu="SCI")
    (tmp_path / "0.fits").write_bytes((tmp_path / "a-table.fits").read_bytes())
    caplog.clear()
    assert xccd.open_stack(tmp_path, hdu="all").sizes["frame"] == 2
    assert "0.fits has no image" in caplog.text
    assert ", and 1 more file(s) without an image" in caplog.text
