"""From files to a file: whole processes with a warm cache, beside the peers in one run.

python benchmarks/files.py [--frames 25] [--size 2048] [--repeats 5] [--install] [--where] [--only NAME ...]

The job: sigma clip 3/3 about the median until stable, and the mean; then the median. Peers that are not installed are
left out and named; ``--install`` installs siril, iraf and gnuastro by apt-get first. "inside" is without the start and
the imports of Python. "differ" is the fraction of pixels that differ from ours by more than 1e-5: peers iterate in
other ways (docs/from_ccdproc.md). ``--where`` shows how ``xccd combine`` spends its time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from measured import run
from timing import machine, machine_text, parser

CARDS = 120  # in a header, besides those that the image needs
ROW = "{:<34}{:>9}{:>9}{:>9}{:>9}{:>8}{:>10}"
HEAD = ("process", "median s", "min", "inside", "CPU s", "MB", "differ")
SECONDS = "print('inside', time.perf_counter() - start)"


class Run(NamedTuple):
    """One process: wall, CPU and inner seconds, and its peak memory in MB."""

    wall: float
    inside: float
    cpu: float
    peak: float


class Peer(NamedTuple):
    """A way to do the job: its program, its call in a folder of frames, and the pixels it made."""

    program: str
    command: Callable[[Path, str], list[str]]
    image: Callable[[Path], np.ndarray]


def make(folder: Path, frames: int, size: int) -> None:
    """Frames of noise with some cosmic rays, as uint16, and a header as long as a camera's."""
    rng = np.random.default_rng(0)
    for i in range(frames):
        image = rng.normal(1000, 20, (size, size)).astype("f4")
        image[rng.random(image.shape) < 1e-4] = 40000
        header = fits.Header([(f"KEY{k:03d}", k * 1.5, "a comment") for k in range(CARDS)])
        header.update({"EXPTIME": 30.0, "DATE-OBS": f"2026-01-01T00:{i % 60:02d}:00"})
        fits.PrimaryHDU(image.astype("u2"), header).writeto(folder / f"f_{i + 1:05d}.fit")


def python(code: str) -> Callable[[Path, str], list[str]]:
    """A Python process: imports, then the timed job."""
    imports, _, body = code.partition("---\n")

    def command(folder: Path, job: str) -> list[str]:
        given = {"files": frames_of(folder), "clip": job == "clip", "out": str(folder / "out.fits")}
        lines = ["import time", *(f"{k} = {v!r}" for k, v in given.items()), imports, "start = time.perf_counter()"]
        return [sys.executable, "-W", "ignore", "-c", "\n".join([*lines, body, SECONDS])]

    return command


def frames_of(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("f_*.fit")))


def xccd_command(folder: Path, job: str) -> list[str]:
    clip = ["--sigma-clip", "3", "3", "--center", "median", "--maxiters", "stable"]
    how = [*(clip if job == "clip" else ["--method", "median"]), "-o", str(folder / "out.fits"), "--overwrite"]
    return [str(Path(sys.executable).with_name("xccd")), "combine", *frames_of(folder), *how]


def siril(folder: Path, job: str) -> list[str]:
    how = "rej s 3 3 -nonorm" if job == "clip" else "med -nonorm"
    (folder / "job.ssf").write_text(f"requires 1.0.0\nsetext fit\nset32bits\nstack f_ {how} -out=siril\n")
    return ["siril-cli", "-d", str(folder), "-s", str(folder / "job.ssf")]


def iraf(folder: Path, job: str) -> list[str]:
    (folder / "list").write_text("".join(f"{name}\n" for name in frames_of(folder)))
    how = 'combine="average", reject="sigclip", lsigma=3, hsigma=3, mclip=yes, nkeep=0'
    how = how if job == "clip" else 'combine="median", reject="none"'
    (folder / "out.fits").unlink(missing_ok=True)
    lines = ["set imtype=fits", f'set uparm="{folder}/"', "images", "immatch"]
    lines += [f'imcombine("@{folder}/list", "{folder}/out.fits", {how}, logfile="", outtype="real")', "logout"]
    (folder / "job.cl").write_text("\n".join(lines) + "\n")
    return ["irafcl", "-f", str(folder / "job.cl")]


