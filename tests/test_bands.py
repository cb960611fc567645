"""Bands within a limit of memory: the arithmetic, and what a process really takes."""

import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.compute import bands

MB = 1 << 20


@given(st.integers(1, 300), st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([4, 8]), st.integers(1, 8))
def test_what_all_threads_hold_is_within_the_limit(frames: int, rows: int, width: int, size: int, threads: int) -> None:
    limit = 400 * MB
    with dask.config.set(num_workers=threads):
        try:
            chunks = bands.plan((frames, rows, width), size, "auto", limit)
        except ValueError:
            assert threads * (bands.COPIES * frames * width * size + bands.SCRATCH) > limit
            return
    assert chunks[0] == chunks[2] == -1
    assert 1 <= chunks[1] <= rows
    assert threads * (bands.COPIES * frames * chunks[1] * width * size + bands.SCRATCH) <= limit


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{i}.fits", np.full((64, 4096), i, "u2")) for i in range(3)]


def test_the_limit_is_an_argument_or_an_option(files: list[Path]) -> None:
    with dask.config.set(num_workers=2):
        few = xccd.open_stack(files, memory="36 MB")
        with xccd.set_options(memory=36 * 10**6):
            assert xccd.open_stack(files).chunks == few.chunks
            tree = xccd.open_tree(files, by=lambda header: "all", memory="60 MB")
        assert len(tree["all/data"].chunks[1]) < len(few.chunks[1])
        assert len(xccd.open_stack(files).chunks[1]) == 1
        fewer = xccd.open_stack(files, memory="36 MB", dtype="float64")
    assert len(few.chunks[1]) > 1
    assert len(fewer.chunks[1]) > len(few.chunks[1])
    np.testing.assert_array_equal(few.ccd.combine("sum").values, 3.0)


def test_a_limit_that_holds_no_row(files: list[Path]) -> None:
    message = r"memory=33000000 bytes hold less than one row of all 3 frames in each of 2 threads: give 33 MB or more"
    with dask.config.set(num_workers=2), pytest.raises(ValueError, match=message):
        xccd.open_stack(files, memory="33 MB")


@pytest.mark.parametrize("chunks", [None, {"y": 2}, 3])
def test_a_limit_goes_with_automatic_bands(files: list[Path], chunks: object) -> None:
    with pytest.raises(ValueError, match=r"memory='1 GB' with chunks=.*: a limit plans the bands of chunks='auto'"):
        xccd.open_stack(files, chunks=chunks, memory="1 GB")


@pytest.mark.parametrize("size", ["much", 0, -1, 1.5, True, "-3 MB"])
def test_what_is_no_size(files: list[Path], size: object) -> None:
    with pytest.raises(ValueError, match=f"memory={size!r} is no size: give"):
        xccd.open_stack(files, memory=size)
    with pytest.raises(ValueError, match=f"memory={size!r} is no size: give"):
        xccd.set_options(memory=size)


PEAK = """
import sys, warnings
import dask, numpy as np, xarray as xr
import astropy.io.fits, dask.array, tqdm.auto
import xccd

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def job(stack, path):
    clipped = stack.ccd.sigma_clip(3, 3, center="median", maxiters=None)
    (clipped * 2.0).ccd.combine("mean").ccd.to_fits(path)

warnings.simplefilter("ignore")
small = xr.DataArray(np.arange(27, dtype="u2").reshape(3, 3, 3), dims=("frame", "y", "x"))
for warm in (small, small.astype("f4")):
    (warm.ccd.sigma_clip(3, 3, center="median", maxiters=None) * 2.0).ccd.combine("mean")
with dask.config.set(scheduler="threads", num_workers=2):
    before = peak()
    job(xccd.open_stack(sys.argv[1], memory=sys.argv[3]), sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_a_process_stays_within_it(tmp_path: Path) -> None:
    """Of 168 MB of files, which are 336 MB as floats, with one step of arithmetic after the clip."""
    raw = tmp_path / "raw"
    raw.mkdir()
    frame = np.random.default_rng(0).normal(1000, 30, (1024, 2048)).astype("u2")
    for i in range(40):
        write(raw / f"{i}.fits", np.roll(frame, 31 * i))
    arguments = [str(raw), str(tmp_path / "out.fits"), "150 MB"]
    done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    assert 10 * MB < int(done.stdout) < 150 * 10**6
