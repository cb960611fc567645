"""No file that an image is made of, or still to be read from, is written over: by whatever name it goes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from dask.delayed import delayed

import xccd
import xccd.ccdproc
from fits_files import write
from xccd.write import input_files
from xccd.write.input_files import check_inputs

REFUSED = "is a file that this was made of or is still read from|has the name of a frame that this was combined from"


@pytest.fixture
def raw(tmp_path: Path) -> list[Path]:
    (tmp_path / "raw").mkdir()
    return [write(tmp_path / "raw" / f"f-{i}.fits", np.full((4, 5), i + 1, "u2"), {"SEQ": i}) for i in range(3)]


def refused(obj: Any, target: Path, verb: str = "to_fits", **more: Any) -> None:
    before = target.read_bytes() if target.is_file() else None
    with pytest.raises(FileExistsError, match=REFUSED) as raised:
        getattr(obj.ccd, verb)(target, overwrite=True, **more)
    assert f"path={str(target)!r}" in str(raised.value)
    assert before is None or target.read_bytes() == before


CHUNKS: list[object] = [None, "auto", {"y": 2}, {"frame": 1}]
MADE: dict[str, Callable[[xr.DataArray], Any]] = {
    "a stack": lambda s: s,
    "a part": lambda s: s[1:, :2],
    "one frame": lambda s: s[0],
    "a clip": lambda s: s.ccd.minmax(0, 9),
    "a mean": lambda s: s.ccd.combine("mean"),
    "flagged": lambda s: s.ccd.to_dataset().ccd.clip_extrema(1, 0).ccd.combine("mean"),
    "arithmetic": lambda s: (s * 2 - 1).ccd.combine("median"),
    "normalized": lambda s: s.ccd.normalize("mean").ccd.combine("median"),
    "aligned": lambda s: s.ccd.align(offsets=[(0, 0), (0, 0.5), (0.5, 0)]).ccd.combine("mean"),
}


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("made", MADE)
def test_what_is_still_to_be_read(raw: list[Path], chunks: object, made: str) -> None:
    refused(MADE[made](xccd.open_stack(raw, chunks=chunks)), raw[0])


@pytest.mark.parametrize("made", ["a stack", "a clip", "a mean", "flagged", "arithmetic"])
def test_what_is_made_of_it_and_in_memory(raw: list[Path], made: str) -> None:
    done = MADE[made](xccd.open_stack(raw)).compute()
    for path in raw:
        refused(done, path)
    assert done.ccd.to_fits(raw[0].parent / "new.fits").exists()
    assert done.ccd.to_fits(raw[0].parent / "new.fits", overwrite=True).exists()


@pytest.mark.parametrize("compute", [False, True])
def test_by_any_name(raw: list[Path], tmp_path: Path, compute: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = xccd.open_stack(raw).ccd.combine("mean")
    mean = mean.compute() if compute else mean
    soft, hard = tmp_path / "soft.fits", tmp_path / "hard.fits"
    soft.symlink_to(raw[1])
    os.link(raw[2], hard)
    for target in (soft, hard, tmp_path / "raw" / ".." / "raw" / "f-0.fits"):
        refused(mean, target)
    monkeypatch.chdir(tmp_path / "raw")
    refused(mean, Path("f-0.fits"))
    assert soft.is_symlink()


def test_a_file_of_the_same_name_elsewhere_is_another(raw: list[Path], tmp_path: Path) -> None:
    """Where it is known which files were combined; of a product that was read back only their names are."""
    other = write(tmp_path / "f-0.fits", np.eye(2))
    mean = xccd.open_stack(raw).ccd.combine("mean").compute()
    again = xccd.open_image(mean.ccd.to_fits(tmp_path / "mean.fits"))
    assert mean.ccd.to_fits(other, overwrite=True) == other
    refused(again, raw[0])
    input_files._made.clear()  # as in another process
    refused(again, raw[0])
    refused(again, other)
    refused(mean, raw[0])
    assert again.ccd.to_fits(tmp_path / "mean.fits", overwrite=True).exists()


def test_relative_names_and_another_working_folder(raw: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(raw[0].parent)
    stack = xccd.open_stack("f-*.fits")
    lazy, loaded, mean = stack.ccd.combine("max"), stack.compute(), stack.ccd.combine("max").compute()
    monkeypatch.chdir("/")
    for obj in (lazy, loaded, mean, loaded.ccd.combine("min")):
        refused(obj, raw[0])


def test_what_arithmetic_has_lost_the_header_of(raw: list[Path]) -> None:
    stack = xccd.open_stack(raw)
    ratio = (stack.ccd.combine("mean") / stack.ccd.combine("max")).compute()
    assert "image_header" not in ratio.coords
    refused(ratio, raw[0])


def test_masters_in_arithmetic(raw: list[Path], tmp_path: Path) -> None:
    bias = write(tmp_path / "bias.fits", np.ones((4, 5)))
    lights = xccd.open_stack(raw) - xccd.open_image(bias, chunks="auto")
    refused(lights.ccd.combine("mean"), bias)
    with pytest.warns(UserWarning, match="is given twice"):
        weights = xccd.open_stack([bias] * 3).drop_vars("file")
    refused(xccd.open_stack(raw).ccd.combine("mean", weights=weights), bias)
    assert lights.ccd.combine("mean").compute().ccd.to_fits(bias, overwrite=True).exists()  # it was read


def test_one_image_in_memory_may_go_back(raw: list[Path]) -> None:
    for image in (xccd.open_image(raw[0]), xccd.open_stack(raw)[0].load(), xccd.open_stack(raw[0]).load()):
        assert (image + 1).ccd.to_fits(raw[0], overwrite=True).exists()
    assert fits.getdata(raw[0]).ravel()[0] == 2
    refused(xccd.open_image(raw[0], chunks="auto"), raw[0])


def test_other_readers(raw: list[Path], tmp_path: Path) -> None:
    """xarray's engines, and tasks that carry a path."""
    lazy = xr.open_dataset([str(p) for p in raw], engine="xccd")
    refused(lazy, raw[1])
    refused(xr.open_dataset([str(p) for p in raw], engine="xccd", chunks={}).data.mean("frame"), raw[1])
    task = da.from_delayed(delayed(fits.getdata)(str(raw[0])), (4, 5), "u2")
    refused(xr.DataArray(task, dims=("y", "x")) + 1, raw[0])
    there = xr.DataArray(np.eye(3), dims=("y", "x"), name="data")
    there.to_netcdf(tmp_path / "a.nc")
    for chunks in (None, {}):
        with xr.open_dataarray(tmp_path / "a.nc", chunks=chunks) as back:
            refused(back, tmp_path / "a.nc")


