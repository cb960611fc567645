"""A real cluster of two processes: the same bits, small graphs, products written here, files that go."""

import os
import pickle
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write
from sky import noise, tan

pytestmark = [
    pytest.mark.versions,
    pytest.mark.filterwarnings("ignore::UserWarning:distributed", "ignore::ResourceWarning"),
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(3)
    frames = rng.normal(1000, 20, (12, 40, 30)).astype("u2")
    frames[3, 5:9] = 60000
    return [write(tmp_path / f"{i}.fits", frame, {"EXPTIME": float(i + 1)}) for i, frame in enumerate(frames)]


def product(stack: xr.DataArray) -> xr.DataArray:
    return stack.ccd.sigma_clip(2, 2, center="median", maxiters=None).ccd.combine("mean", weights="EXPTIME")


def test_the_same_product_as_here(client: Any, files: list[Path], tmp_path: Path) -> None:
    expected = product(xccd.open_stack(files, chunks=None)).ccd.to_fits(tmp_path / "here.fits").read_bytes()
    told: list[tuple[int, int]] = []
    with client.as_current(), dask.config.set(scheduler=client):
        lazy = product(xccd.open_stack(files, chunks={"y": 7}))
        path = lazy.ccd.to_fits(tmp_path / "there.fits", progress=lambda *now: told.append(now))
    assert path.read_bytes() == expected
    assert len(told) == 6
    assert told[-1] == (40 * 30 * 4, 40 * 30 * 4)


def test_a_mosaic(client: Any, tmp_path: Path) -> None:
    images, heads = noise(6, (60, 80)), [tan((40 + 3.3 * i, 30), 9 * i) for i in range(6)]
    files = [write(tmp_path / f"{i}.fits", *pair) for i, pair in enumerate(zip(images, heads, strict=True))]
    expected = xccd.open_stack(files).ccd.align().ccd.combine("median").compute()
    lossless = xccd.open_stack(files).ccd.to_dataset(uncertainty=2.0).ccd.align().compute()
    with client.as_current(), dask.config.set(scheduler=client):
        mosaic = xccd.open_stack(files).ccd.align().ccd.combine("median")
        assert len(pickle.dumps(mosaic.data.dask)) < 60_000
        xr.testing.assert_equal(mosaic.compute(), expected)
        there = xccd.open_stack(files).ccd.to_dataset(uncertainty=2.0).ccd.align()
        xr.testing.assert_identical(there.compute(), lossless)


def test_an_image_with_its_maps(client: Any, files: list[Path], tmp_path: Path) -> None:
    expected = product(xccd.open_dataset(files, chunks=None)).ccd.to_fits(tmp_path / "here.fits").read_bytes()
    with client.as_current(), dask.config.set(scheduler=client):
        path = product(xccd.open_dataset(files, chunks={"y": 7})).ccd.to_fits(tmp_path / "there.fits")
    assert path.read_bytes() == expected


def test_a_stage_in_zarr(client: Any, files: list[Path], tmp_path: Path) -> None:
    stack = xccd.open_stack(files, chunks={"y": 7})
    with client.as_current(), dask.config.set(scheduler=client):
        path = stack.ccd.to_zarr(tmp_path / "a.zarr")
    xr.testing.assert_identical(xr.open_dataarray(path, engine="zarr"), stack.compute())


def test_graphs_hold_the_files_once(files: list[Path]) -> None:
    """A manifest for all tasks: the bytes do not grow with the number of bands."""
    sizes = {}
    for rows in (1, 20):
        graph = xccd.open_stack(files, chunks={"y": rows}).data.__dask_graph__()
        sizes[rows] = len(pickle.dumps(graph.to_dict() if hasattr(graph, "to_dict") else dict(graph)))
    assert sizes[1] - sizes[20] < 38 * 600  # of 38 tasks more


def test_a_file_that_goes_is_named(client: Any, files: list[Path], tmp_path: Path) -> None:
    lazy = product(xccd.open_stack(files, chunks={"y": 7}))
    files[4].unlink()
    with dask.config.set(scheduler=client), pytest.raises(OSError, match=r"4\.fits is gone"):
        lazy.ccd.to_fits(tmp_path / "out.fits")
    assert not [name for name in os.listdir(tmp_path) if "out" in name or "part" in name]
