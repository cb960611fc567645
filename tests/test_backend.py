"""The engine "xccd" of xarray: a file or a list, lazily, with dask or without."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write
from xccd.read.images.pixels import FilePixels

pytestmark = pytest.mark.versions


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    return [
        write(tmp_path / f"{i}.fits", rng.integers(90, 110, (400, 30)).astype("uint16"), {"EXPTIME": float(i)})
        for i in range(5)
    ]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    real = FilePixels.read
    monkeypatch.setattr(FilePixels, "read", lambda self, *a: seen.append(self.path) or real(self, *a))
    return seen


@pytest.mark.parametrize("chunks", [None, {}, {"y": 400}])
def test_it_is_open_dataset(files: list[Path], reads: list[str], chunks: object) -> None:
    ds = xr.open_dataset(files, engine="xccd", chunks=chunks)
    expected = xccd.open_dataset(files)
    assert not reads
    clipped = ds.ccd.clip_extrema(1, 1)
    images = [obj.ccd.combine("mean") for obj in (clipped, expected.ccd.clip_extrema(1, 1))]
    assert not reads
    xr.testing.assert_identical(images[0].compute(), images[1].compute())
    xr.testing.assert_identical(ds.compute(), expected.compute())
    assert (ds.chunks == {}) == (chunks is None)


def test_preferred_chunks_are_bands(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xccd.compute.bands.BAND_BYTES", 5 * 30 * 2 * 100)
    ds = xr.open_dataset(files, engine="xccd", chunks={})
    assert ds.chunks == {"frame": (5,), "y": (100,) * 4, "x": (30,)}


def test_one_file_is_known_by_its_name(files: list[Path]) -> None:
    ds = xr.open_dataset(files[0], mask_hdu=None, drop_variables="data_flags")
    assert list(ds.data_vars) == ["data"]
    assert ds.sizes == {"frame": 1, "y": 400, "x": 30}
    assert ds.data.ccd.header(0)["EXPTIME"] == 0.0


def test_it_does_not_claim_what_is_not_fits(tmp_path: Path) -> None:
    from xccd.read.backend import FITSEntrypoint

    guess = FITSEntrypoint().guess_can_open
    assert [guess(name) for name in ("a.fits", "b/c.FIT.gz", Path("d.fts"), "e.nc", "f.gz", 5, ["a.fits"])] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_its_errors_are_ours(files: list[Path]) -> None:
    with pytest.raises(OSError, match="has no hdu='SCI'"):
        xr.open_dataset(files, engine="xccd", hdu="SCI")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.fits does not exist"):
        xr.open_dataset(["nowhere.fits"], engine="xccd")


def test_it_has_the_options_of_open_dataset() -> None:
    from xccd.read.backend import FITSEntrypoint

    own = set(inspect.signature(FITSEntrypoint.open_dataset).parameters) - {"self", "filename_or_obj", "drop_variables"}
    assert own == set(inspect.signature(xccd.open_dataset).parameters) - {"files", "chunks", "memory"}


def test_companion_files(files: list[Path], tmp_path: Path) -> None:
    for i, image in enumerate(files):
        write(tmp_path / f"{image.stem}-wht.fits", np.full((400, 30), float(i)), {})
    asked = {"weights": {".fits": "-wht.fits"}}
    xr.testing.assert_identical(
        xr.open_dataset(files, engine="xccd", **asked).compute(), xccd.open_dataset(files, **asked).compute()
    )
