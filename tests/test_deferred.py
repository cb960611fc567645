"""Stacks without dask (chunks=None): nothing is read until values are used, and then band by band, the same bits."""

import copy
import pickle
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.compute import deferred
from xccd.compute.deferred import Deferred
from xccd.labels.lazy import array_of
from xccd.read.images.pixels import FilePixels

SHAPE = (12, 9)
FLIPS = version("xarray") >= "2026"  # those before lose a lazily indexed array of which a flip is taken
CARDS = {"EXPTIME": 10.0, "BUNIT": "adu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    frames = rng.normal(1000, 20, (7, *SHAPE))
    frames[2, 3:5] = 60000
    return [write(folder / f"{i}.fits", frame.astype("uint16"), CARDS) for i, frame in enumerate(frames)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    real = FilePixels.read
    monkeypatch.setattr(FilePixels, "read", lambda self, *a: seen.append(self.path) or real(self, *a))
    return seen


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "BAND_BYTES", 300)


def chain(stack: xr.DataArray | xr.Dataset) -> xr.DataArray | xr.Dataset:
    return stack.ccd.sigma_clip(1.5, 1.5, center="median").ccd.clip_extrema(1, 0).ccd.combine("mean", weights="EXPTIME")


@pytest.mark.versions
def test_nothing_is_read_before_values_are_used(files: list[Path], reads: list[str]) -> None:
    stack = xccd.open_stack(files, chunks=None)
    clipped = stack[1:, 2:, :5].ccd.sigma_clip(1.5, 1.5)
    images = [clipped.ccd.combine(method) for method in ("mean", "median", np.nanmax)]
    level = stack.ccd.normalize(scale=[1.0] * 7).ccd.sigma_clip(2, 1.5).ccd.combine("median")
    ds = xccd.open_dataset(files, chunks=None).ccd.minmax(max=5000).ccd.combine("mean")
    for obj in (stack, clipped, *images, level, ds):
        assert repr(obj)
        copy.copy(obj)
        copy.deepcopy(obj)
        pickle.loads(pickle.dumps(obj))
    assert stack.ccd.header(0)["EXPTIME"] == 10
    assert not reads
    assert isinstance(array_of(level), Deferred)


@pytest.mark.versions
def test_values_are_kept_once_they_were_used(files: list[Path], reads: list[str]) -> None:
    stack = xccd.open_stack(files, chunks=None)
    first = stack.values
    n = len(reads)
    assert n
    np.testing.assert_array_equal(stack.values, first)
    (stack + 1).load()
    assert stack.ccd.combine("max").values.max() == first.max()
    assert len(reads) == n


@pytest.mark.versions
def test_a_chain_reads_each_file_once(files: list[Path], reads: list[str]) -> None:
    with xccd.set_options(threads=1):
        chain(xccd.open_stack(files, chunks=None)).load()
        assert sorted(reads) == sorted(str(f) for f in files)
        reads.clear()
        chain(xccd.open_dataset(files, chunks=None)).ccd.to_fits(files[0].parent / "out.fits", overwrite=True)
        assert sorted(reads) == sorted(str(f) for f in files)  # for the image and its maps together


@pytest.mark.parametrize("key", [3, slice(2, 5), [5, 0], np.arange(7) % 3 == 0])
def test_of_chosen_frames_only_their_files_are_read(files: list[Path], reads: list[str], key: object) -> None:
    with xccd.set_options(threads=1):
        chosen = [str(f) for f in np.array(files, object)[np.atleast_1d(np.arange(7)[key])]]
        xccd.open_stack(files, chunks=None)[key].load()
        assert sorted(reads) == sorted(chosen)
        reads.clear()
        part = xccd.open_stack(files, chunks=None)[key]
        (part.ccd.minmax(max=5000) if part.ndim == 3 else part).load()
        assert sorted(reads) == sorted(chosen)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_selection_is_that_of_the_whole(files: list[Path], small_bands: None, data: st.DataObject) -> None:
    stack = xccd.open_stack(files, chunks=None)
    whole = stack.copy(data=xccd.open_stack(files).values)

    def keys(size: int) -> st.SearchStrategy:
        slices = st.slices(size).filter(lambda key: (key.step or 1) > 0 or FLIPS)
        return st.integers(-size, size - 1) | slices | st.lists(st.integers(0, size - 1), min_size=1, max_size=3)

    sizes = dict(stack.sizes)
    key = {d: data.draw(keys(n)) for d, n in sizes.items() if data.draw(st.booleans())}
    clipped, here = stack.ccd.clip_extrema(1, 2), whole.ccd.clip_extrema(1, 2)
    for lazy, other in ((stack, whole), (clipped, here)):
        part, expected = lazy.isel(key), other.isel(key)
        xr.testing.assert_identical(part.copy().load(), expected)
        if "frame" in part.dims and part.size:
            np.testing.assert_array_equal(part.ccd.combine("median"), expected.ccd.combine("median"))
    image, expected = clipped.ccd.combine("mean"), here.ccd.combine("mean")
    key.pop("frame", None)
    np.testing.assert_array_equal(image.isel(key), expected.isel(key))


@pytest.mark.versions
def test_by_points_and_by_masks(files: list[Path], small_bands: None) -> None:
    stack = xccd.open_stack(files, chunks=None)
    whole = xccd.open_stack(files).compute()
    points = {"y": xr.DataArray([1, 5, 5], dims="p"), "x": xr.DataArray([2, 0, 8], dims="p")}
    np.testing.assert_array_equal(stack.isel(points), whole.isel(points))
    np.testing.assert_array_equal(stack[stack.EXPTIME.values > 5].ccd.combine("sum"), whole.ccd.combine("sum"))
    np.testing.assert_array_equal(stack.transpose("y", "x", "frame").ccd.combine("sum"), whole.ccd.combine("sum"))
    np.testing.assert_array_equal(xr.concat([stack, stack], "frame").ccd.count(), 2 * whole.ccd.count())


@pytest.mark.versions
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("form", [xccd.open_stack, xccd.open_dataset])
def test_the_same_bits_as_dask_and_the_same_file(
    files: list[Path], tmp_path: Path, small_bands: None, threads: int, form: object
) -> None:
    with xccd.set_options(threads=threads):
        ours, dasks = (chain(form(files, chunks=chunks)) for chunks in (None, {"y": 5}))
        xr.testing.assert_identical(ours.copy().load(), dasks.compute())
        paths = [image.ccd.to_fits(tmp_path / f"{i}.fits") for i, image in enumerate((ours, dasks))]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_steps_between_and_functions(files: list[Path], small_bands: None) -> None:
    lazy, whole = xccd.open_stack(files, chunks=None), xccd.open_stack(files).compute()

    def both(function: object) -> None:
        np.testing.assert_array_equal(function(lazy), function(whole))

    both(lambda s: s.ccd.normalize("median").ccd.sigma_clip(1.5, 1.5).ccd.combine("median"))
    both(lambda s: (s.ccd.sigma_clip(1.5, 1.5) * 2.0).ccd.combine("mean"))
    both(lambda s: s.ccd.sigma_clip(1.5, 1.5, center=np.nanmedian).ccd.combine("mean"))
    both(lambda s: s.ccd.minmax(max=5000).ccd.combine("mean", weights=lambda frame: float(frame.std()) + 1))
    both(lambda s: s.ccd.combine("mean", weights=s / 2, scale=s * 0 + 2))
    both(lambda s: s.ccd.mask)
    both(lambda s: s.ccd.count())


def test_a_function_may_call_verbs_in_the_threads_that_run_it(files: list[Path], small_bands: None) -> None:
    """They find the pool busy with them, and must not wait for it."""

    def center(values: np.ndarray, axis: int) -> np.ndarray:
        stack = xr.DataArray(values, dims=("frame", "y", "x"))
        return stack.ccd.combine("median").values

    with xccd.set_options(threads=2):
        clipped = xccd.open_stack(files, chunks=None).ccd.sigma_clip(1.5, 1.5, center=center)
        by_name = xccd.open_stack(files).ccd.sigma_clip(1.5, 1.5, center="median")
        np.testing.assert_array_equal(clipped, by_name)


@pytest.mark.versions
def test_with_dask_beside_it(files: list[Path]) -> None:
    lazy, other = xccd.open_stack(files, chunks=None), xccd.open_stack(files)
    weights = (other * 0 + 2).rename("w")
    image = lazy.ccd.combine("mean", weights=weights)
    assert image.chunks is not None
    np.testing.assert_array_equal(image, other.ccd.combine("mean"))


def test_a_file_that_goes_is_named(files: list[Path], tmp_path: Path) -> None:
    own = [write(tmp_path / f"{i}.fits", np.ones(SHAPE, "f4")) for i in range(4)]
    image = xccd.open_stack(own, chunks=None).ccd.combine("mean")
    own[2].unlink()
    with pytest.raises(OSError, match=r"2\.fits is gone"):
        image.ccd.to_fits(tmp_path / "out.fits")
    with pytest.raises(OSError, match=r"2\.fits is gone"):
        image.load()
    assert not [p.name for p in tmp_path.iterdir() if "out" in p.name or "part" in p.name]


def test_a_limit_of_memory_makes_bands_small(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    array = array_of(xccd.open_stack(files, chunks=None))
    box = tuple(slice(0, n) for n in SHAPE)
    monkeypatch.setattr(deferred, "SCRATCH", 0)
    with xccd.set_options(threads=2, memory=2 * 4 * 7 * 9 * 4 * 3):  # three rows of four bands in two threads
        assert len(deferred._band_edges([array], box)) - 1 == 4
    with xccd.set_options(threads=2, memory=1):
        assert len(deferred._band_edges([array], box)) - 1 == 12


def test_neither_dask_nor_astropy_is_needed(files: list[Path], tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['dask'] = sys.modules['astropy'] = None  # no import of them succeeds\nimport xccd\n"
        f"stack = xccd.open_stack({[str(f) for f in files]!r}, chunks=None)\n"
        f"stack.ccd.sigma_clip(1.5, 1.5).ccd.combine('mean').ccd.to_fits({str(tmp_path / 'out.fits')!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    expected = xccd.open_stack(files).ccd.sigma_clip(1.5, 1.5).ccd.combine("mean")
    np.testing.assert_array_equal(xccd.open_image(tmp_path / "out.fits"), expected)


@pytest.mark.versions
@pytest.mark.parametrize("store", ["netcdf", "zarr"])
def test_it_goes_to_disk_as_any_array(files: list[Path], tmp_path: Path, store: str) -> None:
    clipped = xccd.open_stack(files, chunks=None).ccd.sigma_clip(1.5, 1.5).drop_vars("header")
    if store == "netcdf":
        clipped.to_netcdf(tmp_path / "a.nc")
        back = xr.open_dataarray(tmp_path / "a.nc")
    else:
        clipped.drop_vars(["file", "FILTER"], errors="ignore").to_zarr(tmp_path / "a.zarr", consolidated=False)
        back = xr.open_dataarray(tmp_path / "a.zarr", engine="zarr", consolidated=False)
    np.testing.assert_array_equal(back, clipped)
    back.close()
