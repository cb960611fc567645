"""Files that change, fail or end while they are read: old pixels or an error with the file's name, never a mixture."""

import bz2
import errno
import gzip
import lzma
import os
import pickle
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from astropy.io import fits

import xccd
from fits_files import head, line, padded, raw, structure, write
from xccd.read.files import local, unpack

PIXELS = np.arange(600, dtype="i2").reshape(20, 30)


def in_place(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(content)


def by_rename(path: Path, content: bytes) -> None:
    path.with_name("new").write_bytes(content)
    os.replace(path.with_name("new"), path)


@pytest.mark.parametrize("change", [in_place, by_rename])
@pytest.mark.parametrize("pack", [None, gzip, bz2], ids=lambda m: getattr(m, "__name__", "plain"))
@pytest.mark.parametrize("sent", [False, True])
def test_same_size_and_time_do_not_hide_a_change(
    tmp_path: Path, change: Callable[[Path, bytes], None], pack: Any, sent: bool
) -> None:
    path = write(tmp_path / "a.fits", PIXELS)
    content = path.read_bytes()
    path.write_bytes(pack.compress(content) if pack else content)
    stack = xccd.open_stack(path, chunks={"y": 5})
    stack = pickle.loads(pickle.dumps(stack)) if sent else stack  # to another process of this machine
    before = path.stat()
    other = bytearray(path.read_bytes())
    other[len(other) // 2] ^= 1
    change(path, other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(OSError, match=r"a\.fits has changed since it was opened: open the stack again"):
        stack.load()


def test_a_change_while_pixels_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.fits", PIXELS)
    stack, real = xccd.open_stack(path), local.read_into

    def slow(view: memoryview, file: Any, start: int, name: str) -> None:
        real(view[:100], file, start, name)
        in_place(path, path.read_bytes()[:2880] + bytes(4000))
        real(view[100:], file, start + 100, name)

    monkeypatch.setattr(local, "read_into", slow)
    with pytest.raises(OSError, match=r"a\.fits has changed since it was opened"):
        stack.load()


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_a_change_while_a_file_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(pack.compress(write(tmp_path / "b.fits", PIXELS).read_bytes()))
    stack, real = xccd.open_stack(path), unpack.unpack

    def slow(*arguments: Any) -> None:
        real(*arguments)
        path.touch()

    monkeypatch.setattr(unpack, "unpack", slow)
    with pytest.raises(OSError, match=r"a\.fits has changed since it was opened"):
        stack.load()


def test_another_machine_has_other_numbers_of_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.fits", PIXELS)
    stack, before = xccd.open_stack(path), path.stat()
    by_rename(path, path.read_bytes())  # as seen through another mount: another inode
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(OSError, match="has changed"):
        stack.compute()
    monkeypatch.setattr(platform, "node", lambda: "another")
    np.testing.assert_array_equal(stack.compute().values[0], PIXELS)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(OSError, match="has changed"):
        stack.compute()


# The disk fails


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EINTR, errno.ENOMEM])
@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_what_the_system_says_has_the_name_of_the_file(tmp_path: Path, number: int, name: str) -> None:
    path = write(tmp_path / name, PIXELS)
    stack = xccd.open_stack(path)
    failing = mock.Mock(side_effect=OSError(number, os.strerror(number)))
    with (
        mock.patch.object(local, "read_into", failing),
        pytest.raises(OSError, match=f"{name} cannot be read: ") as raised,
    ):
        stack.compute()
    assert raised.value.errno == number
    with (
        mock.patch.dict(local.OPENERS, {"": lambda *_: Broken(number, path)}),
        pytest.raises(OSError, match=f"{name} cannot be read: ") as raised,
    ):
        xccd.open_stack(path)
    assert raised.value.errno == number


def test_a_full_disk_while_a_file_is_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits.gz", PIXELS)
    stack = xccd.open_stack(path)
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with (
        mock.patch.object(unpack, "open", full, create=True),
        pytest.raises(OSError, match=r"a\.fits\.gz cannot be unpacked: No space left on device") as raised,
    ):
        stack.load()
    assert raised.value.errno == errno.ENOSPC
    np.testing.assert_array_equal(stack.values[0], PIXELS)


class Broken:
    """A file whose first bytes cannot be read."""

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.file = number, open(path, "rb")  # noqa: SIM115

    def fileno(self) -> int:
        return self.file.fileno()

    def read(self, count: int) -> bytes:
        self.file.close()
        raise OSError(self.number, os.strerror(self.number))


# The file ends too early


def mef(path: Path, *more: str, extend: str = "T") -> list[int]:
    """SCI, MASK and UNCERT, and where each of the HDUs begins."""
    content, starts = head([*structure(8), line("EXTEND", extend), *more]), []
    for name, dtype in (("SCI", "i2"), ("MASK", "u1"), ("UNCERT", "f4")):
        first = structure({"i2": 16, "u1": 8, "f4": -32}[dtype], 30, 20, first="XTENSION= 'IMAGE   '")
        starts.append(len(content))
        content += head([*first, line("PCOUNT", 0), line("GCOUNT", 1), line("EXTNAME", f"'{name}'")])
        content += padded(np.ones((20, 30), f">{dtype}").tobytes())
    path.write_bytes(content)
    return starts


LOST = r"a\.fits ends within the last block of HDU 1: it was cut, and what came after it is lost"


@pytest.mark.parametrize("left", [1, 1000, 1679])  # of the 1680 bytes of padding
@pytest.mark.parametrize("opener", [xccd.open_stack, xccd.open_dataset])
@pytest.mark.parametrize("pack", [None, gzip])
def test_extensions_that_are_cut_off_are_missed(tmp_path: Path, left: int, opener: Any, pack: Any) -> None:
    path = tmp_path / "a.fits"
    start = mef(path)[0]
    content = path.read_bytes()[: start + 2880 + 1200 + left]
    path.write_bytes(pack.compress(content) if pack else content)
    with pytest.warns(UserWarning, match=LOST):
        opener(path)
    assert xccd.open_stack(path, mask_hdu=None).shape == (1, 20, 30)  # no mask is looked for, nothing is missed


def test_a_cut_in_the_last_extension(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    start = mef(path)[2]
    path.write_bytes(path.read_bytes()[: start + 3000])
    with pytest.warns(UserWarning, match=r"a\.fits ends within the data of HDU 3: it was cut"):
        assert xccd.open_stack(path).isnull().all()  # the mask is there
    with pytest.raises(OSError, match="is truncated: HDU 3 needs"), pytest.warns(UserWarning, match="of HDU 3"):
        xccd.open_dataset(path)


def test_a_cut_between_hdus_is_seen_where_their_number_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    start = mef(path, line("NEXTEND", 3))[1]
    assert xccd.open_stack(path).isnull().all()
    path.write_bytes(path.read_bytes()[:start])
    with pytest.warns(UserWarning, match=r"a\.fits announces 3 extensions \(NEXTEND\) and has 1: it may have been cut"):
        xccd.open_stack(path)


def test_what_is_whole_is_not_said_to_be_cut(tmp_path: Path) -> None:
    path = raw(tmp_path / "a.fits", PIXELS)  # no extension is meant to be there
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], PIXELS)
    mef(path)
    assert xccd.open_stack(path).isnull().all()
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(PIXELS, name="ccd3")]  # one chip of four
    hdus[0].header["NEXTEND"] = 4
    fits.HDUList(hdus).writeto(path, overwrite=True)
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], PIXELS)


