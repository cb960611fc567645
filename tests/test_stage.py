"""Stacks staged in a Zarr store: whole with their labels, block by block, the old store kept where it fails."""

import os
import sys
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.utils import minversion

import xccd
from fits_files import write

PIXELS = np.arange(4 * 20 * 30, dtype="u2").reshape(4, 20, 30)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "raw").mkdir()
    return [
        write(tmp_path / "raw" / f"{i}.fits", image, {"EXPTIME": i + 1.0, "OBJECT": f"M {i}", "FILTER": "r"})
        for i, image in enumerate(PIXELS)
    ]


def opened(path: Path) -> xr.Dataset:
    return xr.open_dataset(path, engine="zarr", chunks={})


CHUNKS: list[object] = [None, "auto", {"y": 7}, {"frame": 2, "x": 11}]
RUNS = [(chunks, scheduler) for chunks in CHUNKS for scheduler in ("sync", "threads")] + [({"y": 7}, "processes")]


@pytest.mark.versions
@pytest.mark.parametrize(("chunks", "scheduler"), RUNS, ids=str)
def test_a_stack_comes_back_whole(files: list[Path], tmp_path: Path, chunks: object, scheduler: str) -> None:
    stack = xccd.open_stack(files, chunks=chunks)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        path = stack.ccd.to_zarr(tmp_path / "a.zarr")
        clipped = stack.ccd.clip_extrema(1, 0).ccd.to_zarr(tmp_path / "b.zarr")
        expected = stack.ccd.clip_extrema(1, 0).compute()
    xr.testing.assert_identical(opened(path).data.load(), stack.compute())
    xr.testing.assert_identical(opened(clipped).data.load(), expected)
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "b.zarr", "raw"]
    assert opened(path).data.ccd.combine("median").ccd.to_fits(tmp_path / "median.fits").exists()


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [None, {"y": 7}])
def test_the_lossless_form_comes_back_whole(files: list[Path], tmp_path: Path, chunks: object) -> None:
    ds = xccd.open_dataset(files, chunks=chunks).ccd.clip_extrema(1, 0)
    staged = opened(ds.ccd.to_zarr(tmp_path / "a.zarr"))
    assert staged.data.dtype == np.uint16
    xr.testing.assert_identical(staged.load(), ds.compute())
    xr.testing.assert_identical(staged.ccd.combine().load(), ds.ccd.combine().compute())


def test_arrays_in_memory(tmp_path: Path) -> None:
    stack = xr.DataArray(PIXELS.astype("f4"), dims=("frame", "y", "x"), name="flats", attrs={"units": "adu"})
    xr.testing.assert_identical(opened(stack.ccd.to_zarr(tmp_path / "a.zarr")).flats.load(), stack)


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
def test_progress_is_told(files: list[Path], tmp_path: Path, chunks: object) -> None:
    told: list[tuple[int, int]] = []
    xccd.open_stack(files, chunks=chunks).ccd.to_zarr(tmp_path / "a.zarr", progress=lambda *now: told.append(now))
    assert told == sorted(set(told))
    assert told[-1] == (PIXELS.size * 4, PIXELS.size * 4)