def gnuastro(folder: Path, job: str) -> list[str]:
    files, out = frames_of(folder), str(folder / "out.fits")
    how = ["3", "0.2", "sigclip-mean"] if job == "clip" else ["median"]
    return ["astarithmetic", *files, str(len(files)), *how, "-g0", "--wcsfile=none", "-q", "-o", out]


def written(folder: Path) -> np.ndarray:
    with fits.open(folder / "out.fits") as hdus:
        return next(hdu.data for hdu in hdus if hdu.data is not None).astype("f8")


XCCD = """import xccd, dask.array, numba
from xccd.kernels.compiled import engine
---
stack = xccd.open_stack(files)
if clip:
    stack = stack.ccd.sigma_clip(3, 3, center='median', maxiters=None)
stack.ccd.combine('mean' if clip else 'median').ccd.to_fits(out, overwrite=True)"""
LOADED = XCCD.replace(
    "---\n",
    """few = xccd.open_stack(files)[:, :16]
few = few.ccd.sigma_clip(3, 3, center='median') if clip else few
few.ccd.combine('mean' if clip else 'median').compute()
---
""",
)
LIMIT = """import numpy as np, xccd
from xccd.compute import run
from xccd.compute.pool import run_all
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.steps import Sigma, Unsigned
from xccd.kernels.table import ClipOptions
from xccd.kernels.compiled import engine
from astropy.io import fits
first = fits.getheader(files[0])
shape, offset = (first['NAXIS2'], first['NAXIS1']), len(first.tostring())
---
raw = np.empty((len(files), *shape), '>i2')
def read(i):
    raw[i] = np.fromfile(files[i], '>i2', raw[i].size, offset=offset).reshape(shape)
run_all(read, len(files), 2)
steps = (Unsigned(), Sigma(ClipOptions(0., 0., 3., 3., maxiters=-1.))) if clip else (Unsigned(),)
image = run.chained(Chain(steps, (Combine('mean' if clip else 'median'),)), raw, dtypes=['f4'])[0]
fits.writeto(out, image, overwrite=True)"""
ASTROPY = """import numpy as np, bottleneck
from astropy.io import fits
from astropy.stats import sigma_clip
---
stack = np.array([fits.getdata(f) for f in files], 'f4')
if clip:
    stack = sigma_clip(stack, sigma=3, maxiters=None, axis=0, masked=False, copy=False)
image = bottleneck.nanmean(stack, axis=0) if clip else bottleneck.nanmedian(stack, axis=0)
fits.writeto(out, image, overwrite=True)"""
CCDPROC = """import numpy as np, ccdproc
---
how = dict(method='average', sigma_clip=True, sigma_clip_low_thresh=3, sigma_clip_high_thresh=3,
           sigma_clip_func=np.ma.median, sigma_clip_dev_func=np.ma.std) if clip else dict(method='median')
ccdproc.combine(files, unit='adu', mem_limit=16e9, dtype='f4', **how).write(out, overwrite=True)"""
PEERS = {
    "xccd combine": Peer("xccd", xccd_command, written),
    "xccd in Python": Peer("", python(XCCD), written),
    "the same, kernels loaded before": Peer("", python(LOADED), written),
    "read once, then the kernel": Peer("", python(LIMIT), written),
    "Siril": Peer("siril-cli", siril, lambda folder: fits.getdata(folder / "siril.fit").astype("f8") * 65535),
    "IRAF imcombine": Peer("irafcl", iraf, written),
    "gnuastro": Peer("astarithmetic", gnuastro, written),
    "astropy and bottleneck": Peer("", python(ASTROPY), written),
    "ccdproc.combine": Peer("", python(CCDPROC), written),
}


