"""What is said reaches a terminal as text; and no thread leaves the filters of warnings other than they were."""

import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given
from hypothesis import strategies as st

import xccd
from fits_files import head, line, raw, structure, write
from remote_files import server
from sky import sip, stack_of, tan
from xccd.messages import shown
from xccd.sky.grid import Grid

PIXELS = np.arange(20, dtype="i2").reshape(4, 5)
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u2028\u202e\u2066\r\n\t"
NAME = f"a{EVIL}b.fits"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain name.fits", "plain name.fits"),
        ("naïve-日本-é.fits", "naïve-日本-é.fits"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x07\x7f\x9b", "\\x07\\x7f\\x9b"),
        ("\u2028\u202e\u2066\u200f", "\\u2028\\u202e\\u2066\\u200f"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_is_shown(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(Path(text)) == expected


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_can_be_shown(text: str) -> None:
    assert shown(text).isprintable()
    shown(text).encode()
    assert shown(shown(text)) == shown(text)


def evil(folder: Path, content: bytes | None = None, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(
        write(folder / "plain.fits", PIXELS, {"EXPTIME": 1.0}).read_bytes() if content is None else content
    )
    return path


def changed(folder: Path) -> None:
    path = evil(folder)
    stack = xccd.open_stack(path)
    path.write_bytes(path.read_bytes() + bytes(2880))
    stack.load()


def two_shapes(folder: Path) -> None:
    xccd.open_stack([evil(folder), write(folder / "other.fits", PIXELS[:2])])


def tile(folder: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS)]).writeto(folder / "t.fits")
    content = (folder / "t.fits").read_bytes()
    stack = xccd.open_stack(evil(folder, content[:5760] + b"\xff" * (len(content) - 5760)))
    stack.load()


def masked(folder: Path) -> None:
    hdus = [fits.PrimaryHDU(PIXELS), fits.ImageHDU(PIXELS[:2], name="MASK")]
    fits.HDUList(hdus).writeto(folder / "m.fits")
    xccd.open_stack(evil(folder, (folder / "m.fits").read_bytes()))


def in_memory(folder: Path) -> Any:
    """A stack whose label tells a name, without a file behind it."""
    del folder
    return xccd.open_stack([(PIXELS, {"EXPTIME": 1.0})] * 2).assign_coords(file=("frame", [NAME, "b"]))


def folder_called(folder: Path) -> Path:
    (folder / EVIL).mkdir()
    return folder / EVIL


CONSTANT = [line("NPIX1", 1), line("PIXVALUE", 999)]
ERRORS: dict[str, Callable[[Path], Any]] = {
    "a missing file": lambda f: xccd.open_stack([f / NAME]),
    "no match": lambda f: xccd.open_stack(str(f / f"{EVIL}*.fits")),
    "not FITS": lambda f: xccd.open_stack(evil(f, b"no image" * 999)),
    "a TIFF": lambda f: xccd.open_stack(evil(f, b"II*\0" * 999)),
    "truncated": lambda f: xccd.open_stack(evil(f, head(structure(16, 5, 4)))),
    "a card": lambda f: xccd.open_stack(raw(f / NAME, PIXELS, line("BSCALE", "NaN"))),
    "gzip": lambda f: xccd.open_stack(evil(f, b"\x1f\x8b" + bytes(99))),
    "an absurd constant": lambda f: xccd.open_stack(evil(f, head([*structure(8), *CONSTANT]))),
    "no such hdu": lambda f: xccd.open_stack(evil(f), hdu=7),
    "an empty folder": lambda f: xccd.open_stack(folder_called(f)),
    "a folder among files": lambda f: xccd.open_stack([folder_called(f) / "..", f / NAME]),
    "changed": changed,
    "shapes": two_shapes,
    "tiles": tile,
    "a mask of another shape": masked,
    "a grid": lambda f: Grid.of(evil(f)),
    "align": lambda f: stack_of(np.ones((1, 4, 6)), [tan((1, 2))]).ccd.align(str(evil(f))),
    "no WCS": lambda f: xccd.open_stack(evil(f))[0].ccd.wcs(),
    "a union": lambda f: Grid.union(xccd.open_stack(evil(f))),
    "a tree": lambda f: xccd.open_tree([evil(f)], by=lambda header: [1]),
    "weights": lambda f: in_memory(f).ccd.combine(weights=[1.0, -1.0]).load(),
    "a level": lambda f: in_memory(f).ccd.normalize(scale=lambda frame: 0.0).load(),
    "no folder to write in": lambda f: xccd.open_stack(evil(f)).ccd.to_fits(f / EVIL / "a.fits"),
    "a file is there": lambda f: xccd.open_stack(evil(f)).ccd.to_fits(f / NAME),
    "a night": lambda f: xccd.simulate_night(evil(f)),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_no_error_passes_control_codes_on(tmp_path: Path, name: str) -> None:
    with pytest.raises((OSError, ValueError, TypeError), match=r"\\x1b|a TIFF|no file|weights") as raised:
        ERRORS[name](tmp_path)
    assert str(raised.value).isprintable(), repr(str(raised.value))
    assert all(note.isprintable() for note in getattr(raised.value, "__notes__", ()))


def test_warnings_and_the_log_are_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = raw(tmp_path / NAME, PIXELS, line("EXTEND", "T"))
    path.write_bytes(path.read_bytes()[:-1])
    with (
        caplog.at_level(logging.DEBUG, "xccd"),
        pytest.warns(UserWarning, match=r"\\x1b.* ends within the last") as said,
    ):
        xccd.open_stack(path)
    assert all(str(warning.message).isprintable() for warning in said)
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert caplog.records


def test_names_of_a_server_are_text(tmp_path: Path) -> None:
    with server(tmp_path) as http, pytest.raises(OSError, match=r"\\x1b") as raised:
        xccd.open_stack(f"{http.url}/a\x1b[2J.fits")
    assert str(raised.value).isprintable()


# Filters of warnings

ODD = [
    "ODD     = 1,5",
    "HIERARCH A b = 'x",
    "NO VALUE",
    "key     =5",
    "LONG    = 'a&'",
    "CONTINUE  'b'",
    "X       = (1,2",
]


def test_opens_in_many_threads_leave_the_filters(tmp_path: Path) -> None:
    paths = [raw(tmp_path / f"{i}.fits", PIXELS, *ODD, line("NUMBER", f"{i}.5x")) for i in range(4)]
    ccd = CCDData(PIXELS.astype("f4"), unit="adu", meta={"A LONG KEYWORD": 1, "EXPTIME": 2.0})
    sources = [*paths, [(PIXELS, {"a long keyword": 1.5})], [ccd], [(PIXELS, fits.Header(tan((1, 2))))]]
    before, show = list(warnings.filters), warnings.showwarning

    def many(k: int) -> None:
        for i in range(125):
            xccd.open_stack(sources[(i + k) % len(sources)], chunks=None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))
    assert list(warnings.filters) == before
    assert warnings.showwarning is show


def test_no_other_thread_changes_the_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        assert threading.current_thread() is threading.main_thread()

    sources: list[Any] = [(PIXELS, {"a long keyword": 1.5}), (PIXELS, fits.Header(tan((1, 2))))]
    monkeypatch.setattr(warnings.catch_warnings, "__enter__", refuse)
    monkeypatch.setattr(warnings.catch_warnings, "__exit__", refuse)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(xccd.open_stack, sources).result()


def test_maps_are_made_in_threads_without_a_word() -> None:
    old = tan((31, 22), 5, PV1_1=1.0, PV1_5=1e-3, PV2_1=1.0) | {"RADECSYS": "FK5"}
    del old["RADESYS"]
    heads = [sip((30.5, 20.25), 12), old]
    stack = stack_of(np.random.default_rng(1).normal(9, 1, (2, 40, 60)), heads, chunks={"y": 10})
    to = Grid.of(tan((30.5, 20.25), 12) | {"NAXIS1": 60, "NAXIS2": 40})
    aligned = stack.ccd.align(to)
    before = list(warnings.filters)
    with dask.config.set(scheduler="threads", num_workers=4):
        assert np.isfinite(aligned.values).any()
    with ThreadPoolExecutor(2) as pool:  # as a worker that was sent a grid
        for text in (to.text, Grid.of(stack[1]).text):
            pool.submit(lambda text=text: Grid((40, 60), text).wcs.wcs.ctype).result()
    assert list(warnings.filters) == before


def test_values_of_odd_cards_need_no_astropy(tmp_path: Path) -> None:
    path = raw(tmp_path / "a.fits", PIXELS, *ODD)
    code = "import sys, xccd; xccd.open_stack(sys.argv[1], chunks=None); print('astropy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
