"""Memory as `plan` estimates it, beside the peak that is measured; bytes to read, beside those that were read.

python benchmarks/plans.py [--frames 25] [--size 2048]

Each chain runs in a process of its own, once on some rows and then on all. The peak is that of the resident memory
beyond what was there before (Linux).
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from measured import run
from timing import machine, machine_text, parser

CHAINS = {
    "clip and mean, no dask": "open(None).ccd.sigma_clip(3, 3).ccd.combine()",
    "clip and mean": "open('auto').ccd.sigma_clip(3, 3).ccd.combine()",
    "clip and median, no dask": "open(None).ccd.sigma_clip(3, 3).ccd.combine('median')",
    "bias, clip and mean": "open('auto').ccd.subtract_bias(bias).ccd.sigma_clip(3, 3).ccd.combine()",
    "arithmetic, clip and mean": "(open('auto') - bias).ccd.sigma_clip(3, 3).ccd.combine()",
    "flags, clip, mean with maps": "open(None).ccd.to_dataset().ccd.sigma_clip(3, 3).ccd.combine()",
    "masked stack, no dask": "open(None).ccd.sigma_clip(3, 3)",
    "masked stack": "open('auto').ccd.sigma_clip(3, 3)",
    "mean of chunks along frames": "open({'frame': 4}).ccd.combine()",
}
ONE = """
import sys, numpy as np, xccd
from xccd.read.files import local
folder, chain = sys.argv[1:]
files, read, fill = f"{folder}/*.fits", [0], local.LocalFile.fill
def counted(self, view, start):
    read[0] += len(view)
    return fill(self, view, start)
local.LocalFile.fill = counted
bias = None
def open(chunks, box=slice(None)):
    return xccd.open_stack(files, chunks=chunks).isel(y=box)
whole = open(None).shape[1:]
small = slice(0, 64)
bias = np.full((64, whole[1]), 100, "f4")
full, open_ = np.full(whole, 100, "f4"), open
open = lambda chunks: open_(chunks, small)
eval(chain).load()
open, bias, read[0] = (lambda chunks: open_(chunks)), full, 0
lazy = eval(chain)
plan = lazy.ccd.plan()
def status(name):
    return int(next(line for line in __import__("pathlib").Path("/proc/self/status").read_text().splitlines()
                    if line.startswith(name)).split()[1]) * 1024
before = status("VmRSS")
with __import__("builtins").open("/proc/self/clear_refs", "w") as file:
    file.write("5")
done = lazy.load()
print(plan.memory, status("VmHWM") - before, plan.read, read[0], plan.tasks)
"""


def main() -> None:
    """Write files, and run each chain."""
    options = parser(__doc__, size=2048).parse_args()
    frames, side = options.frames, options.size
    print(machine_text(machine()))
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(frames):
            header = fits.Header({"EXPTIME": 10.0})
            fits.PrimaryHDU(rng.integers(900, 1100, (side, side), np.uint16), header).writeto(
                Path(folder, f"{i:02}.fits")
            )
        print(f"{'':28}  memory: plan, measured, ratio      read: plan, measured")
        for name, chain in CHAINS.items():
            done = run([sys.executable, "-c", ONE, folder, chain])
            plan, peak, read, was, tasks = map(int, done.said.split()[-5:])
            same = "equal" if read == was else f"{was / 1e6:.1f} MB"
            memory = f"{plan / 1e6:7.0f} {peak / 1e6:7.0f} MB  {plan / max(peak, 1):5.2f}"
            print(f"{name:28}  {memory}   {read / 1e6:7.1f} MB, {same}, {tasks} tasks")


if __name__ == "__main__":
    main()
