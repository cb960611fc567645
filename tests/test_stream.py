"""Pixels that stream into a file: any scheduler, any chunks, progress told, nothing left behind where it fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.write import stream

SCHEDULERS = ("sync", "threads", "processes")


def image(shape: tuple[int, ...], chunks: tuple[int, ...] | None, dtype: str = "f4") -> xr.DataArray:
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return xr.DataArray(
        values if chunks is None else da.from_array(values, chunks), dims=("z", "y", "x")[-len(shape) :]
    )


@pytest.mark.versions
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_writes_the_same_file(tmp_path: Path, scheduler: str) -> None:
    expected = image((3, 20, 30), None).ccd.to_fits(tmp_path / "whole.fits").read_bytes()
    with dask.config.set(scheduler=scheduler, num_workers=2):
        for k, chunks in enumerate([(3, 7, 30), (1, 20, 30), (2, 20, 7), (3, 1, 1)]):
            assert image((3, 20, 30), chunks).ccd.to_fits(tmp_path / f"{k}.fits").read_bytes() == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(["u1", "i2", "u2", "f4", "f8"]))
def test_any_chunks(tmp_path: Path, data: st.DataObject, dtype: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    with dask.config.set(scheduler="threads"):
        path = image(shape, chunks, dtype).ccd.to_fits(tmp_path / "a.fits", overwrite=True)
    np.testing.assert_array_equal(fits.getdata(path), image(shape, None, dtype).values)


@pytest.mark.parametrize("chunks", [None, (1, 7, 30)])
def test_progress_is_told(tmp_path: Path, chunks: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PIECE_BYTES", 30 * 4 * 3)
    told: list[tuple[int, int]] = []
    image((3, 20, 30), chunks).ccd.to_fits(tmp_path / "a.fits", progress=lambda *now: told.append(now))
    done = [bytes_done for bytes_done, _ in told]
    assert len(done) > 3
    assert done == sorted(set(done))
    assert told[-1] == (3 * 20 * 30 * 4, 3 * 20 * 30 * 4)


@pytest.mark.versions
def test_progress_as_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image((20, 30), (7, 30)).ccd.to_fits(tmp_path / "a.fits", progress=True)
    shown = capsys.readouterr().err
    assert "to_fits: " in shown  # it is taken away at the end
    assert "of 2.40kB" in shown


def test_progress_must_be_callable(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="progress='yes' is neither True nor a function"):
        image((2, 3), None).ccd.to_fits(tmp_path / "a.fits", progress="yes")
    assert os.listdir(tmp_path) == []


def fails(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
    if block_id[0] == 3:
        raise RuntimeError("the fourth block")
    return block


@pytest.mark.parametrize("scheduler", SCHEDULERS[:2])
def test_an_error_leaves_the_old_file(tmp_path: Path, scheduler: str) -> None:
    path = image((2, 3), None).ccd.to_fits(tmp_path / "a.fits")
    before = path.read_bytes()
    broken = xr.DataArray(da.zeros((40, 5), chunks=(5, 5)).map_blocks(fails, dtype=float), dims=("y", "x"))
    with dask.config.set(scheduler=scheduler), pytest.raises(RuntimeError, match="the fourth block"):
        broken.ccd.to_fits(path, overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.fits"]


@pytest.mark.versions
def test_a_function_of_progress_may_end_it(tmp_path: Path) -> None:
    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image((200, 3), (5, 3)).ccd.to_fits(tmp_path / "a.fits", progress=stop)
    assert os.listdir(tmp_path) == []


def test_a_product_is_never_held_whole(tmp_path: Path) -> None:
    """Blocks are written as they come: the most that wait are those of the threads."""
    living = [0]
    most = [0]
    lock = threading.Lock()

    def block(block_id: tuple[int, ...] = ()) -> np.ndarray:
        with lock:
            living[0] += 1
            most[0] = max(most[0], living[0])
        return np.full((10, 50), block_id[0], "f4")

    def told(done: int, size: int) -> None:
        with lock:
            living[0] -= 1

    data = da.map_blocks(block, chunks=((10,) * 50, (50,)), meta=np.empty((0, 0), "f4"))
    with dask.config.set(scheduler="threads", num_workers=2):
        path = xr.DataArray(data, dims=("y", "x")).ccd.to_fits(tmp_path / "a.fits", progress=told)
    assert most[0] <= 2
    np.testing.assert_array_equal(xccd.open_image(path)[:, 0], np.repeat(np.arange(50), 10))


@pytest.mark.versions
@pytest.mark.parametrize("chunks", ['{"y": 8}', "None"], ids=["dask", "without"])
def test_ctrl_c_ends_it_soon_and_leaves_nothing(tmp_path: Path, chunks: str) -> None:
    files = [str(write(tmp_path / f"{i}.fits", np.ones((64, 30), "f4"))) for i in range(5)]
    script = f"""
import signal, threading, time, xccd
from xccd.compute import deferred
from xccd.read.images.pixels import FilePixels as P
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
deferred.BAND_BYTES = 8 * 30 * 4 * 5
real, seen = P.read, []
P.read = lambda *a: (seen.append(0), time.sleep(0.05), len(seen) == 12 and print("ready", flush=True), real(*a))
try:
    xccd.open_stack({files!r}, chunks={chunks}).ccd.combine().ccd.to_fits({str(tmp_path / "out.fits")!r})
except KeyboardInterrupt:
    raise SystemExit(7)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - start < 10  # 2 s where nothing else runs
    assert process.returncode == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{i}.fits" for i in range(5)]
