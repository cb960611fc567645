"""The file of a `LiveStack`, and what may stop it: kills, interrupts, damage, another thread."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xccd
from test_live import SHAPE, WCS, filled, frame, noise
from xccd.night.live.interrupts import to_its_end
from xccd.night.live.running import Running

OPTIONS = [
    {},
    {"low": None, "high": None},
    {"low": np.float32(2.5), "minimum": 4, "zero": "median", "max": 1060},
    {"align": "wcs", "hdu": ("SCI", 1), "bits": [1, 4], "mixed": True},
]


@pytest.mark.versions
@pytest.mark.parametrize("count", [0, 1, 3, 8, 11])
@pytest.mark.parametrize("options", OPTIONS, ids=map(str, OPTIONS))
@pytest.mark.filterwarnings("ignore:LiveStack")
def test_it_goes_on_to_the_bit(tmp_path: Path, options: dict[str, Any], count: int) -> None:
    options = {k: v for k, v in options.items() if k not in ("hdu", "bits")} if count else options
    live = xccd.LiveStack(**options)
    for number in range(count):
        live.add(frame(number, **WCS | {"CRPIX1": 15.0 + number / 4 * ("align" in options)}))
    path = live.save(tmp_path / "live.state")
    again = xccd.LiveStack.load(path)
    assert (again.options, again.names, repr(again)) == (live.options, live.names, repr(live))
    if count:
        xr.testing.assert_identical(again.snapshot(), live.snapshot())
        with pytest.raises(ValueError, match=r"is there already, as frame-1"):
            again.add(frame(0, **WCS))
    for number in range(count, count + 6 if not options.get("hdu") else count):
        for one in (live, again):
            one.add(frame(number, **WCS))
        xr.testing.assert_identical(again.snapshot(), live.snapshot())
    assert again.save(tmp_path / "other").read_bytes() == live.save(path).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["live.state", "other"]


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda live: pickle.loads(pickle.dumps(live))}


@pytest.mark.parametrize("options", [{}, {"align": "wcs", "minimum": 3}], ids=str)
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_goes_on_by_itself(copied: Callable[[Any], Any], options: dict[str, Any]) -> None:
    live = xccd.LiveStack(**options)
    assert len(copied(live)) == 0
    for number in range(5):
        live.add(frame(number, **WCS))
    before, own = live.snapshot(), copied(live)
    assert (own.options, own.names, repr(own)) == (live.options, live.names, repr(live))
    for number in range(5, 9):
        own.add(frame(number, **WCS))
    xr.testing.assert_identical(live.snapshot(), before)
    for number in range(5, 9):
        live.add(frame(number, **WCS))
    xr.testing.assert_identical(live.snapshot(), own.snapshot())


def test_no_copy_is_made_while_a_frame_is_added() -> None:
    live, done = xccd.LiveStack(), threading.Event()
    live.add(frame(0))
    with live._lock:
        threading.Thread(target=lambda: (copy.deepcopy(live), done.set())).start()
        assert not done.wait(0.05)
    assert done.wait(10)


def test_files_are_known_again(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.writeto(path, noise(1))
    live = xccd.LiveStack()
    live.add(path)
    again = xccd.LiveStack.load(live.save(tmp_path / "live.state"))
    assert again.knows(path)
    assert again.knows(os.path.relpath(path))
    fits.writeto(path, noise(2), overwrite=True)
    os.utime(path, ns=(1, 1))
    assert not again.knows(path)
    assert not again.knows(tmp_path / "b.fits")
    assert again.add(path).number == 2  # a camera may write to one name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_an_error_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    live = filled(4, minimum=6)
    whole = live.save(tmp_path / "live.state").read_bytes()
    expected = live.snapshot()
    damaged = bytearray(whole)
    place = data.draw(st.integers(0, 200) | st.integers(0, len(whole) - 1) | st.integers(1, 900).map(lambda n: -n))
    damaged[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        damaged = bytearray(whole[: data.draw(st.integers(0, len(whole) - 1))])
    (tmp_path / "bad.state").write_bytes(damaged)
    try:
        found = xccd.LiveStack.load(tmp_path / "bad.state").snapshot()
    except OSError as error:
        said = str(error)
    else:
        xr.testing.assert_identical(found, expected)
        return
    assert "bad.state is damaged (" in said or "bad.state is no state of a LiveStack" in said


def edited(path: Path, change: dict[str, Any]) -> None:
    """Another text in a state, with right checksums."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["live.json"] = json.dumps(json.loads(members["live.json"]) | change).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def test_another_version_and_other_files(tmp_path: Path) -> None:
    path = filled(2).save(tmp_path / "live.state")
    edited(path, {"version": 99})
    with pytest.raises(ValueError, match=r"live\.state has version 99 of the form of a LiveStack, this xccd reads 1"):
        xccd.LiveStack.load(path)
    filled(2).save(path)
    for change in ({"format": 3}, {"sizes": [["y", 10], ["x", 30]]}, {"options": {"low": -1}}, {"frames": [{}]}):
        edited(path, change)
        with pytest.raises(OSError, match=r"live\.state is damaged \("):
            xccd.LiveStack.load(path)
        filled(2).save(path)
    text = tmp_path / "a.txt"
    text.write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.txt' is there already, and no state"):
        filled(1).save(text)
    with pytest.raises(OSError, match=r"a\.txt is no state of a LiveStack"):
        xccd.LiveStack.load(text)
    with pytest.raises(FileNotFoundError, match=r"b\.txt does not exist"):
        xccd.LiveStack.load(tmp_path / "b.txt")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        filled(1).save(tmp_path / "none" / "a.state")
    with pytest.raises(IsADirectoryError, match="is a folder: name the file in it"):
        filled(1).save(tmp_path)
    assert text.read_text() == "mine"


