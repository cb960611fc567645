"""One run at a time in a folder of products; what killed runs left there is removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xccd.night.reduce.up_to_date import FOLDER
from xccd.read.files import temporary

LOCK = "lock"


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """A context in which no other run writes to the folder; raises OSError if one does."""
    own = output / FOLDER
    own.mkdir(exist_ok=True)
    handle = os.open(own / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not temporary.lock(handle):
            raise BlockingIOError(f"output={str(output)!r}: another run of xccd writes there: wait for its end")
        for folder in (output, output / "masters", own, own / "masters"):
            temporary.sweep(folder)
        yield
    finally:
        os.close(handle)
