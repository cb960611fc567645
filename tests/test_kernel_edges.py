"""What kernels read and write ends where the stack, its bounds and its image end."""

import sys

import numpy as np
import pytest

from processes import finish, start
from xccd.kernels.arguments import Bounds, PixelRange, Scratch, Ties
from xccd.kernels.compiled import clip, extrema
from xccd.kernels.compiled import engine as compiled
from xccd.kernels.compiled.block import block
from xccd.kernels.compiled.groups import program
from xccd.kernels.limits import DIRECT, limits
from xccd.kernels.table import DEVIATIONS, REDUCTIONS, ClipOptions

FENCE = 77
SIZES = [(25, 300, 250), (8, 256, 255), (16, 1000, 129), (3, 40, 17), (9, 700, 256)]  # frames, pixels there and asked


def fenced(size, dtype, value=FENCE):
    """An array to work on and the whole of which it is the middle."""
    whole = np.full(size + 600, value, dtype)
    return whole[300 : 300 + size], whole


def untouched(whole, size):
    return (np.delete(whole, np.s_[300 : 300 + size]) == FENCE).all()


@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(("frames", "pixels", "size"), SIZES)
def test_clips_write_to_their_pixels_alone(dtype, bounded, frames, pixels, size):
    x = np.random.default_rng(1).integers(0, 90, (frames, pixels)).astype(dtype)
    if dtype.kind == "f":
        x[0, ::7] = np.nan
    found = limits(dtype)
    pads, buffer = compiled.pads(dtype), block(frames, dtype, size)
    least, most, number, skip, keep = (fenced(size, d) for d in (dtype, dtype, np.int32, np.int32, np.int32))
    total, numbers = fenced(size, np.float64), np.zeros(clip.PLACES)
    scratch = Scratch(program(frames), pads, buffer, numbers)
    rule = ClipOptions(0.0, 0.0, 2.0, 2.0, maxiters=-1.0)
    some = PixelRange(x, 0, size, least[0], most[0], bounded), number[0], total[0]
    for which in ("sigma", "mad", "extrema"):
        least[0][:], most[0][:] = found.least, found.most
        if which == "sigma":
            clip.sigma_bounds(*some, rule, scratch)
        elif which == "mad":
            clip.mad_bounds(*some, rule._replace(deviation=DEVIATIONS["mad_std"]), scratch)
        else:
            own = scratch._replace(sums=compiled._NO_SUMS)  # as the engine does
            extrema.extrema_bounds(*some, 1, 1, program(frames), own, Ties(skip[0], keep[0]))
        for _, whole in (least, most, number, total, skip, keep):
            assert untouched(whole, size)


@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@pytest.mark.parametrize("name", sorted(REDUCTIONS))
@pytest.mark.parametrize(("frames", "pixels", "size"), SIZES)
def test_images_are_written_to_their_pixels_alone(dtype, name, frames, pixels, size):
    x = np.random.default_rng(1).integers(0, 90, (frames, pixels)).astype(dtype)
    found = limits(dtype)
    bounds = (np.full(size, found.least), np.full(size, found.most))
    for bounded in (False, True):
        (image, whole), (number, counts) = fenced(size, np.float64), fenced(size, np.int32)
        number[:] = frames
        compiled.reduce(name, x, 0, size, Bounds(*bounds, bounded), np.ones((1, 1)), 0.5, 0, image, number)
        assert untouched(whole, size)
        assert untouched(counts, size)


# A stack whose last sample is the last before memory that must not be read.
AT_THE_EDGE = """
import ctypes, mmap, sys
import numpy as np
from xccd.kernels.compiled import engine
from xccd.kernels.limits import limits
from xccd.kernels.arguments import Bounds
from xccd.kernels.table import ClipOptions

dtype, frames, pixels = np.dtype(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
page, size = mmap.PAGESIZE, frames * pixels * dtype.itemsize
room = mmap.mmap(-1, (size // page + 2) * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(room))
end = size // page * page + page
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(start + end), ctypes.c_size_t(page), 0) == 0
x = np.frombuffer(room, dtype, frames * pixels, end - size).reshape(frames, pixels)
x[:] = np.arange(frames * pixels).reshape(frames, pixels) % 97
found = limits(dtype)
for first in (0, 3):
    for bounded in (False, True):
        new = lambda: Bounds(np.full(pixels - first, found.least), np.full(pixels - first, found.most), bounded)
        for name in ("median", "quantile", "mean", "weighted_mean", "weighted_quantile", "std", "biweight"):
            engine.reduce(name, x, first, pixels, new(), np.ones((1, 1)), 0.5, 0, np.empty(pixels - first))
        engine.sigma(x, first, pixels, new(), ClipOptions(0.0, 0.0, 2.0, 2.0, maxiters=-1.0))
        engine.extreme(x, first, pixels, new(), 1, 1)
print("whole", flush=True)
import os; os._exit(0)  # the room cannot be unmapped while x is there
"""


@pytest.mark.skipif(sys.platform != "linux", reason="protects memory as Linux does")
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
@pytest.mark.parametrize(("frames", "pixels"), [(8, 300), (25, 1000)])
def test_nothing_is_read_beyond_the_stack(dtype, frames, pixels):
    out, _ = finish(start(AT_THE_EDGE, dtype, frames, pixels))
    assert out == "whole\n"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 7, 8, 23, 24])
def test_one_missing_sample_of_a_whole_block_is_seen(dtype, bad, row):
    x = np.random.default_rng(row).normal(100, 1, (25, 600)).astype(dtype)
    x[row, [3, 300]] = bad
    expected = np.nanmedian(np.where(np.isfinite(x), x, np.nan).astype(np.float64), axis=0)
    found = limits(np.dtype(dtype))
    bounds = Bounds(np.full(600, found.least), np.full(600, found.most), False)
    for name in ("median", "quantile"):
        image = np.empty(600)
        compiled.reduce(name, x, 0, 600, bounds, np.ones((1, 1)), 0.5, 0, image)
        np.testing.assert_allclose(image, expected, rtol=1e-15)
    number = compiled.sigma(x, 0, 600, bounds, ClipOptions(0.0, 0.0, 9.0, 9.0))
    assert number.tolist() == np.isfinite(x).sum(axis=0).tolist()
