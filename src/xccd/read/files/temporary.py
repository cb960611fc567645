"""Names of temporary files and folders that tell whose they are, so that those of dead processes can be swept.

A name holds the host, and its owner holds a lock on the file (of a folder: on a file in it) until it ends, however it
ends. So what can be locked is nobody's.
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
except ImportError:  # Windows: nothing is swept there
    fcntl = None  # type: ignore[assignment]

HOST = re.sub(r"\W", "_", platform.node() or "host", flags=re.ASCII)[:40]
START, END = ".xccd-", ".part"  # of what lies beside a target
OWNER = "owner"  # in a folder: the file that its owner locks
ASIDE = "aside"  # in a folder: what was moved out of the way, and goes back if its place is still empty
SCRATCH = "xccd-"  # of what lies in the system's folder for temporary files
_held: set[Path] = set()  # by this process, whose own lock may not stop it on a network file system
NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def new_name(folder: Path, start: str = START, end: str = END) -> Path:
    """A name in ``folder`` that nothing has, and that this process does not sweep."""
    path = folder / f"{start}{HOST}-{secrets.token_hex(8)}{end}"
    _held.add(path)
    return path


def let_go(path: Path) -> None:
    """Note that a name is not of use any more."""
    _held.discard(path)


def lock(handle: int) -> bool:
    """Lock an open file until it is closed; False where another has it, or has swept it already."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: then nobody sweeps there
            return True
    return os.fstat(handle).st_nlink > 0


def new_folder(parent: Path, start: str = START, end: str = END) -> tuple[Path, int]:
    """A folder that only this user may enter, and the handle that holds it until it is closed."""
    while True:
        path = new_name(parent, start, end)
        os.mkdir(path, 0o700)
        try:
            handle = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:  # swept before it was held
            continue
        except OSError:
            os.rmdir(path)
            raise
        if lock(handle):
            return path, handle
        os.close(handle)


def remove_folder(path: Path, handle: int) -> None:
    """Remove a folder that is held, and let go of it."""
    if fcntl is None:  # where what is open cannot be removed
        os.close(handle)
    shutil.rmtree(path, ignore_errors=True)
    let_go(path)
    if fcntl is not None:
        with suppress(OSError):
            os.close(handle)


def scratch_folder() -> tuple[Path, int]:
    """A folder of this process in the system's place for temporary files."""
    sweep_scratch()
    return new_folder(Path(tempfile.gettempdir()), SCRATCH, "")


def sweep_scratch() -> None:
    """Remove the scratch folders of processes that were killed."""
    with suppress(OSError):
        sweep(Path(tempfile.gettempdir()), SCRATCH, "")


def sweep(folder: Path, start: str = START, end: str = END) -> None:
    """Remove what processes of this host and user left in ``folder`` when they were killed."""
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
    try:
        handle = os.open(path / OWNER if is_folder else path, os.O_RDWR | NO_LINK)
    except FileNotFoundError:
        os.rmdir(path)  # made, and not held yet: whose it is makes another
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
    """Whether nobody holds a file; it is held then."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _put_back(path: Path) -> bool:
    """Put what was moved aside back where its place is empty; False where that cannot be."""
    aside = path / ASIDE
    for name in os.listdir(aside) if aside.is_dir() else ():
        if not os.path.lexists(path.parent / name):
            try:
                os.rename(aside / name, path.parent / name)
            except OSError:
                return False
    return True
