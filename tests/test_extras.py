"""Each extra that is not installed, once: the error names pip and conda, or the job is done in another way."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.cli import main
from xccd.cli.cluster import check_cluster
from xccd.cli.shell import Stop
from xccd.night.live.folder import _observer

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
PIXELS = np.random.default_rng(0).normal(100.0, 5.0, (3, 40, 40))


def stack() -> xr.DataArray:
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 20.0, "CRPIX2": 20.0, "CRVAL2": 10.0}
    cards |= {"CDELT1": -1e-4, "CDELT2": 1e-4, "GAIN": 1.0, "RDNOISE": 5.0}
    return xccd.open_stack([(image, cards | {"CRVAL1": 20 + 1e-5 * i}) for i, image in enumerate(PIXELS)])


# What is not there, what then raises, and what the message has before the names of the packages.
ABSENT: dict[str, list[tuple[str, Callable[[Path], object], str]]] = {
    "align": [
        ("reproject.mosaicking", lambda _: stack().ccd.align(), "the grid that holds all frames needs reproject"),
        ("reproject", lambda _: stack().ccd.align(0, method="adaptive"), "method='adaptive' needs reproject"),
    ],
    "offsets": [
        ("skimage.registration", lambda _: stack().ccd.find_offsets("phase"), "method='phase' needs scikit-image"),
        ("sep", lambda _: stack().ccd.measure_stars(), "star lists need sep"),
        ("scipy.spatial", lambda _: stack().ccd.to_dataset().ccd.large_structures(1), "large_structures needs SciPy"),
    ],
    "cosmics": [("astroscrappy", lambda _: stack().ccd.reject("lacosmic"), r"reject\('lacosmic'\) needs astroscrappy")],
    "zarr": [("zarr", lambda folder: stack().ccd.to_zarr(folder / "a.zarr"), "to_zarr needs zarr")],
    "scan": [
        ("pyarrow.parquet", lambda folder: xccd.scan(folder, cache=folder / "a"), r"scan\(cache=\) needs pyarrow")
    ],
    "remote": [("fsspec.core", lambda _: xccd.open_stack("memory://night"), "memory://night")],
    "distributed": [("distributed", lambda _: _cluster(), "--workers needs dask.distributed")],
}
ROWS = [(extra, *row) for extra, rows in ABSENT.items() for row in rows]
# The products come without a picture (test_cli, test_reduce); xarray's own medians are slower; the drop-in needs no
# ccdproc; netCDF is written by xarray, with xarray's message; files are looked for at intervals (below).
OTHERWISE = {"plot", "bottleneck", "ccdproc", "netcdf", "live"}


def _cluster() -> None:
    try:
        check_cluster({"scheduler": None, "workers": 2})
    except Stop as stop:  # the command ends with this text
        raise ImportError(str(stop)) from stop


@pytest.mark.parametrize(("extra", "module", "call", "says"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_an_extra_that_is_absent(
    extra: str, module: str, call: Callable[[Path], object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=says) as raised:
        call(tmp_path)
    assert re.search(r"pip install \S+.* or conda install \S+", str(raised.value))


def test_files_are_looked_for_without_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchdog.observers", None)
    assert _observer() is None


def test_every_extra_is_known() -> None:
    assert set(EXTRAS) - {"all", "test", "docs", "dev"} == set(ABSENT) | OTHERWISE


def test_messages_name_pip_and_conda() -> None:
    """Wherever a message says how to install a package."""
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text("utf-8")
        for found in re.finditer(r"(?<![-\w] )pip install '?\w", text):
            assert "conda install" in text[found.start() : found.start() + 160], path


def _command(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main.main([str(word) for word in words])
    return int(end.value.code or 0)


# Commands that need a package, what is not there, and what they say.
COMMANDS = {
    "combine --keep": (["combine", "L", "-o", "m.fits", "--keep", "fwhm<80%"], "sep", "star lists need sep"),
    "align --stars": (["align", "L", "-o", "a/", "--stars"], "sep", "star lists need sep"),
    "align": (["align", "L", "-o", "a/"], "reproject.mosaicking", "the grid that holds all frames needs reproject"),
    "align adaptive": (
        ["align", "L", "-o", "a/", "--method", "adaptive", "--to", "L/light-r-001.fits"],
        "reproject",
        "--method='adaptive' needs reproject",
    ),
    "stats --stars": (["stats", "L", "--stars"], "sep", "star lists need sep"),
    "live transforms": (["live", "L", "-o", "l.fits", "--once", "--align", "transforms"], "sep", "star lists need sep"),
    "live offsets": (["live", "L", "-o", "l.fits", "--once", "--align", "offsets"], "sep", "star lists need sep"),
    "reduce --keep": (["reduce", "L", "-o", "p", "--keep", "stars>5"], "sep", "star lists need sep"),
    "reduce weights": (["reduce", "L", "-o", "p", "--set", "light.weights=EXPTIME*fwhm"], "sep", "star lists need sep"),
    "scan --cache": (["scan", "L", "--cache", "t.parquet"], "pyarrow.parquet", "scan(--cache) needs pyarrow"),
    "preview": (["preview", "L", "-o", "p.png"], "matplotlib", "pictures need matplotlib"),
    "info": (["info", "https://localhost:1/a.fits"], "fsspec.core", "https://localhost:1/a.fits"),
    "combine http": (["combine", "https://localhost:1/a.fits", "-o", "m.fits"], "fsspec.core", "https://localhost:1/"),
    "report http": (["report", "https://localhost:1/a.fits"], "fsspec.core", "https://localhost:1/a.fits"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_without_a_package_ends_before_any_work(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, module, says = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    xccd.simulate_night("L", shape=(64, 80), nbias=1, ndark=0, nflat=0, nlight=2, dither=3)
    for bias in Path("L").glob("bias*"):
        bias.unlink()
    monkeypatch.setitem(sys.modules, module, None)
    assert _command(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"xccd: {says}")
    assert re.search(r"pip install 'xccd\[\w+\]' or conda install \S+", err)
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["L"]
