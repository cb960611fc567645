"""`to_fits`: what is read back, the old file or the new one at any moment, and the caller's array untouched."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.write import place, stream

# dtype of the array, and of the image in the file
DTYPES = {
    "float32": ">f4", "float64": ">f8", ">f4": ">f4", ">f8": ">f8", "float16": ">f4", "bool": "uint8", "uint8": "uint8",
    "int8": ">i2", "int16": ">i2", ">i2": ">i2", "uint16": "uint16", "int32": ">i4", "uint32": "uint32", "int64": ">i8",
    "uint64": "uint64",
}  # fmt: skip
DIMS = {1: ("x",), 2: ("y", "x"), 3: ("frame", "y", "x"), 4: ("frame", "z", "y", "x")}
ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "dask": lambda a: da.from_array(a, chunks=2),
}


def image_of(array: Any) -> xr.DataArray:
    return xr.DataArray(array, dims=DIMS[array.ndim])


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    kind = np.dtype(dtype)
    values = np.arange(np.prod(shape)).reshape(shape) % 2 if kind.kind == "b" else np.random.default_rng(1).permutation(
        np.prod(shape)).reshape(shape)  # fmt: skip
    array = values.astype(kind)
    if kind.kind in "iu":
        array.flat[:2] = np.iinfo(kind).min, np.iinfo(kind).max
    elif kind.kind == "f":
        array.flat[:3] = np.nan, np.inf, -0.0
    return array


@pytest.mark.versions(order=("C", "dask"))
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_what_is_read(tmp_path: Path, dtype: str, order: str) -> None:
    array = numbers(dtype, (5, 7))
    given = ORDERS[order](array)
    before = np.asarray(given).tobytes()
    path = image_of(given).ccd.to_fits(tmp_path / "a.fits")
    found = fits.getdata(path)
    assert found.dtype == DTYPES[dtype]
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(xccd.open_stack(path, dtype="native").values[0], array)
    np.testing.assert_array_equal(np.signbit(found.astype("f8")), np.signbit(array.astype("f8")))
    assert np.asarray(given).tobytes() == before
    assert path.stat().st_size % 2880 == 0


@pytest.mark.versions
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(7,), (1, 1), (3, 5, 7), (2, 3, 5, 7)], ids=str)
def test_spectra_stacks_and_cubes(tmp_path: Path, shape: tuple[int, ...], order: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(stream, "PIECE_BYTES", 100)  # so that some rows are written at a time
    array = numbers("float32", shape)
    path = image_of(ORDERS[order](array)).ccd.to_fits(tmp_path / "a.fits")
    np.testing.assert_array_equal(fits.getdata(path), array)
    with fits.open(path) as hdus:
        assert not hdus.verify("exception")


@pytest.mark.versions
def test_a_stack_is_a_cube_with_the_cards_that_all_share(tmp_path: Path) -> None:
    frames = [(np.full((2, 3), i, "f4"), {"OBJECT": "M 51", "SEQ": i}) for i in range(3)]
    path = xccd.open_stack(frames).ccd.to_fits(tmp_path / "a.fits")
    assert fits.getdata(path).shape == (3, 2, 3)
    assert fits.getval(path, "OBJECT") == "M 51"
    assert "SEQ" not in fits.getheader(path)


def test_path_and_what_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image_of(np.eye(2)).ccd.to_fits("~/a.fits") == tmp_path / "a.fits"
    assert image_of(np.eye(2)).ccd.to_fits(str(tmp_path / ("n" * 250))).exists()  # as long a name as can be


@pytest.mark.versions
def test_cards_are_added_replaced_and_removed(tmp_path: Path) -> None:
    frame = xccd.open_stack(
        [(np.eye(2), {"OBJECT": "M 51", "SEQ": 1, "HIERARCH ESO X": 1, "GONE": 2, "COMMENT": "a"})]
    )[0]
    more = {"observer": "Renée", "SEQ": (7, "the seventh"), "GONE": None, "NEVER": None, "ESO X": 2,
            "A LONG NAME": True, "COMMENT": "b", "HISTORY": "by hand", "EMPTY": ""}  # fmt: skip
    header = fits.getheader(frame.ccd.to_fits(tmp_path / "a.fits", header=more))
    assert [header[k] for k in ("OBSERVER", "SEQ", "ESO X", "A LONG NAME", "EMPTY")] == ["Ren\\xe9e", 7, 2, True, ""]
    assert header.comments["SEQ"] == "the seventh"
    assert header["OBJECT"] == "M 51"
    assert not {"GONE", "NEVER"} & set(header)
    assert list(header["COMMENT"]) == ["a", "b"]
    assert list(header["HISTORY"]) == ["by hand"]
    assert fits.getheader(frame.ccd.to_fits(tmp_path / "b.fits", header=fits.Header({"SEQ": 8})))["SEQ"] == 8


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):
            path = image_of(np.eye(2)).ccd.to_fits(tmp_path / "a.fits", overwrite=True)
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    finally:
        os.umask(before)


def test_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.fits", tmp_path / "link.fits"
    image_of(np.zeros((2, 2))).ccd.to_fits(real)
    link.symlink_to(real)
    image_of(np.ones((2, 2))).ccd.to_fits(link, overwrite=True)
    assert link.is_symlink()
    assert fits.getdata(real).min() == 1


# The old file or the new one


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_nothing_is_replaced_unasked_even_if_it_comes_meanwhile(tmp_path: Path, links: bool, monkeypatch: Any) -> None:
    target = tmp_path / "a.fits"

    def meanwhile(block: Any) -> Any:
        target.write_bytes(b"another program's")
        return block

    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("not here")))
    image = image_of(da.from_array(np.eye(2)).map_blocks(meanwhile, dtype="f8", meta=np.empty((0, 0))))
    with pytest.raises(FileExistsError, match=r"a\.fits' is there already: overwrite=True"):
        image.ccd.to_fits(target)
    assert os.listdir(tmp_path) == ["a.fits"]
    assert target.read_bytes() == b"another program's"
    assert image.ccd.to_fits(target, overwrite=True) == target
    assert fits.getdata(target).sum() == 2


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "not here")))
    assert fits.getdata(image_of(np.eye(2)).ccd.to_fits(tmp_path / "a.fits")).sum() == 2
    assert os.listdir(tmp_path) == ["a.fits"]


@pytest.mark.versions
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("there", [False, True])
def test_an_error_while_computing_leaves_what_was(tmp_path: Path, error: type[BaseException], there: bool) -> None:
    target = tmp_path / "a.fits"
    if there:
        target.write_bytes(b"old")

    def fail(block: Any) -> Any:
        raise error("in the middle")

    image = image_of(da.zeros((4, 4)).map_blocks(fail, dtype="f8", meta=np.empty((0, 0))))
    with pytest.raises(error, match=r"^in the middle$"):
        image.ccd.to_fits(target, overwrite=True)
    assert os.listdir(tmp_path) == (["a.fits"] if there else [])
    assert not there or target.read_bytes() == b"old"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_file_and_leaves_what_was(tmp_path: Path, code: int, monkeypatch: Any) -> None:
    target = tmp_path / "a.fits"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(code, os.strerror(code))))
    with pytest.raises(OSError, match=rf"a\.fits' cannot be written: {os.strerror(code)}") as raised:
        image_of(np.eye(2)).ccd.to_fits(target, overwrite=True)
    assert raised.value.errno == code
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.fits"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_is_full_while_rows_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "open", lambda *_: Path("/dev/full").open("wb"), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match=r"a\.fits' cannot be written: No space left"):
        image_of(np.zeros((500, 500))).ccd.to_fits(tmp_path / "a.fits")


KILLED = """
import os, random, signal, sys, time
import numpy as np
import xarray as xr
from astropy.io import fits
import xccd
images = [xr.DataArray(np.full((300, 300), level, "f4"), dims=("y", "x")) for level in (1, 2)]
target = images[0].ccd.to_fits(sys.argv[1])
size = target.stat().st_size
for turn in range(30):
    writer = os.fork()
    while writer == 0:
        for image in images:
            image.ccd.to_fits(target, overwrite=True)
    time.sleep(random.uniform(0.002, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    data = fits.getdata(target, memmap=False)
    print(target.stat().st_size == size, data.min(), data.max())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    """30 kills of a process that writes over one file: it is the one or the other, complete."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "a.fits")],
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert len(lines) == 30
    assert set(lines) <= {"True 1.0 1.0", "True 2.0 2.0"}
