"""The Parquet file in which `scan` keeps its table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.messages import shown
from xccd.read.files import temporary
from xccd.write.place import check_place, new_file, replacing, target_of

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = b"xccd scan"
VERSION = 1  # of the columns: a table of another version is made again


@dataclass(frozen=True)
class Cache:
    """The file of a table, or none, and what the table was asked for."""

    path: Path | None
    asked: tuple[str, ...]

    @classmethod
    def of(cls, path: str | os.PathLike[str] | None, asked: tuple[str, ...]) -> Cache:
        """From the argument ``cache``; raises if it cannot be used."""
        if path is None:
            return cls(None, asked)
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"cache={path!r} is not a path, as 'night.parquet'")
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "scan(cache=) needs pyarrow: pip install 'xccd[scan]' or conda install pyarrow"
            ) from error
        target = target_of(path)
        if target.is_dir():
            raise IsADirectoryError(f"cache={str(target)!r} is a folder: name a file in it, as 'night.parquet'")
        with _as_cache():
            check_place(target, overwrite=True)
        return cls(target, asked)

    def read(self) -> DataFrame | None:
        """The table that is kept; None if other things were asked for. Raises for another kind of file."""
        if self.path is None or not self.path.exists():
            return None
        from pyarrow import ArrowException, parquet

        try:
            table = parquet.read_table(self.path)
        except (ArrowException, OSError) as error:
            raise self._not_ours() from error
        told = (table.schema.metadata or {}).get(FORMAT)
        if told is None:
            raise self._not_ours()
        return table.to_pandas() if json.loads(told) == self._told() else None

    def write(self, frame: DataFrame) -> None:
        """Keep a table, whole or not at all."""
        if self.path is None:
            return
        from pyarrow import Table, parquet

        table = Table.from_pandas(frame, preserve_index=False)
        table = table.replace_schema_metadata({FORMAT: json.dumps(self._told())})
        temporary.sweep(self.path.parent)
        with (
            _as_cache(),
            replacing(self.path.resolve(), lambda folder: new_file(folder, True), lambda: table.nbytes) as output,
            output.failures.noted(),
        ):
            parquet.write_table(table, output.file)

    def _told(self) -> list[Any]:
        return [VERSION, *self.asked]

    def _not_ours(self) -> OSError:
        return FileExistsError(
            f"cache={str(self.path)!r}: {shown(self.path)} is no table that scan has written: name another file, or "
            "remove it"
        )


@contextmanager
def _as_cache() -> Iterator[None]:
    """Errors of writing, which say ``path=``, with the name of the argument."""
    try:
        yield
    except OSError as error:
        text = (error.strerror or str(error)).replace("path=", "cache=", 1)
        raise type(error)(*((text,) if error.errno is None else (error.errno, text))) from error