def timed(command: list[str], folder: Path) -> Run:
    """Run a process to its end."""
    done = run(command, folder)
    inside = [float(line.split()[1]) for line in done.said.splitlines() if line.startswith("inside ")]
    return Run(done.seconds, inside[0] if inside else float("nan"), done.cpu, done.megabytes)


def compare(folder: Path, job: str, repeats: int, wanted: dict[str, Peer]) -> None:
    """A table of one job: all processes, alternating."""
    there = {k: p for k, p in wanted.items() if not p.program or p.program == "xccd" or shutil.which(p.program)}
    print(f"\n{job}\n{ROW.format(*HEAD)}")
    runs: dict[str, list[Run]] = {name: [] for name in there}
    ours, differ = np.empty(0), {}
    for name, peer in there.items():  # warms the cache, and checks the result
        first = timed(peer.command(folder, job), folder)
        if repeats == 0:
            runs[name].append(first)
        image = peer.image(folder)
        ours = ours if ours.size else image
        differ[name] = float((~np.isclose(image, ours, rtol=1e-5)).mean())
    for _ in range(repeats):
        for name, peer in there.items():
            runs[name].append(timed(peer.command(folder, job), folder))
    for name, found in runs.items():
        walls = [r.wall for r in found]
        cells = [f"{median(walls):.2f}", f"{min(walls):.2f}", *(f"{median(v):.2f}" for v in zip(*found, strict=True))]
        print(ROW.format(name, *cells[:2], *cells[3:5], f"{max(r.peak for r in found):.0f}", f"{differ[name]:.2%}"))
    missing = ", ".join(wanted.keys() - there.keys())
    print(f"not installed: {missing}" if missing else "", flush=True)


WHERE = """import time; t = [time.perf_counter()]; names = []
def mark(name): names.append(name); t.append(time.perf_counter())
import sys; sys.modules['dask'] = sys.modules['scipy'] = None
import numpy; mark('import numpy')
import xarray; mark('import pandas and xarray')
import xccd.cli.main; import xccd, xccd.write.fits as write; mark('import xccd and click')
stack = xccd.open_stack(files, chunks=None, dtype='native'); mark('headers')
if clip:
    image = stack.ccd.to_dataset().ccd.sigma_clip(3, 3, center='median', maxiters=None).ccd.combine('mean').data
else:
    image = stack.ccd.combine('median')
mark('labels, and the header of the product')
from xccd.kernels.compiled import engine; mark('import numba')
image[:1].values; mark('kernels from the cache')
image.ccd.to_fits(out, overwrite=True); mark('read, clip, combine, write')
for name, a, b in zip(names, t, t[1:]): print(f'{1000 * (b - a):8.0f} ms  {name}')"""


def main() -> None:
    options = parser(__doc__, size=2048)
    options.add_argument("--install", action="store_true", help="apt-get install the peers first")
    options.add_argument("--where", action="store_true", help="where the time of xccd combine goes")
    options.add_argument("--only", nargs="+", choices=PEERS, default=[*PEERS], metavar="NAME", help=", ".join(PEERS))
    given = options.parse_args()
    if given.install:
        subprocess.run(["apt-get", "install", "-y", "siril", "iraf", "gnuastro"], check=True, stdout=subprocess.DEVNULL)
    print(machine_text(machine()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, given.frames, given.size)
        megabytes = given.frames * given.size**2 * 2 / 1e6
        print(f"{given.frames} frames of {given.size} x {given.size} uint16, {megabytes:.0f} MB")
        trial = given.size <= 256
        for job in ("clip",) if trial else ("clip", "median"):
            compare(folder, job, 0 if trial else given.repeats, {k: PEERS[k] for k in given.only})
        if given.where:
            command = python("---\n" + WHERE)(folder, "clip")
            print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
