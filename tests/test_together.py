"""Frames that do not belong together: units, files given twice, settings, several kinds or filters in one image."""

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.cli import main
from xccd.headers.settings import UNITS, same_unit


def frame(level: float = 1, **cards: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    return np.full((2, 3), level, "f4"), {k.replace("__", "-"): v for k, v in cards.items()}


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main.main([str(a) for a in arguments])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


# Units


SAME = [
    ("ADU", "adu"), ("counts", "ADU"), ("DN", "adu"), ("e-", "electron"), ("ELECTRONS", "electron"), ("MJY", "MJy"),
    ("adu/s", "ADU/sec"), ("adu/s", "adu s-1"), ("adu / s", "adu/s"), ("e-/s", "electron s-1"), ("mag", "Mag"),
    ("erg/s/cm2/A", "erg/cm2/s/Angstrom"), ("NANOMAGGY", "nanomaggy"), ("1e-17 erg/s", "1E-17 erg s-1"),
]  # fmt: skip
OTHER = [
    ("mJy", "Jy"), ("mJy", "MJy"), ("adu", "electron"), ("adu/s", "adu"), ("adu", "adu**2"), ("counts", "photon"),
    ("1e-17 erg/s", "1e-16 erg/s"), ("adu", "furlong"), ("e-", "e-/s"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), SAME)
def test_spellings_of_one_unit(a: str, b: str) -> None:
    assert same_unit(a, b)
    assert same_unit(b, a)
    stack = xccd.open_stack([frame(), frame(BUNIT=a), frame(BUNIT=b), frame(BUNIT="unknown")])
    assert stack.attrs["units"] == a
    assert stack.ccd.header(2)["BUNIT"] == a


@given(st.sampled_from(list(UNITS)), st.data(), st.sampled_from(["{}", "{}/s", "{} s-1", "{}**2"]))
@settings(max_examples=60, deadline=None)
def test_any_spelling_of_the_table_is_one_unit(unit: str, data: st.DataObject, form: str) -> None:
    words = data.draw(st.lists(st.sampled_from(UNITS[unit]), min_size=2, max_size=2))
    cases = data.draw(st.lists(st.sampled_from([str.upper, str.lower, str.title]), min_size=2, max_size=2))
    a, b = (form.format(case(word)) for case, word in zip(cases, words, strict=True))
    assert same_unit(a, b)
    other = data.draw(st.sampled_from([name for name in UNITS if name != unit]))
    assert not same_unit(a, form.format(other))


OPENERS: dict[str, Callable[..., Any]] = {
    "open_stack": xccd.open_stack,
    "chunks=None": lambda files, **o: xccd.open_stack(files, chunks=None, **o),
    "open_dataset": xccd.open_dataset,
    "open_frames": xccd.open_frames,
    "the engine": lambda files, **o: xr.open_dataset(files, engine="xccd", **o),
}


@pytest.mark.parametrize("opened", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize(("a", "b"), OTHER)
def test_units_that_differ_raise(opened: Callable[..., Any], a: str, b: str) -> None:
    files = [frame(BUNIT=a), frame(), frame(BUNIT=b)]
    with pytest.raises(ValueError, match=r"differing units \(.*: frame-1; .*: frame-3\): .*units='adu'") as error:
        opened(files)
    assert f"({a}: frame-1; {b}: frame-3)" in str(error.value)
    made = opened(files, units="Jy")
    made = made[0] if isinstance(made, list) else made
    assert (made["data"] if isinstance(made, xr.Dataset) else made).attrs["units"] == "Jy"


def test_units_of_files_and_ccddata(tmp_path: Path) -> None:
    names = [write(tmp_path / f"{i}.fits", np.ones((2, 3)), {"BUNIT": "adu"}) for i in range(5)]
    write(tmp_path / "e.fits", np.ones((2, 3)), {"BUNIT": "electron"})
    with pytest.raises(ValueError, match=r"units \(adu: .*0.fits, .*1.fits, .*2.fits and 2 more; electron: .*e.fits\)"):
        xccd.open_stack(tmp_path)
    ccds = [CCDData(np.ones((2, 3)), unit=unit) for unit in ("adu", "electron")]
    with pytest.raises(ValueError, match=r"units \(adu: frame-1; electron: frame-2\)"):
        xccd.open_stack(ccds)
    image = xccd.open_image(names[0], units=u.electron)
    assert (image.attrs["units"], image.ccd.header()["BUNIT"]) == ("electron", "electron")
    product = xccd.open_stack(names, units=u.electron).ccd.combine("mean").ccd.to_fits(tmp_path / "mean.fits")
    assert fits.getval(product, "BUNIT") == "electron"


@pytest.mark.parametrize(
    ("units", "kind", "message"),
    [
        (3, TypeError, "units=3 is no unit"),
        ("  ", ValueError, "units='  ' is empty"),
        (["adu"], TypeError, "is no unit"),
    ],
)
@pytest.mark.parametrize("opened", [*OPENERS.values(), xccd.open_tree])
def test_units_that_are_none(opened: Callable[..., Any], units: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        opened([frame(IMAGETYP="flat")], units=units)


def test_a_unit_is_a_node_where_it_differs() -> None:
    words = ["adu", "electron", "", "ADU", "e-"]
    files = [frame(i, IMAGETYP="light", BUNIT=word) for i, word in enumerate(words)] + [
        frame(9, IMAGETYP="bias", BUNIT="DN")
    ]
    tree = xccd.open_tree(files)
    found = {node.path: (node["data"].attrs.get("units"), node.sizes["frame"]) for node in tree.leaves}
    assert found == {
        "/bias": ("DN", 1), "/light/adu": ("adu", 2), "/light/electron": ("electron", 2), "/light/no_unit": (None, 1),
    }  # fmt: skip
    assert [node.path for node in xccd.open_tree(files, units="adu").leaves] == ["/bias", "/light"]
    assert [node.path for node in xccd.open_tree(files[2:4]).leaves] == ["/light"]


def test_align_of_stacks_of_two_units() -> None:
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CDELT1": -1e-3, "CDELT2": 1e-3}
    stacks = [xccd.open_stack([frame(BUNIT=unit, **cards)]) for unit in ("adu", "ADU", "electron")]
    assert xccd.align(stacks[:2]).sizes["frame"] == 2
    with pytest.raises(ValueError, match=r"the stacks have differing units \("):
        xccd.align(stacks)


def test_weights_of_another_unit_are_weights() -> None:
    stack = xccd.open_stack([frame(1, BUNIT="adu"), frame(3, BUNIT="adu")])
    weights = xccd.open_stack([frame(1, BUNIT="s"), frame(3, BUNIT="s")])
    assert (stack.ccd.combine("mean", weights=weights.drop_vars("file")) == 2.5).all()


# A file given twice


def test_a_file_given_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (write(tmp_path / f"{name}.fits", np.ones((2, 3)), {"IMAGETYP": "bias"}) for name in "ab")
    os.symlink(a, tmp_path / "link.fits")
    other = f"{tmp_path}/../{tmp_path.name}/a.fits"
    for files, message in {
        (str(a), b, a): r"files=: .*a.fits is given twice, so its samples would count twice: give each file once",
        (a, other): r"files=: .*a.fits is the same file as .*a.fits",
        (tmp_path,): r"link.fits is the same file as .*a.fits",
        (f"{tmp_path}/[ab].fits", f"{tmp_path}/*.fits"): r"a.fits is given twice \(and 2 more\)",
    }.items():
        for opened in (*OPENERS.values(), xccd.open_tree):
            with pytest.warns(UserWarning, match=message) as said:
                opened(list(files))
            assert len(said) == 1
            assert opened is OPENERS["the engine"] or said[0].filename == __file__
        code, out, err = run("combine", *files, "-o", tmp_path / "o" / "x.fits", capsys=capsys)
        assert code == 4  # the folder of the output comes first
        code, out, err = run("combine", *files, "-o", tmp_path / "out.fit", "--mixed", capsys=capsys)
        assert (code, out) == (3, "")
        assert "so its samples would count twice" in err
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xccd.open_stack([a, b])
        xccd.open_stack([(np.ones((2, 3)), None)] * 3)


# What is told of settings


def test_settings_that_differ_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "xccd")
    common = {"IMAGETYP": "dark", "EXPTIME": 60.0}
    files = [
        frame(GAIN=1.0, SET__TEMP=-10, READOUTM="fast", XBINNING=1, **common), frame(GAIN=2.0, **common),
        frame(SET__TEMP=-20.0, READOUTM="slow", CCDSUM="1 1", **common), frame(IMAGETYP="bias", GAIN=3.0, EXPTIME=0.0),
    ]  # fmt: skip
    xccd.open_stack(files)
    line, told = (record.getMessage() for record in caplog.records)
    assert line.endswith("they differ in EXPTIME (0, 60)")
    assert told == "the frames differ in GAIN (1, 2, 3), READOUTM (fast, slow), SET-TEMP (-20, -10)"
    caplog.clear()
    xccd.open_tree(files)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        "the frames of the node 'dark/60' differ in GAIN (1, 2), READOUTM (fast, slow), SET-TEMP (-20, -10)"
    ]
    caplog.clear()
    xccd.open_stack([frame(GAIN=1.0, EXPTIME=3.0), frame(GAIN=1, EXPTIME=3.0), frame()])
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "differ in" not in caplog.text


# Several kinds or filters in one image


MIXED = {
    "kinds": ([{"IMAGETYP": word} for word in ("Bias Frame", "FLAT", "zero")], r"IMAGETYP \(Bias Frame, FLAT\)"),
    "by OBSTYPE": ([{"OBSTYPE": "DARK"}, {"OBSTYPE": "OBJECT"}], r"OBSTYPE \(DARK, OBJECT\)"),
    "filters": ([{"IMAGETYP": "flat", "FILTER": f} for f in "gr"], r"FILTER \(g, r\)"),
    "of unknown kind": ([{"FILTER": f} for f in "gr"], r"FILTER \(g, r\)"),
    "wheels": ([{"FILTER1": "CLEAR", "FILTER2": f} for f in "gr"], r"FILTER \(g, r\)"),
    "clear and g": ([{"FILTER1": "CLEAR", "FILTER2": f} for f in ("g", "open")], r"FILTER \(g, CLEAR\)"),
    "both": ([{"IMAGETYP": "flat", "FILTER": "g"}, {"IMAGETYP": "light", "FILTER": "r"}],
             r"IMAGETYP \(flat, light\) and in FILTER \(g, r\)"),
    "a master": ([{"IMAGETYP": "bias"}, {"IMAGETYP": "master bias"}], r"IMAGETYP \(bias, master bias\)"),
    "an unknown word": ([{"IMAGETYP": "focus"}, {"IMAGETYP": "light"}], r"IMAGETYP \(focus, light\)"),
    "many": ([{"FILTER": f} for f in "ugrizY"], r"FILTER \(u, g, r, i, z and 1 more\)"),
}  # fmt: skip
ALIKE = {
    "one kind": [{"IMAGETYP": word, "FILTER": "g"} for word in ("Flat Field", "SKYFLAT", "domeflat")],
    "darks of two filters": [{"IMAGETYP": "dark", "FILTER": f} for f in "gr"],
    "not said": [{"IMAGETYP": "flat", "FILTER": "g"}, {}],
    "image and light": [{"IMAGETYP": "image", "OBSTYPE": "object"}, {"IMAGETYP": "light"}],
    "nothing": [{}, {}],
    "FRAME": [{"FRAME": f"2022-09-19T19:47:4{i}"} for i in range(3)],
    "exposures": [{"EXPTIME": 1.0 + i} for i in range(3)],
}
FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "NumPy": lambda files: xccd.open_stack(files).compute(),
    "dask": xccd.open_stack,
    "deferred": lambda files: xccd.open_stack(files, chunks=None),
    "Dataset": xccd.open_dataset,
    "Dataset of two": lambda files: xr.Dataset({"a": (s := xccd.open_stack(files)), "b": s * 2}),
    "clipped": lambda files: xccd.open_stack(files).ccd.clip_extrema(0, 0).ccd.minmax(0, 99),
    "concatenated": lambda files: xr.concat([xccd.open_stack(files)[:1], xccd.open_stack(files)[1:]], "frame"),
    "no headers": lambda files: xccd.open_stack(files, keep_headers=False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", MIXED)
def test_combine_warns_once(case: str, form: str) -> None:
    cards, message = MIXED[case]
    stack = FORMS[form]([frame(i, **some) for i, some in enumerate(cards)])
    with pytest.warns(UserWarning, match=rf"combine: the frames differ in {message}: they may not belong") as said:
        stack.ccd.combine("median")
    assert (len(said), said[0].filename) == (1, __file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack.ccd.count()
        stack.ccd.clip_extrema(0, 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ALIKE)
def test_combine_says_nothing_of_frames_that_belong_together(case: str, form: str) -> None:
    stack = FORMS[form]([frame(i, **some) for i, some in enumerate(ALIKE[case])])
    stack.ccd.combine("mean")  # warnings are errors


def test_a_tree_names_the_nodes_in_one_warning() -> None:
    files = [frame(i, FILTER=f, EXPTIME=t) for i, (f, t) in enumerate([("g", 1.0), ("r", 1.0), ("g", 2.0), ("r", 2.0)])]
    tree = xccd.open_tree([*files, frame(EXPTIME=3.0)], by="EXPTIME")
    with pytest.warns(UserWarning, match=r"FILTER \(g, r\).*; at the node '1' \(and the like at 1 more\)") as said:
        tree.ccd.combine("mean")
    assert len(said) == 1


def test_other_dimensions_files_and_masters(tmp_path: Path) -> None:
    stack = xccd.open_stack([frame(i, IMAGETYP=k) for i, k in enumerate(["bias", "flat"])])
    with pytest.warns(UserWarning, match=r"IMAGETYP \(bias, flat\)"):
        stack.rename(frame="time").ccd.combine("mean", dim="time")
    stack.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataarray(tmp_path / "a.nc") as again, pytest.warns(UserWarning, match=r"IMAGETYP \(bias, flat\)"):
        again.ccd.combine("mean")
    masters = [stack[i : i + 1].ccd.combine("mean") for i in range(2)]
    with pytest.warns(UserWarning, match=r"IMAGETYP \(bias, flat\)"):
        xr.concat(masters, "frame").ccd.combine("mean")
    xr.concat([masters[0], masters[0]], "frame").ccd.combine("mean")
    for gap in (np.nan, None):
        labels = np.array(["bias", gap], object)
        stack.assign_coords(IMAGETYP=("frame", labels)).ccd.combine("mean")
    (stack.drop_vars(["IMAGETYP", "header"]) * 2).ccd.combine("mean")


def test_the_command_refuses_a_real_night(
    real_frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.fits"
    code, said, err = run("combine", real_frames / "kast_blue", "-o", out, capsys=capsys)
    assert (code, said) == (3, "")
    assert err == (
        "xccd: the frames differ in OBSTYPE (OBJECT, DARK): give one kind and filter, "
        "or --mixed to combine them all, or --by IMAGETYP,FILTER for a product of each\n"
    )
    assert not out.exists()
    code, said, err = run("combine", real_frames / "kast_blue", "-o", out, "--mixed", capsys=capsys)
    assert code == 0
    assert "mean of 8 frames" in said
    assert "xccd: warning: combine: the frames differ in OBSTYPE (OBJECT, DARK)" in err
    out.unlink()
    code, said, err = run("combine", real_frames / "kast_blue" / "b2[123].fits.gz", "-o", out, capsys=capsys)
    assert (code, err) == (0, "")


def test_the_command_refuses_two_filters_and_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, cards in {"g": {"FILTER": "g", "BUNIT": "adu"}, "r": {"FILTER": "r"}, "e": {"BUNIT": "electron"}}.items():
        write(tmp_path / f"{name}.fits", np.ones((2, 3)), cards)
    g, r, e = (tmp_path / f"{name}.fits" for name in "gre")
    code, _, err = run("combine", g, r, "-o", tmp_path / "out.fit", capsys=capsys)
    assert (code, "differ in FILTER (g, r): give one kind and filter, or --mixed" in err) == (3, True)
    code, _, err = run("combine", g, e, "-o", tmp_path / "out.fit", "--mixed", capsys=capsys)
    assert (code, "differing units (adu: " in err) == (3, True)
