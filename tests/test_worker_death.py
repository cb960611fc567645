"""A worker that dies in mid run. Slow, and in a process of its own: a cluster that lost one may never close."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xccd
from fits_files import write

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, sys, time, warnings
import dask, distributed, xccd

def slowly(frames, axis):
    time.sleep(0.3)
    return frames.mean(axis)

def told(done, size):
    if told.first:
        told.first = False
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
told.first = True

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = distributed.Client(cluster)
    image = xccd.open_stack(sys.argv[2:], chunks={"y": 4}).ccd.combine(slowly)
    image.ccd.to_fits(sys.argv[1], progress=told)
    print("done", told.first, flush=True)
    os.killpg(0, signal.SIGKILL)
"""


def slowly(frames: np.ndarray, axis: int) -> np.ndarray:
    return frames.mean(axis)


def test_its_work_is_done_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [write(tmp_path / f"{i}.fits", rng.normal(0, 1, (80, 30)).astype("f4")) for i in range(4)]
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", str(tmp_path / "there.fits"), *map(str, files)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "done False" in said
    here = xccd.open_stack(files).ccd.combine(slowly).ccd.to_fits(tmp_path / "here.fits")
    assert (tmp_path / "there.fits").read_bytes() == here.read_bytes()
