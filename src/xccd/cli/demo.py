"""`xccd demo`: a simulated night, reduced and stacked."""

from __future__ import annotations

from pathlib import Path

import click

from xccd.cli.options import command
from xccd.cli.shell import NO_OUTPUT, say, stage


@command("xccd demo --folder my-night")
@click.option("--folder", default="xccd-demo", show_default=True, type=click.Path(path_type=Path),
              help="Folder to create; a number is added if it exists.")  # fmt: skip
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Another night for each number.")
def demo(folder: Path, seed: int) -> None:
    """Make a night of raw frames, reduce and stack it, and show what that did."""
    from xccd.demo import run_demo

    with stage(NO_OUTPUT, OSError):
        run_demo(folder, seed, say)
