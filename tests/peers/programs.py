"""The programs, and their settings: each gives the survivors of columns (frames, columns) in its own way.

IRAF writes a map of what it rejects. astropy and ccdproc give masks. Siril and gnuastro give
a mean alone: `deduced` finds the survivors that have it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits
from columns import bits, windows

WIDTH = 2  # equal pixels in a row: statistics of a row are then those of one column
SCALE = np.float32(65536)  # Siril's floats lie between 0 and 1
UNKNOWN = 0  # the number of a column whose survivors are not known
CLOSE = 3e-7  # by how much of itself a mean in float32 may differ
ROWS = 16  # different columns in each row, for "avsigclip over rows"


class Program(NamedTuple):
    """A program: its command, its version, its settings, and how it runs one of them."""

    command: str  # none: a package of Python
    version: Callable[[], str]
    settings: dict[str, Any]
    run: Callable[[np.ndarray, Iterable[str]], dict[str, np.ndarray]]


def said(*command: str, folder: Path | None = None) -> str:
    """What a program prints; it keeps its own files in the folder."""
    env = dict(os.environ) | ({"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)} if folder else {})
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=folder, env=env)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stdout + done.stderr)[-1000:]}")
    return done.stdout + done.stderr


def write_frames(folder: Path, x: np.ndarray, width: int = WIDTH) -> list[str]:
    """A file for each frame; its pixels are the columns, each ``width`` times, or ``-width`` of them in a row."""
    names = [str(folder / f"f_{i + 1:05d}.fit") for i in range(len(x))]
    for name, frame in zip(names, x, strict=True):
        image = np.repeat(frame[:, None], width, 1) if width > 0 else frame.reshape(-1, -width)
        fits.writeto(name, image, overwrite=True)
    return names


# --- IRAF

_SIGMA = 'reject="{}",lsigma={},hsigma={},mclip={},nkeep={}'
_CCD = 'reject="{}",rdnoise="5",gain="2",snoise="{}",lsigma=3,hsigma=3,mclip={},nkeep={}'
IRAF = {
    **{f"sigclip {k} mclip={m}": _SIGMA.format("sigclip", k, k, m, 1) for k in (3, 2, 1.5) for m in ("yes", "no")},
    "sigclip 2 mclip=yes nkeep=4": _SIGMA.format("sigclip", 2, 2, "yes", 4),
    "sigclip 1.5 mclip=no nkeep=4": _SIGMA.format("sigclip", 1.5, 1.5, "no", 4),
    **{f"avsigclip {k} mclip={m}": _SIGMA.format("avsigclip", k, k, m, 1) for k in (3, 2) for m in ("yes", "no")},
    **{f"avsigclip 2 mclip={m} nkeep=4": _SIGMA.format("avsigclip", 2, 2, m, 4) for m in ("yes", "no")},
    **{f"avsigclip over rows mclip={m}": _SIGMA.format("avsigclip", 3, 3, m, 1) for m in ("yes", "no")},
    **{f"ccdclip mclip={m}": _CCD.format("ccdclip", 0, m, 1) for m in ("yes", "no")},
    "ccdclip mclip=yes snoise=0.05": _CCD.format("ccdclip", 0.05, "yes", 1),
    **{f"ccdclip mclip={m} nkeep=4": _CCD.format("ccdclip", 0, m, 4) for m in ("yes", "no")},
    **{f"crreject mclip={m}": _CCD.format("crreject", 0, m, 1) for m in ("yes", "no")},
    **{f"pclip {p}": f'reject="pclip",pclip={p},lsigma=3,hsigma=3,nkeep=1' for p in (-0.5, 0.5, -0.25, 2, -2)},
    "pclip -0.5 nkeep=4": 'reject="pclip",pclip=-0.5,lsigma=3,hsigma=3,nkeep=4',
    "minmax 1 2": 'reject="minmax",nlow=1,nhigh=2,nkeep=1',
    "minmax 0 1": 'reject="minmax",nlow=0,nhigh=1,nkeep=1',
    "minmax 1 2 above 990.3": 'reject="minmax",nlow=1,nhigh=2,nkeep=0,lthreshold=990.3',
    "minmax 2 1 above 990.3": 'reject="minmax",nlow=2,nhigh=1,nkeep=0,lthreshold=990.3',
}


def run_iraf(x: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Survivors from imcombine's own maps of rejected pixels (``rejmasks``)."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in names:
            width = -ROWS if "rows" in name else WIDTH
            (folder / "list").write_text("\n".join(write_frames(folder, x, width)) + "\n")
            given = f'rejmasks="rej.pl",combine="average",{IRAF[name]},logfile="",outtype="real"'
            lines = ["set imtype=fits", f'set uparm="{folder}/"', "images", "immatch"]
            lines += [f'imcombine("@list","out.fits",{given})', 'imcopy("rej.pl","rej.fits",verbose=no)', "logout"]
            (folder / "job.cl").write_text("\n".join(lines) + "\n")
            printed = said("irafcl", "-f", str(folder / "job.cl"), folder=folder)
            if "Bad minmax" in printed:  # it refuses to reject as many as there are
                found[name] = np.full(x.shape[1], UNKNOWN, np.uint32)
                continue
            if not (folder / "rej.fits").exists():
                raise RuntimeError(f"imcombine, {name}: {printed}")
            rejected = fits.getdata(folder / "rej.fits") != 0
            survives = ~(rejected.reshape(len(x), -1) if "rows" in name else rejected[:, :, 0])
            found[name] = bits(survives)
            for old in ("rej.pl", "rej.fits", "out.fits"):
                (folder / old).unlink()
    return found


# --- Siril

SIRIL = {
    **{f"sigma {k}": f"s {k} {k}" for k in (3, 2)},
    **{f"MAD {k}": f"a {k} {k}" for k in (3, 5)},
    **{f"winsorized {a} {b}": f"w {a} {b}" for a, b in ((3, 3), (4, 3), (2, 2))},
    **{f"percentile {a} {b}": f"p {a} {b}" for a, b in ((0.2, 0.1), (0.02, 0.03))},
    **{f"linear fit {a} {b}": f"l {a} {b}" for a, b in ((5, 2.5), (4, 3))},
    "GESDT 0.3 0.05": "g 0.3 0.05",
}


def run_siril(x: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Survivors from the mean: 1.0.6 has no maps."""
    names = list(names)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_frames(folder, x / SCALE, 4)
        jobs = [f"stack f_ rej {SIRIL[name]} -nonorm -out=out{i}" for i, name in enumerate(names)]
        (folder / "job.ssf").write_text("\n".join(["requires 1.0.0", "setext fit", "set32bits", *jobs]) + "\n")
        printed = said("siril-cli", "-d", str(folder), "-s", str(folder / "job.ssf"), folder=folder)
        if not all((folder / f"out{i}.fit").exists() for i in range(len(names))):
            raise RuntimeError(f"Siril: {printed[-2000:]}")
        means = [fits.getdata(folder / f"out{i}.fit")[:, 0].astype("f8") * SCALE for i in range(len(names))]
    return {
        name: deduced(x, mean, holes=name.startswith(("linear", "GESDT")))
        for name, mean in zip(names, means, strict=True)
    }