KILLED = """
import sys
import numpy as np
import xccd
path, start = sys.argv[1], int(sys.argv[2])
live = xccd.LiveStack.load(path) if start else xccd.LiveStack()
for number in range(start, 100000):
    live.add(np.random.default_rng(number).normal(1000, 20, (20, 30)).astype("f4"))
    live.save(path)
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_kill_loses_the_frame_in_hand_at_most(tmp_path: Path) -> None:
    path, done = tmp_path / "live.state", 0
    for seen in (1, 9, 4):
        command = [sys.executable, "-c", KILLED, str(path), str(done)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(seen):
                last = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split()
        last = int(rest[-1]) if rest else last
        done = len(xccd.LiveStack.load(path))
        assert last + 1 <= done <= last + 2  # saved, and killed before the print
    expected = xccd.LiveStack()
    for number in range(done):
        expected.add(noise(number, SHAPE))
    xr.testing.assert_identical(xccd.LiveStack.load(path).snapshot(), expected.snapshot())
    expected.save(path)  # and takes away what the killed ones left
    assert [p.name for p in tmp_path.iterdir()] == ["live.state"]


def test_an_interrupt_waits_for_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    live, real = filled(2), Running.add

    def slow(self: Running, *arguments: Any) -> tuple[int, int]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        return real(self, *arguments)

    monkeypatch.setattr(Running, "add", slow)
    with pytest.raises(KeyboardInterrupt):
        live.add(frame(2))
    assert (len(live), live.snapshot()["data_count"].min()) == (3, 3)
    with pytest.raises(ZeroDivisionError):
        to_its_end(lambda: 1 // 0, threading.Lock())


def test_a_snapshot_in_another_thread_sees_whole_frames() -> None:
    live, stop, wrong = filled(9, low=None, high=None), threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            image = live.snapshot()
            if (image["data_count"] != image["data"].attrs["NCOMBINE"]).any():
                wrong.append(image)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(9, 40):
        live.add(frame(number))
    stop.set()
    thread.join()
    assert not wrong