@pytest.mark.versions
def test_progress_as_a_bar(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xccd.open_stack(files).ccd.to_zarr(tmp_path / "a.zarr", progress=True)
    assert "to_zarr: " in capsys.readouterr().err  # it is taken away at the end


def fails(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
    if block_id[1] == 0:
        raise RuntimeError("the first block")
    time.sleep(0.1)  # written, were it let, when the first has failed
    return block


def test_what_fails_leaves_the_old_store(tmp_path: Path) -> None:
    old = xr.DataArray(PIXELS, dims=("frame", "y", "x"))
    path = old.ccd.to_zarr(tmp_path / "a.zarr")
    bad = old.copy(data=da.from_array(PIXELS, (4, 5, 30)).map_blocks(fails, dtype="u2"))
    with pytest.raises(RuntimeError, match="the first block"), dask.config.set(num_workers=4):
        bad.ccd.to_zarr(path, overwrite=True)
    time.sleep(0.3)
    assert os.listdir(tmp_path) == ["a.zarr"]
    np.testing.assert_array_equal(opened(path).data, PIXELS)
    (old[:2] + 1).ccd.to_zarr(path, overwrite=True)
    assert os.listdir(tmp_path) == ["a.zarr"]
    np.testing.assert_array_equal(opened(path).data, PIXELS[:2] + 1)


def test_what_came_meanwhile_is_kept(tmp_path: Path) -> None:
    def block(values: np.ndarray) -> np.ndarray:
        (tmp_path / "a.zarr").mkdir(exist_ok=True)
        return values

    lazy = da.from_array(PIXELS, (4, 5, 30)).map_blocks(block, dtype="u2", meta=PIXELS[:0])
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileExistsError, match=r"a\.zarr' is there already: overwrite=True replaces it"):
        xr.DataArray(lazy, dims=("frame", "y", "x")).ccd.to_zarr(tmp_path / "a.zarr")
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert os.listdir(tmp_path / "a.zarr") == []


@pytest.mark.parametrize("dtype", ["native", None])
def test_without_dask_nothing_is_written_twice(
    files: list[Path], tmp_path: Path, dtype: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xccd.write.zarr.write_arrays", lambda *_: None)
    path = xccd.open_stack(files, chunks=None, dtype=dtype).ccd.to_zarr(tmp_path / "a.zarr")
    assert [name for name in os.listdir(path / "data") if name != "zarr.json"] == []


def test_what_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = xr.DataArray(PIXELS, dims=("frame", "y", "x"))
    with pytest.raises(TypeError, match="to_zarr writes a DataArray or a Dataset, not a ndarray"):
        xccd.to_zarr(PIXELS, tmp_path / "a.zarr")
    with pytest.raises(TypeError, match="progress='yes' is neither True nor a function"):
        stack.ccd.to_zarr(tmp_path / "a.zarr", progress="yes")
    with pytest.raises(FileNotFoundError, match=r"a\.zarr': there is no folder .*nowhere"):
        stack.ccd.to_zarr(tmp_path / "nowhere" / "a.zarr")
    uneven = stack.chunk(y=(5, 9, 6))
    with pytest.raises(ValueError, match=r"chunks of several sizes along 'y' \(5, 9, 6\), .*: stack\.chunk\(y=9\)"):
        uneven.ccd.to_zarr(tmp_path / "a.zarr")
    (tmp_path / "photos").mkdir()
    with pytest.raises(FileExistsError, match="photos' is there and is not a Zarr store: it is not replaced"):
        stack.ccd.to_zarr(tmp_path / "photos", overwrite=True)
    stack.ccd.to_zarr(tmp_path / "a.zarr")
    with pytest.raises(FileExistsError, match=r"a\.zarr' is there already: overwrite=True replaces it"):
        stack.ccd.to_zarr(tmp_path / "a.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"to_zarr needs zarr: pip install 'xccd\[zarr\]'"):
        stack.ccd.to_zarr(tmp_path / "b.zarr")
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "photos"]


def labelled(n: int) -> dict[str, tuple[object, object]]:
    """Labels of every kind."""
    days = np.array("2026-01-01T00:00:00.123456789", "M8[ns]") + np.arange(n) * np.timedelta64(86_400_000_000_001, "ns")
    days[0] = "NaT"
    return {
        "o": ("frame", np.array(["", "H\u03b1", "long " * 20, "r"][:n], object)),
        "u": ("frame", np.array(list("abcd")[:n])),
        "s": ((), np.array("one", object)), "w": ((), "wide"), "DATE-OBS": ("frame", days), "day": ((), days[1]),
        "took": ("frame", np.arange(n) * np.timedelta64(1500, "ms")), "good": ("frame", np.arange(n) > 1),
        "gain": ((), 1.5), "temp": ("frame", np.array([np.nan, 1, 2, 3][:n], "f4")),
    }  # fmt: skip


MADE = {
    "stack": lambda s: s.to_dataset(name="data"),
    "clip": lambda s: s.ccd.clip_extrema(1, 0).to_dataset(name="data"),
    "mean": lambda s: s.ccd.combine("mean").to_dataset(name="data"),
    "lossless": lambda s: s.ccd.to_dataset().ccd.clip_extrema(1, 0),
    "lossless mean": lambda s: s.ccd.to_dataset().ccd.clip_extrema(1, 0).ccd.combine("mean"),
    "by filter": lambda s: s.groupby("OBJECT").map(lambda g: g.ccd.combine("mean")).to_dataset(name="data"),
}


WAYS = [("auto", made) for made in MADE] + [(form, made) for form in ("numpy", None) for made in ("clip", "lossless")]


@pytest.mark.versions(form=("auto",))
@pytest.mark.parametrize(("form", "made"), WAYS, ids=str)
def test_what_is_opened_can_be_saved(files: list[Path], tmp_path: Path, form: str | None, made: str) -> None:
    """By xarray and by xccd, again and again; every warning is an error here."""
    stack = xccd.open_stack(files, chunks="auto" if form == "numpy" else form).assign_coords(labelled(4))
    ds = MADE[made](stack.compute() if form == "numpy" else stack)
    path = ds.ccd.to_zarr(tmp_path / "a.zarr")
    expected = ds.compute()
    for chunks in (None, {}):
        back = xr.open_dataset(path, engine="zarr", chunks=chunks)
        xr.testing.assert_identical(back.compute(), expected)
        xr.testing.assert_identical(opened(back.ccd.to_zarr(tmp_path / "b.zarr", overwrite=True)).compute(), expected)
        for fmt in (3, 2) if chunks is None else (3,):
            again = back if fmt == 3 else back.drop_encoding()  # xarray itself does not go from one format to the other
            again.to_zarr(tmp_path / "c.zarr", mode="w", zarr_format=fmt, consolidated=fmt == 2)
            found = xr.open_dataset(tmp_path / "c.zarr", engine="zarr", consolidated=fmt == 2)
            xr.testing.assert_identical(found.compute(), expected)
        if minversion(xr, "2026.7"):  # of those that were tried the first that has StringDType in netCDF
            back.to_netcdf(tmp_path / "d.nc")
            with xr.open_dataset(tmp_path / "d.nc") as found:
                xr.testing.assert_equal(found.compute(), expected)


@pytest.mark.versions
def test_lazy_labels_that_are_no_numbers(tmp_path: Path) -> None:
    """Blocks of dates would be written as they are in memory, not as the store says."""
    dates = xr.DataArray(labelled(4)["DATE-OBS"][1], dims="frame").chunk()
    texts = xr.DataArray(np.array(["", "b", "c", "d"]), dims="frame").chunk(frame=2)
    stack = xr.DataArray(PIXELS, dims=("frame", "y", "x"), coords={"d": dates, "t": texts}, name="data")
    xr.testing.assert_identical(opened(stack.ccd.to_zarr(tmp_path / "a.zarr")).data.compute(), stack.compute())
