"""Files behind URLs: by ranges over HTTP, from memory, in chains; what goes wrong on the way."""

import bz2
import os
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pytest
from astropy.io import fits

import xccd
from fits_files import write
from remote_files import server

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 60000, (3, 300, 400)).astype("u2")  # 240 kB a file
ROW = 800


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, image in zip((2, 10, 1), PIXELS, strict=True):
        write(tmp_path / f"flat-{n}.fits", image, {"EXPTIME": float(n), "FILTER": "r"})
    return tmp_path


@pytest.fixture
def http(folder: Path) -> Iterator[Any]:
    with server(folder) as made:
        yield made


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    fs = fsspec.filesystem("memory")
    fs.put(f"{folder}/", "/night/", recursive=True)
    yield "memory://night"
    fs.rm("/night", recursive=True)


@pytest.mark.versions
@pytest.mark.parametrize("source", ["{}/flat-*.fits", "{}/"])
def test_globs_and_folders_over_http(http: Any, source: str) -> None:
    stack = xccd.open_stack(source.format(http.url))
    assert stack.EXPTIME.values.tolist() == [1, 2, 10]
    assert stack.file.values.tolist() == [f"{http.url}/flat-{n}.fits" for n in (1, 2, 10)]
    np.testing.assert_array_equal(stack.values, PIXELS[[2, 0, 1]])


@pytest.mark.versions
@pytest.mark.parametrize("source", ["{}/flat-*.fits", "{}", "{}/", "{}/flat-[12]*.fits", "{}/flat-?*.fits"])
def test_globs_and_folders_in_memory(memory: str, source: str) -> None:
    stack = xccd.open_stack(source.format(memory))
    assert [name.rsplit("/", 1)[1] for name in stack.file.values] == [f"flat-{n}.fits" for n in (1, 2, 10)]
    np.testing.assert_array_equal(stack.values, PIXELS[[2, 0, 1]])


def test_only_rows_that_are_asked_for_are_sent(http: Any) -> None:
    stack = xccd.open_stack([f"{http.url}/flat-{n}.fits" for n in (2, 10, 1)])
    assert sum(count for *_, count in http.given) == 3 * 57600  # the start of each, for its header
    http.given.clear()
    np.testing.assert_array_equal(stack[1:, 100:110, 7:9].values, PIXELS[1:, 100:110, 7:9])
    start = 2880 + 100 * ROW
    assert sorted(http.given) == [("flat-1.fits", start, 10 * ROW), ("flat-10.fits", start, 10 * ROW)]


def test_an_extension_is_found_without_the_data_before_it(folder: Path, http: Any) -> None:
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(image, name="SCI", ver=i) for i, image in enumerate(PIXELS, 1))]
    fits.HDUList(hdus).writeto(folder / "many.fits")
    stack = xccd.open_stack(f"{http.url}/many.fits", hdu=("SCI", 3), mask_hdu=None)
    np.testing.assert_array_equal(stack[0, 5].values, PIXELS[2, 5])
    assert sum(count for *_, count in http.given) <= 3 * 57600 + ROW


@pytest.mark.versions
@pytest.mark.parametrize("chunks", ["auto", None, {"y": 70}])
def test_as_the_file_itself(folder: Path, http: Any, chunks: Any) -> None:
    local = xccd.open_stack(folder, chunks=chunks)
    far = xccd.open_stack(f"{http.url}/*.fits", chunks=chunks)
    here = local.ccd.sigma_clip(1, 1).ccd.combine("mean")
    np.testing.assert_array_equal(far.ccd.sigma_clip(1, 1).ccd.combine("mean").values, here.values)
    assert far.header.values.tolist() == local.header.values.tolist()
    product = far.ccd.combine().ccd.to_fits(folder / "out.fits")
    assert fits.getval(product, "IMCMB003") == "flat-10.fits"
    tree = xccd.open_tree(f"{http.url}/flat-*.fits", by="FILTER", chunks=chunks)
    np.testing.assert_array_equal(tree["r/data"].values, local.values)
    image = xccd.open_image(f"{http.url}/flat-2.fits", chunks=chunks)
    np.testing.assert_array_equal(image.values, PIXELS[0])
    np.testing.assert_array_equal(xccd.open_dataset(f"{http.url}/flat-2.fits").data.values[0], PIXELS[0])


def test_tiles_of_a_band(folder: Path, http: Any) -> None:
    image = RNG.normal(1000, 9, (600, 400)).astype("f4")
    tiles = fits.CompImageHDU(image, compression_type="RICE_1", quantize_level=16, quantize_method=1)
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(folder / "a.fits.fz")
    stack = xccd.open_stack(f"{http.url}/a.fits.fz", mask_hdu=None)
    http.given.clear()
    whole = fits.getdata(folder / "a.fits.fz")
    np.testing.assert_array_equal(stack[0, 200:210].values, whole[200:210])
    assert sum(count for *_, count in http.given) < os.path.getsize(folder / "a.fits.fz") / 20


