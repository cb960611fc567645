"""Fresh processes for tests, and a small stack for them."""

import os
import subprocess
import sys

import numpy as np
import xarray as xr


def make(shape=(7, 5, 8), dtype="float32"):
    rng = np.random.default_rng(3)
    values = rng.normal(100, 5, shape)
    values[0, 0] += 900
    if np.dtype(dtype).kind == "f":
        values[rng.random(shape) < 0.1] = np.nan
    return xr.DataArray(values.astype(dtype), dims=("frame", "y", "x"))


def start(code, *args, **environ):
    """A fresh process in which every warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | environ, **pipes)


def finish(process):
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, err
    return out, err
