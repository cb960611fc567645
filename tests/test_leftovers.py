"""Whatever ends a process: the old product or the new one is there, and what it left goes with the next run."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from fits_files import write
from xccd.read.files import temporary, unpack
from xccd.write import zarr

IMAGE = xr.DataArray(np.ones((2, 3), "f4"), dims=("y", "x"), name="data")

# Children that are killed just before, or just after, the n-th call of a function of the system; each line says by what
# it was ended, which image is there at once, and what lies there after the next write beside it, and after one more.
KILLED = """
import json, os, signal, sys
from pathlib import Path
import numpy as np, xarray as xr
import xccd
from xccd.write import zarr

image = xr.DataArray(np.ones((2, 3), "f4"), dims=("y", "x"), name="data")
def write(image, target):
    (image.ccd.to_fits if target.suffix == ".fits" else image.ccd.to_zarr)(target, overwrite=True)

def level(target):
    if not target.exists():
        return None
    opened = xccd.open_image if target.suffix == ".fits" else xr.open_dataarray
    return int(opened(target).max())

def child(owner, name, count, when, target):
    real, seen = getattr(owner, name), []
    def deadly(*args, **kwargs):
        seen.append(0)
        if when == "before" and len(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*args, **kwargs)
        if when == "after" and len(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(owner, name, deadly)
    write(image + 1, target)
    os._exit(0)

for owner, name, count, file, swaps in (
    (os, "fsync", 1, "a.fits", True), (os, "replace", 1, "a.fits", True), (os, "fsync", 1, "a.zarr", True),
    (zarr, "swap_names", 1, "a.zarr", True), (os, "rename", 1, "b.zarr", False), (os, "rename", 2, "b.zarr", False),
):
    for when in ("before", "after"):
        target = Path(sys.argv[1]) / file
        if not swaps:
            zarr.SWAPS.clear()
        write(image, target)
        pid = os.fork()
        if pid == 0:
            child(owner, name, count, when, target)
        _, status = os.waitpid(pid, 0)
        at_once = level(target)
        left = len(os.listdir(sys.argv[1]))
        image.ccd.to_fits(Path(sys.argv[1]) / "other.fits")
        found = [file, when, status, at_once, left, level(target), sorted(os.listdir(sys.argv[1]))]
        print(json.dumps(found), flush=True)
        for each in (target, target.with_name("other.fits")):
            os.rename(each, Path(sys.argv[2]) / f"{name}{count}{when}{each.name}")
"""


@pytest.mark.skipif(temporary.fcntl is None, reason="no locks here")
def test_a_kill_at_each_step(tmp_path: Path) -> None:
    """At once there is the old one or the new one, but where no two names can be swapped, and then after a write."""
    for name in ("here", "done"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "here"), str(tmp_path / "done")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout.splitlines()
    assert len(lines) == 12
    seen = set()
    for file, when, status, at_once, left, later, names in map(json.loads, lines):
        assert status == signal.SIGKILL
        assert at_once in ((1, 2, None) if file == "b.zarr" else (1, 2)), (file, when)
        assert left in (1, 2)
        assert later in (1, 2)
        assert names == sorted([file, "other.fits"])
        seen.add(at_once)
    assert seen == {1, 2, None}


def test_a_store_is_swapped_in_one_step(tmp_path: Path) -> None:
    """A reader that opens it again and again never finds it gone."""
    path = IMAGE.ccd.to_zarr(tmp_path / "a.zarr")
    if not zarr.swap_names(path, path):
        pytest.skip("this file system cannot swap")
    wrong: list[object] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            try:
                os.stat(path / "zarr.json")
            except OSError as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        IMAGE.ccd.to_zarr(path, overwrite=True)
    over.set()
    reader.join()
    assert wrong == []


@pytest.mark.parametrize("swaps", [True, False])
def test_a_store_is_replaced(tmp_path: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not swaps:
        monkeypatch.setattr(zarr, "swap_names", lambda *_: False)
    path = IMAGE.ccd.to_zarr(tmp_path / "a.zarr")
    (IMAGE + 1).ccd.to_zarr(path, overwrite=True)
    assert int(xr.open_dataarray(path, engine="zarr").max()) == 2
    assert os.listdir(tmp_path) == ["a.zarr"]
    if not swaps:
        real = os.rename
        monkeypatch.setattr(os, "rename", lambda a, b: fail(errno.EIO) if Path(a).name == "new" else real(a, b))
        with pytest.raises(OSError, match=r"a\.zarr' cannot be written: Input/output error"):
            IMAGE.ccd.to_zarr(path, overwrite=True)
        assert (int(xr.open_dataarray(path, engine="zarr").max()), os.listdir(tmp_path)) == (2, ["a.zarr"])


def fail(code: int) -> Any:
    raise OSError(code, os.strerror(code))


# What is swept, and what not

HOLDER = """
import os, sys, time
from pathlib import Path
from xccd.read.files import temporary
folder = Path(sys.argv[1])
name = temporary.new_name(folder)
file = open(name, "xb")
assert temporary.lock(file.fileno())
around, handle = temporary.new_folder(folder)
(around / "new").mkdir()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(temporary.fcntl is None, reason="no locks here")
def test_the_temporaries_of_the_living_and_of_other_hosts_stay(tmp_path: Path) -> None:
    others = [tmp_path / f".xccd-another_host-{'0' * 16}.part", tmp_path / ".xccd-note.part"]
    for other in others:
        other.write_bytes(b"")
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    here = {p.name for p in tmp_path.iterdir()}
    assert len(here) == 4
    IMAGE.ccd.to_fits(tmp_path / "a.fits")
    assert {p.name for p in tmp_path.iterdir()} == here | {"a.fits"}
    child.kill()
    child.communicate()
    IMAGE.ccd.to_zarr(tmp_path / "a.zarr")
    assert {p.name for p in tmp_path.iterdir()} == {*(p.name for p in others), "a.fits", "a.zarr"}


def test_a_write_does_not_sweep_another_of_its_own_process(tmp_path: Path) -> None:
    def block(values: Any) -> Any:
        IMAGE.ccd.to_fits(tmp_path / "inner.fits", overwrite=True)
        return values

    lazy = da.from_array(np.eye(2)).map_blocks(block, dtype=float, meta=np.empty((0, 0)))
    xr.DataArray(lazy, dims=("y", "x")).ccd.to_fits(tmp_path / "outer.fits")
    assert sorted(os.listdir(tmp_path)) == ["inner.fits", "outer.fits"]
    assert not [path for path in temporary._held if path.parent == tmp_path]


SCRATCH = """
import os, signal, sys, xccd
xccd.open_stack(sys.argv[1], chunks=None).load()
print(os.getpid(), flush=True)
os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.skipif(temporary.fcntl is None, reason="no locks here")
def test_scratch_folders_of_the_dead_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(unpack, "_folder", [])
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "a.fits", np.ones((2, 3), "f4")).read_bytes()))
    (tmp_path / "xccd-demo").mkdir()  # a folder of somebody's
    for code in (signal.SIGKILL, signal.SIGTERM):
        command = [sys.executable, "-c", SCRATCH, str(packed), str(int(code))]
        run = subprocess.run(command, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, check=False)
        assert run.returncode == -code
    assert len(list(tmp_path.glob("xccd-*"))) == 2 if code == signal.SIGKILL else 3  # the second run swept the first
    IMAGE.ccd.to_fits(tmp_path / "b.fits")
    assert [p.name for p in tmp_path.glob("xccd-*")] == ["xccd-demo"]
    xccd.open_stack(packed, chunks=None).load()
    (own,) = (p for p in tmp_path.glob("xccd-*") if p.name != "xccd-demo")
    temporary.sweep_scratch()
    assert own.is_dir()
    unpack._remove(own, -1, os.getpid())
    assert not own.exists()


# What errors of an output say


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize(
    ("verb", "call"), [("to_fits", "fsync"), ("to_fits", "replace"), ("to_zarr", "fsync"), ("to_zarr", "rename")]
)
def test_errors_name_the_target(tmp_path: Path, code: int, call: str, verb: str, monkeypatch: Any) -> None:
    target = getattr(IMAGE.ccd, verb)(tmp_path / "a")
    monkeypatch.setattr(zarr, "SWAPS", {})
    real = getattr(os, call)

    def once(*args: Any) -> Any:
        return fail(code) if call != "rename" or Path(args[0]).name == "new" else real(*args)

    monkeypatch.setattr(os, call, once)
    with pytest.raises(OSError, match=rf"a' cannot be written: {os.strerror(code)}") as raised:
        getattr((IMAGE + 1).ccd, verb)(target, overwrite=True)
    monkeypatch.undo()
    assert raised.value.errno == code
    assert os.listdir(tmp_path) == ["a"]
    notes = getattr(raised.value, "__notes__", [])
    full = code in (errno.ENOSPC, errno.EDQUOT)
    assert [n for n in notes if "bytes are needed, " in n and "are free, so there is a quota" in n] == notes[
        : int(full)
    ]
    assert (xr.open_dataarray(target, engine="zarr") if verb == "to_zarr" else xccd.open_image(target)).max() == 1


FULL = """
import resource, sys
import numpy as np, xarray as xr
import xccd, shutil
shutil.disk_usage = lambda _: shutil._ntuple_diskusage(10**6, 10**6, 300)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
image = xr.DataArray(np.ones((300, 300)), dims=("y", "x"), name="data")
try:
    getattr(image.ccd, sys.argv[2])(sys.argv[1], overwrite=True)
except OSError as error:
    print(error)
"""


def test_how_much_is_needed_and_free(tmp_path: Path) -> None:
    """Of a limit on the size of files, which is met while rows are written."""
    target = IMAGE.ccd.to_fits(tmp_path / "a.fits")
    before = target.read_bytes()
    command = [sys.executable, "-c", FULL, str(target), "to_fits"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"path={str(target)!r} cannot be written: File too large (722880 bytes are needed, 300 are free)" in said
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.fits"]


def test_an_error_of_a_reader_is_not_one_of_the_output(tmp_path: Path) -> None:
    lazy = da.from_array(np.eye(2)).map_blocks(lambda _: fail(errno.EIO), dtype=float, meta=np.empty((0, 0)))
    for verb in ("to_fits", "to_zarr"):
        with pytest.raises(OSError, match=r"^\[Errno 5\] Input/output error$"):
            getattr(xr.DataArray(lazy, dims=("y", "x")).ccd, verb)(tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """The product is there: that is no error."""
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda h: fail(errno.EIO) if os.path.isdir(f"/proc/self/fd/{h}") else real(h))
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    for verb in ("to_fits", "to_zarr"):
        assert getattr(IMAGE.ccd, verb)(tmp_path / verb).exists()
    assert f"the folder {tmp_path} cannot be synced to disk" in caplog.text


def test_a_tree_that_fails_half_way_says_what_is_there(tmp_path: Path) -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError("in the middle")

    lazy = da.from_array(np.eye(2)).map_blocks(broken, dtype=float, meta=np.empty((0, 0)))
    bad = xr.DataArray(lazy, dims=("y", "x"), name="data")
    nodes = {"a": IMAGE, "b": bad, "c": IMAGE}
    tree = xr.DataTree.from_dict({name: image.to_dataset() for name, image in nodes.items()})
    with pytest.raises(ZeroDivisionError) as raised:
        tree.ccd.to_fits(tmp_path)
    (note,) = raised.value.__notes__
    assert note == f"completely written: {tmp_path}/a.fits; not written: {tmp_path}/b.fits, {tmp_path}/c.fits"
    assert fits.getdata(tmp_path / "a.fits").sum() == 6
    assert os.listdir(tmp_path) == ["a.fits"]
