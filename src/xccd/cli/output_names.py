"""Names of products."""

from __future__ import annotations

import re
from pathlib import Path

from xccd.cli.shell import USAGE, Stop

SUFFIXES = (".fits", ".fit", ".fts")  # of a product, or these with .fz


def check_output(output: Path) -> None:
    """Raise for a name that is not a FITS file's. `check_target` says what cannot be written there."""
    name = Path(output.stem) if output.suffix.lower() == ".fz" else output
    known = name.suffix.lower() in SUFFIXES or (name.suffix == "" and name is not output)
    if known or output.is_dir() or output.suffix.lower() in (".gz", ".bz2", ".xz"):
        return
    stem = output.stem if re.fullmatch(r"\.[A-Za-z]\w{0,4}", output.suffix) else output.name
    better = str(output.with_name(f"{stem}.fits"))
    raise Stop(USAGE, f"--output={str(output)!r} is not the name of a FITS file, write to {better!r}")