# Packed files


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_only_what_is_of_use_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any) -> None:
    made: list[int] = []
    real = unpack.unpack

    def counted(packed: Any, packing: str, target: Path, *rest: Any) -> None:
        real(packed, packing, target, *rest)
        made.append(target.stat().st_size)

    monkeypatch.setattr(unpack, "unpack", counted)
    plain = raw(tmp_path / "b.fits", PIXELS, line("EXTEND", "T")).read_bytes()
    path = tmp_path / "a.fits"
    path.write_bytes(pack.compress(plain + bytes(4 << 20)))
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], PIXELS)
    assert made == [2880 + 1200]
    mef(path)
    path.write_bytes(pack.compress(path.read_bytes() + bytes(4 << 20)))
    ds = xccd.open_dataset(path).load()
    assert (ds.data_flags == 1).all()
    assert (ds.data_uncertainty == 1).all()
    assert made[1:] == [2880 + 3 * 2880 + 2 * 2880 + 2400]  # once for all three


def test_a_damaged_tail_does_not_matter(tmp_path: Path) -> None:
    content = gzip.compress(raw(tmp_path / "b.fits", PIXELS, line("EXTEND", "F")).read_bytes())
    (tmp_path / "a.fits").write_bytes(content + b"junk")
    np.testing.assert_array_equal(xccd.open_stack(tmp_path / "a.fits").values[0], PIXELS)


def test_a_file_may_be_called_as_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("~n.fits"), PIXELS)
    for given in ("~n.fits", Path("~n.fits"), ["~n.fits"], "~n.fit[s]"):
        stack = xccd.open_stack(given)
    assert stack.ccd.combine().ccd.to_fits("~m.fits").name == "~m.fits"
    with pytest.raises(FileNotFoundError, match=r"~x\.fits does not exist: check the path"):
        xccd.open_stack("~x.fits")
