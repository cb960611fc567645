"""Temporary files and folders with a known owner, so that those of dead processes can be removed.

The name holds the host. The process that made it holds a lock on the file (for a folder: on a file in it), which the
system releases when the process ends in any way. So a file that can be locked has no owner left.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is swept
    fcntl = None  # type: ignore[assignment]

HOST = re.sub(r"\W", "_", platform.node() or "host", flags=re.ASCII)[:40]
START, END = ".xccd-", ".part"  # of names beside a target
OWNER = "owner"  # the file in a folder that its owner locks
ASIDE = "aside"  # in a folder: holds the old store, which is put back if its place is empty
SCRATCH = "xccd-"  # of names in the system's folder for temporary files
_held: set[Path] = set()  # this process's names: on a network file system its own lock may not stop it
NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def new_name(folder: Path, start: str = START, end: str = END) -> Path:
    """An unused name in ``folder``, which this process does not sweep."""
    path = folder / f"{start}{HOST}-{secrets.token_hex(8)}{end}"
    _held.add(path)
    return path


def let_go(path: Path) -> None:
    """Note that a name is no longer in use."""
    _held.discard(path)


def lock(handle: int) -> bool:
    """Lock an open file until it is closed; False if another process has locked it or has removed it."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks, on which nobody sweeps
            return True
    return os.fstat(handle).st_nlink > 0


def new_folder(parent: Path, start: str = START, end: str = END) -> tuple[Path, int]:
    """A folder that only this user may enter, and the open handle of its lock."""
    while True:
        path = new_name(parent, start, end)
        os.mkdir(path, 0o700)
        try:
            handle = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:  # swept before it was locked
            continue
        except OSError:
            os.rmdir(path)
            raise
        if lock(handle):
            return path, handle
        os.close(handle)


def remove_folder(path: Path, handle: int) -> None:
    """Remove a folder of this process and release its lock."""
    if fcntl is None:  # Windows cannot remove an open file
        os.close(handle)
    shutil.rmtree(path, ignore_errors=True)
    let_go(path)
    if fcntl is not None:
        with suppress(OSError):
            os.close(handle)


def scratch_folder() -> tuple[Path, int]:
    """A new folder in the system's folder for temporary files, and the handle of its lock."""
    sweep_scratch()
    return new_folder(Path(tempfile.gettempdir()), SCRATCH, "")


def sweep_scratch() -> None:
    """Remove scratch folders of killed processes."""
    with suppress(OSError):
        sweep(Path(tempfile.gettempdir()), SCRATCH, "")


def sweep(folder: Path, start: str = START, end: str = END) -> None:
    """Remove from ``folder`` what killed processes of this host and user left there."""
    if fcntl is None:
        return
    start, found = f"{start}{HOST}-", []
    with suppress(OSError), os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.startswith(start) and entry.name.endswith(end)]
    for entry in found:
        if Path(entry.path) not in _held:
            with suppress(OSError):
                _sweep_one(Path(entry.path), entry.is_dir(follow_symlinks=False))


def _sweep_one(path: Path, is_folder: bool) -> None:
    """Remove a file or folder of this user if nobody has locked it; a store that was moved aside is put back first."""
    try:
        handle = os.open(path / OWNER if is_folder else path, os.O_RDWR | NO_LINK)
    except FileNotFoundError:
        os.rmdir(path)  # not locked yet: its owner makes another
        return
    try:
        if os.fstat(handle).st_uid == os.geteuid() and _is_free(handle):
            if not is_folder:
                os.unlink(path)
            elif _put_back(path):
                shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _is_free(handle: int) -> bool:
    """Lock a file; False if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _put_back(path: Path) -> bool:
    """Put back what was moved aside if its place is empty; False if that fails."""
    aside = path / ASIDE
    for name in os.listdir(aside) if aside.is_dir() else ():
        if not os.path.lexists(path.parent / name):
            try:
                os.rename(aside / name, path.parent / name)
            except OSError:
                return False
    return True