# --- gnuastro

GNUASTRO = {"sigclip 3 0.2": "3 0.2", "sigclip 2 0.2": "2 0.2", "sigclip 3 5": "3 5"}


def run_gnuastro(x: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Survivors from the mean. (``sigclip-number`` may count the samples of one pass more than the mean is of.)"""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files, out = write_frames(folder, x), folder / "out.fits"
        for name in names:
            given = [*files, str(len(x)), *GNUASTRO[name].split(), "sigclip-mean"]
            said("astarithmetic", *given, "-g0", "--wcsfile=none", "-q", "-o", str(out))
            found[name] = deduced(x, fits.getdata(out)[:, 0].astype("f8"))
            out.unlink()
    return found


# --- packages of Python

ASTROPY: dict[str, dict[str, Any]] = {
    "defaults": {},
    "sigma=2": {"sigma": 2},
    "maxiters=1": {"maxiters": 1},
    "sigma=2, maxiters=None": {"sigma": 2, "maxiters": None},
    "mean": {"sigma": 2, "cenfunc": "mean"},
    "mad_std": {"stdfunc": "mad_std", "maxiters": 1},
}
CCDPROC: dict[str, dict[str, Any]] = {
    "defaults": {},
    "2, 2": {"low_thresh": 2, "high_thresh": 2},
    "median and mad_std": {"func": "median", "dev_func": "mad_std"},
    "clip_extrema 1 2": {"nlow": 1, "nhigh": 2},
}


def run_astropy(x: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    from astropy.stats import sigma_clip

    return {name: bits(~np.ma.getmaskarray(sigma_clip(x, axis=0, **ASTROPY[name]))) for name in names}


def run_ccdproc(x: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    from astropy.nddata import CCDData
    from ccdproc import Combiner

    found = {}
    for name in names:
        combiner = Combiner([CCDData(frame[:, None], unit="adu") for frame in x])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clip = combiner.clip_extrema if "extrema" in name else combiner.sigma_clipping
            clip(**CCDPROC[name])
        found[name] = bits(~np.asarray(combiner.data_arr.mask)[:, :, 0])
    return found


# --- survivors from a mean


def deduced(x: np.ndarray, means: np.ndarray, holes: bool = False) -> np.ndarray:
    """For each column the survivors of this mean; `UNKNOWN` where several sets of values have it.

    Survivors are looked for among windows of the sorted column: first among those that hold all of its equal samples or
    none of them, then among all. With ``holes``, as a linear fit may leave, one or two samples within a window are left
    out where none fits.
    """
    found = np.full(x.shape[1], UNKNOWN, np.uint32)
    for j, (column, mean) in enumerate(zip(x.T.astype("f8"), means, strict=True)):
        for sets_of in (windows, partial(windows, together=False), *([with_holes] if holes else [])):
            fitting = matching(column, sets_of(column), mean)
            if fitting:
                break
        if len(fitting) == 1:
            found[j] = bits(next(iter(fitting.values()))[:, None])[0]
    return found


def matching(column: np.ndarray, sets: np.ndarray, mean: float) -> dict[tuple[float, ...], np.ndarray]:
    """Those of the sets that have the mean, by their values: equal values are the same survivors."""
    right = np.abs(sets @ column / sets.sum(1) - mean) <= CLOSE * np.abs(mean)
    return {tuple(np.sort(column[survives])): survives for survives in sets[right]}


def with_holes(column: np.ndarray) -> np.ndarray:
    """Windows of the sorted column without one or two of their inner samples."""
    holed = [np.empty((0, column.size), bool)]
    for survives in windows(column):
        inner = np.flatnonzero(survives & (column > column[survives].min()) & (column < column[survives].max()))
        for out in (out for count in (1, 2) for out in combinations(inner, count)):
            holed.append(survives[None].copy())
            holed[-1][:, list(out)] = False
    return np.concatenate(holed)


def _first_line(*command: str) -> Callable[[], str]:
    return lambda: said(*command).splitlines()[0].split()[-1]


def _packaged(name: str) -> str:
    """The version of a Debian package: IRAF prints its own only when it is used by hand."""
    if not shutil.which("dpkg-query"):
        return "unknown"
    query = ["dpkg-query", "-W", "-f=${Version}", name]
    return subprocess.run(query, capture_output=True, text=True).stdout or "unknown"


PROGRAMS = {
    "iraf": Program("irafcl", lambda: _packaged("iraf"), IRAF, run_iraf),
    "siril": Program("siril-cli", _first_line("siril-cli", "--version"), SIRIL, run_siril),
    "gnuastro": Program("astarithmetic", _first_line("astarithmetic", "--version"), GNUASTRO, run_gnuastro),
    "astropy": Program("", lambda: version("astropy"), ASTROPY, run_astropy),
    "ccdproc": Program("", lambda: version("ccdproc"), CCDPROC, run_ccdproc),
}
