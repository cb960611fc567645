"""`scan`: a table of frames, and openers that take it."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.headers.summary import Summary

KINDS = ("Bias Frame", "Dark Frame", "Flat Field", "OBJECT")


def write(path, data, **cards):
    fits.PrimaryHDU(data, fits.Header(list(cards.items()))).writeto(path, overwrite=True)


def header(i, **more):
    return {"IMAGETYP": KINDS[i % 4], "FILTER": "r", "EXPTIME": 5.0 * i, "DATE-OBS": f"2024-03-01T20:0{i}:00"} | more


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / "night"
    folder.mkdir()
    for i in range(6):
        write(folder / f"n{i + 5}.fits", np.full((3, 4), i, ">i2"), **header(i))
    return folder


def test_a_row_for_each_file_in_natural_order(night):
    table = xccd.scan(night)
    assert [os.path.basename(f) for f in table.file] == [f"n{i}.fits" for i in range(5, 11)]
    assert list(table.kind) == ["bias", "dark", "flat", "light", "bias", "dark"]
    assert list(table.words) == [KINDS[i % 4] for i in range(6)]
    assert list(table["filter"]) == ["", "", "r", "r", "", ""]
    assert list(table.exposure) == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    assert table.date[2] == np.datetime64("2024-03-01T20:02")
    assert set(table["shape"]) == {"3x4"}
    assert set(table.hdu) == {0}
    assert (table["size"] == [os.path.getsize(f) for f in table.file]).all()
    assert set(table.problem) == {""}


def test_what_a_header_does_not_tell():
    found = Summary.of({})
    assert (found.kind, found.words, found.filter, found.object, found.binning, found.unit) == ("",) * 6
    assert np.isnan([found.exposure, found.gain, found.temperature]).all()
    assert np.isnat(found.date)


@pytest.mark.parametrize(
    ("cards", "column", "value"),
    [
        ({"IMAGETYP": "flat", "NCOMBINE": 5}, "kind", "master-flat"),
        ({"IMAGETYP": "Focus Frame"}, "kind", "focus"),
        ({"OBSTYPE": "ZERO"}, "kind", "bias"),
        ({"FILTER1": "CLEAR", "FILTER2": "g"}, "filter", "g"),
        ({"XBINNING": 2, "YBINNING": 1}, "binning", "1x2"),
        ({"CCDSUM": "2 2"}, "binning", "2x2"),
        ({"CCD-TEMP": -9.8, "SET-TEMP": -10}, "temperature", -9.8),
        ({"EGAIN": 1.5, "GAIN": 100}, "gain", 1.5),
        ({"BUNIT": " adu "}, "unit", "adu"),
        ({"EXPOSURE": "30 s"}, "exposure", 30.0),
    ],
)
def test_spellings(cards, column, value):
    assert getattr(Summary.of(cards), column) == value


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.fits", b"", "empty"),
        ("b.fits", b"SIMPLE  =                    T".ljust(80) + b"BITPIX  = 16".ljust(40), "no END"),
        ("c.tif", b"II*\0" + bytes(100), "a TIFF"),
        ("d.fits.gz", b"\x1f\x8b" + bytes(20), ""),
    ],
)
def test_a_problem_has_a_row_and_stops_nothing(night, name, content, problem):
    (night / name).write_bytes(content)
    table = xccd.scan(night)
    assert len(table) == 7
    row = table[table.problem != ""].iloc[0]
    assert os.path.basename(row.file) == name
    assert problem in row.problem
    assert name not in row.problem
    assert row.hdu == -1
    with pytest.raises(ValueError, match=rf"row that has a problem: .*{name}.*; open the others, table\[table.problem"):
        xccd.open_stack(table)
    assert xccd.open_stack(table[table.problem == ""]).sizes["frame"] == 6


def test_truncated_and_missing_files(night):
    whole = (night / "n5.fits").read_bytes()
    (night / "n5.fits").write_bytes(whole[:-2880])
    assert xccd.scan(night).problem[0].startswith("truncated: HDU 0 needs")
    table = xccd.scan([night / "n6.fits", night / "gone.fits"])
    assert list(table.problem) == ["", "does not exist: check the path"]


def test_folders_in_folders(night):
    (night / "more" / ".hidden").mkdir(parents=True)
    shutil.copy(night / "n5.fits", night / "more" / "n1.fits")
    shutil.copy(night / "n5.fits", night / "more" / ".hidden" / "n2.fits")
    (night / "more" / "again").symlink_to(night, target_is_directory=True)  # a circle
    assert len(xccd.scan(night)) == 6
    names = [os.path.relpath(f, night) for f in xccd.scan(night, recursive=True).file]
    assert names == [os.path.join("more", "n1.fits"), *(f"n{i}.fits" for i in range(5, 11))]


def test_chips_have_a_row_each_and_are_opened_with_their_names(tmp_path):
    images = [("A", np.zeros((2, 3))), ("B", np.ones((2, 3)))]
    chips = [fits.PrimaryHDU(), *(fits.ImageHDU(data, name=name) for name, data in images)]
    fits.HDUList(chips).writeto(tmp_path / "mosaic.fits")
    table = xccd.scan(tmp_path, hdu="all")
    assert list(table.hdu) == [1, 2]
    stack = xccd.open_stack(table)
    assert stack.chip.values.tolist() == ["A", "B"]
    assert xccd.open_stack(table[1:]).values.tolist() == [np.ones((2, 3)).tolist()]
    with pytest.raises(ValueError, match="hdu='A': the table has the HDU of each row: leave hdu= out"):
        xccd.open_stack(table, hdu="A")


@pytest.mark.parametrize("opener", [xccd.open_stack, xccd.open_dataset, xccd.open_tree, xccd.open_frames])
def test_openers_take_a_table(night, opener):
    table = xccd.scan(night)
    found, usual = opener(table[::-1]), opener([str(f) for f in table.file[::-1]])
    for one, other in zip(*(o if isinstance(o, list) else [o] for o in (found, usual)), strict=True):
        xr.testing.assert_identical(one, other)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda t: t.drop(columns="file"), ValueError, "is a table without the column 'file': it has hdu, kind"),
        (lambda t: t[:0], ValueError, "is a table without rows: no frame is left to open"),
        (lambda t: t.assign(file=3), TypeError, "with 3 in its column 'file', an int: give paths"),
        (lambda t: t.assign(hdu=0.5), ValueError, "with hdu=0.5 for .*: HDUs are numbered from 0"),
        (lambda t: t.assign(hdu=np.nan), ValueError, "with hdu=nan for"),
    ],
)
def test_tables_that_cannot_be_opened(night, change, kind, message):
    with pytest.raises(kind, match=message):
        xccd.open_stack(change(xccd.scan(night)))


def test_a_file_twice_in_a_table_warns_with_and_without_hdu(night):
    table = xccd.scan(night)
    twice = pd.concat([table[:2], table[:1]])
    for some in (twice, twice[["file"]]):
        with pytest.warns(UserWarning, match=r"n5.fits is given twice"):
            assert xccd.open_stack(some).sizes["frame"] == 3


def test_the_cache_reads_only_what_is_new_or_changed(night, monkeypatch):
    cache = night.parent / "night.parquet"
    read = []
    real = xccd.night.scan.scan.open_file
    monkeypatch.setattr(
        "xccd.night.scan.scan.open_file", lambda place, options: [read.append(place.name), real(place, options)][1]
    )
    first = xccd.scan(night, keywords=["DATE-OBS"], cache=cache)
    assert len(read) == 6
    pd.testing.assert_frame_equal(xccd.scan(night, keywords=["DATE-OBS"], cache=cache), first)
    assert len(read) == 6
    write(night / "n6.fits", np.zeros((30, 40), ">i2"), **header(3))
    write(night / "n7b.fits", np.zeros((3, 4), ">i2"), **header(2))
    (night / "n8.fits").unlink()
    read.clear()
    again = xccd.scan(night, keywords=["DATE-OBS"], cache=cache)
    assert sorted(read) == ["n6.fits", "n7b.fits"]
    pd.testing.assert_frame_equal(again, xccd.scan(night, keywords=["DATE-OBS"]))
    read.clear()
    xccd.scan(night, cache=cache)  # other columns: all is read again
    assert len(read) == 6


def test_a_keyword_that_becomes_a_text_is_a_text_in_all_rows(night):
    cache = night.parent / "night.parquet"
    assert xccd.scan(night, keywords=["RUN"], cache=cache).RUN.tolist() == [""] * 6
    write(night / "a.fits", np.zeros((3, 4), ">i2"), RUN=7)
    assert xccd.scan(night, keywords=["RUN"], cache=cache).RUN.astype(str).tolist()[0] in ("7", "7.0")
    write(night / "b.fits", np.zeros((3, 4), ">i2"), RUN="x")
    table = xccd.scan(night, keywords=["RUN"], cache=cache)
    pd.testing.assert_frame_equal(table, xccd.scan(night, keywords=["RUN"]))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"where": "nowhere"}, FileNotFoundError, "where='nowhere' does not exist: check the path"),
        ({"where": "nowhere/*.fits"}, FileNotFoundError, "no file matches 'nowhere/"),
        ({"where": 3}, TypeError, "where=3 is no file, but an int: give a path, a glob, a folder, or a list"),
        ({"where": []}, ValueError, r"where=\[\] is empty: give paths, globs or folders"),
        ({"where": "empty"}, FileNotFoundError, "the folder empty holds no FITS file .*; recursive=True looks into"),
        ({"keywords": "RUN"}, TypeError, r"keywords='RUN' is not a list of header keywords"),
        ({"cache": 3}, TypeError, "cache=3 is not a path, as 'night.parquet'"),
        ({"cache": "night"}, IsADirectoryError, "cache='night' is a folder: name a file in it"),
        ({"cache": "note.txt"}, FileExistsError, "note.txt is no table that scan has written: name another file"),
        ({"cache": "other.parquet"}, FileExistsError, "other.parquet is no table that scan has written"),
        ({"cache": "no/where.parquet"}, FileNotFoundError, "there is no folder no"),
        ({"hdu": True}, TypeError, "hdu=True is neither the number of an HDU nor its EXTNAME"),
    ],
)
def test_errors(night, monkeypatch, arguments, kind, message):
    monkeypatch.chdir(night.parent)
    os.mkdir("empty")
    (night.parent / "note.txt").write_text("my notes")
    pd.DataFrame({"a": [1]}).to_parquet("other.parquet")
    with pytest.raises(kind, match=message):
        xccd.scan(**({"where": night} | arguments))
    assert (night.parent / "note.txt").read_text() == "my notes"


@pytest.mark.filterwarnings("ignore:Port:UserWarning")  # another cluster runs on this machine
def test_workers_of_a_cluster_read_the_headers(night, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("xccd.night.scan.scan.BATCH", 2)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):
        table = xccd.scan(night)
    pd.testing.assert_frame_equal(table, xccd.scan(night))


def test_a_tree_follows_what_the_user_mended_in_the_table(night):
    table = xccd.scan(night)
    table.loc[table.kind == "light", "kind"] = "flat"
    table.loc[0, "filter"] = "odd"
    tree = xccd.open_tree(table)
    assert {node.path for node in tree.leaves} == {
        "/bias/odd/0", "/bias/no_FILTER/20", "/dark/5", "/dark/25", "/flat/r/10", "/flat/r/15",
    }  # fmt: skip
    tree = xccd.open_tree(table.assign(group=[1, 1, 2, 2, 2, 1]), by=["group", "kind"])
    assert [node.path for node in tree.leaves] == ["/1/bias", "/1/dark", "/2/bias", "/2/flat"]
    assert tree["1/dark"]["data"].file.values.tolist() == [table.file[1], table.file[5]]


def test_a_table_without_hdu_has_a_row_for_each_frame(night):
    table = xccd.scan(night).drop(columns="hdu")
    assert len(list(xccd.open_tree(table, hdu=0).leaves)) == 6
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros((3, 4))) for _ in range(2))]).writeto(night / "z.fits")
    table = xccd.scan(night).drop(columns="hdu")
    with pytest.raises(
        ValueError, match=r"hdu='all' opens 8 images where the table has 7 rows: scan\(..., hdu='all'\)"
    ):
        xccd.open_tree(table, hdu="all")