@pytest.mark.parametrize(
    "options", [{"ranges": False}, {"lengths": False}, {"ranges": False, "lengths": False}], ids=str
)
def test_a_server_without_ranges_or_lengths_is_asked_once(folder: Path, options: dict[str, bool]) -> None:
    with server(folder, **options) as http:
        stack = xccd.open_stack(f"{http.url}/flat-2.fits", chunks={"y": 10})
        http.given.clear()
        np.testing.assert_array_equal(stack.values[0], PIXELS[0])
        np.testing.assert_array_equal(stack[0, 3].values, PIXELS[0, 3])
        assert http.given == []  # it was copied when its header was read


def test_a_server_that_stops_to_heed_ranges(http: Any) -> None:
    stack = xccd.open_stack(f"{http.url}/flat-2.fits")
    http.ranges = False
    np.testing.assert_array_equal(stack[0, 30:40].values, PIXELS[0, 30:40])


def test_packed_files_are_copied_once(folder: Path, http: Any) -> None:
    (folder / "a.fits.bz2").write_bytes(bz2.compress((folder / "flat-2.fits").read_bytes()))
    stack = xccd.open_stack(f"{http.url}/a.fits.bz2", chunks={"y": 50})
    size = os.path.getsize(folder / "a.fits.bz2")
    np.testing.assert_array_equal(stack.values[0], PIXELS[0])
    assert sum(count for *_, count in http.given) <= size + 57600


def test_frames_of_a_band_are_asked_for_together(http: Any) -> None:
    http.delay = 0.1  # s for each answer, of which a frame takes two
    before = time.perf_counter()
    stack = xccd.open_stack([f"{http.url}/flat-2.fits"] * 16)
    assert (stack[:, 0, 0].values == PIXELS[0, 0, 0]).all()
    assert time.perf_counter() - before < 3.2  # half of what they take one after the other


@pytest.mark.versions
def test_a_value_that_can_be_sent(http: Any) -> None:
    url = f"{http.url}/flat-2.fits"
    stacks = [xccd.open_stack(url) for _ in range(2)]
    assert stacks[0].data.name == stacks[1].data.name
    sent = pickle.dumps(stacks[0])
    assert len(sent) < 20_000  # no pixels
    np.testing.assert_array_equal(pickle.loads(sent).values[0], PIXELS[0])
    with dask.config.set(scheduler="processes", num_workers=1):
        np.testing.assert_array_equal(stacks[0].values[0], PIXELS[0])


@pytest.mark.versions
def test_chains_and_options(folder: Path, http: Any, memory: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = str(tmp_path_factory.mktemp("cache"))
    with fsspec.open(f"simplecache::{http.url}/flat-2.fits", simplecache={"cache_storage": cache}) as file:
        assert file.read(6) == b"SIMPLE"
    for source in (
        f"simplecache::{http.url}/flat-2.fits",
        f"file://{folder}/flat-2.fits",
        fsspec.open(f"{memory}/flat-2.fits"),
        [fsspec.open(f"{http.url}/flat-2.fits"), str(folder / "flat-2.fits")],
    ):
        np.testing.assert_array_equal(xccd.open_stack(source).values[0], PIXELS[0])
    files = xccd.open_stack(f"file://{folder}/flat-*.fits").file.values.tolist()
    assert files == [str(folder / f"flat-{n}.fits") for n in (1, 2, 10)]


def test_changed_or_gone(folder: Path, http: Any) -> None:
    url = f"{http.url}/flat-2.fits"
    stack = xccd.open_stack(url)
    stamp = os.stat(folder / "flat-2.fits").st_mtime_ns
    os.utime(folder / "flat-2.fits", ns=(stamp, stamp + 10**9))
    with pytest.raises(OSError, match=r"http://.*/flat-2\.fits has changed since it was opened: open the stack again"):
        stack.load()
    (folder / "flat-2.fits").unlink()
    with pytest.raises(FileNotFoundError, match=r"flat-2\.fits is not there, or its server does not answer"):
        xccd.open_stack(url)
    with pytest.raises(FileNotFoundError, match=r"flat-2\.fits is not there"):
        stack.load()


def test_what_goes_wrong(folder: Path, http: Any, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file matches 'memory://night/x\*'"):
        xccd.open_stack(f"{memory}/x*")
    fsspec.filesystem("memory").makedirs("/night/empty")
    with pytest.raises(FileNotFoundError, match="the folder memory://night/empty holds no FITS file"):
        xccd.open_stack(f"{memory}/empty")
    (folder / "empty.fits").touch()
    with pytest.raises(OSError, match=r"http://.*/empty\.fits is empty, not a FITS file"):
        xccd.open_stack(f"{http.url}/empty.fits")
    (folder / "text.fits").write_text("no image")
    with pytest.raises(OSError, match=r"http://.*/text\.fits is not a FITS file"):
        xccd.open_stack(f"{http.url}/text.fits")
    whole = (folder / "flat-1.fits").read_bytes()
    (folder / "cut.fits").write_bytes(whole[:100_000])
    with pytest.raises(OSError, match=r"http://.*/cut\.fits is truncated: HDU 0 needs 240000 bytes"):
        xccd.open_stack(f"{http.url}/cut.fits")
    with pytest.raises(OSError, match="rsync7://a cannot be opened: Protocol not known: rsync7"):
        xccd.open_stack("rsync7://a")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"memory://night: .* \(pip install 'xccd\[remote\]'"):
        xccd.open_stack(memory)