@pytest.mark.parametrize("chunks", [None, {}])
def test_a_store_that_is_read(raw: list[Path], tmp_path: Path, chunks: Any) -> None:
    path = xccd.open_stack(raw).ccd.to_zarr(tmp_path / "a.zarr")
    (tmp_path / "link.zarr").symlink_to(path)
    stack = xr.open_dataarray(path, engine="zarr", chunks=chunks)
    for target in (path, tmp_path / "link.zarr"):
        refused(stack, target, "to_zarr")
        refused(stack.ccd.minmax(0, 1), target, "to_zarr")
    assert stack.ccd.to_zarr(tmp_path / "b.zarr").exists()
    assert stack.load().ccd.to_zarr(path, overwrite=True).exists()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_trees(raw: list[Path]) -> None:
    """No node goes where another is read from, and nothing is written then."""
    folder = raw[0].parent
    stack = xccd.open_stack(raw)
    nodes = {
        "a": stack[:1].ccd.combine().to_dataset(name="data"),
        "f-0": stack[1:].ccd.combine().to_dataset(name="data"),
    }
    for tree in (xr.DataTree.from_dict(nodes), xr.DataTree.from_dict(nodes).compute()):
        with pytest.raises(FileExistsError, match=rf"f-0\.fits' ({REFUSED})"):
            tree.ccd.to_fits(folder, overwrite=True)
        refused(tree, raw[2], single=True)
    assert sorted(os.listdir(folder)) == ["f-0.fits", "f-1.fits", "f-2.fits"]


def test_the_command(raw: list[Path]) -> None:
    code = "from xccd_command import run; run()"
    command = [sys.executable, "-c", code, "combine", *map(str, raw), "-o", str(raw[0]), "--overwrite"]
    before = raw[0].read_bytes()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, "is a file that this was made of" in run.stderr) == (4, True)
    assert raw[0].read_bytes() == before


def test_the_function_of_ccdproc(raw: list[Path], tmp_path: Path) -> None:
    (tmp_path / "soft.fits").symlink_to(raw[0])
    for target in (raw[0], tmp_path / "soft.fits"):
        with pytest.raises(FileExistsError, match=f"output_file='.*' {REFUSED}"):
            xccd.ccdproc.combine(list(map(str, raw)), target, unit="adu", overwrite_output=True)
    assert xccd.ccdproc.combine(list(map(str, raw)), tmp_path / "a.fits", unit="adu").data[0, 0] == 2


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    check_inputs(tmp_path / "none.fits", [tmp_path / "none.fits", "a\0b", "x" * 5000])
