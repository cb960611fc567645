"""`xccd demo`: a simulated night, reduced and stacked."""

from __future__ import annotations

from pathlib import Path

import click

from xccd.cli.options import command, json_option
from xccd.cli.shell import NO_OUTPUT, USAGE, Stop, answer, say, stage, visible


@command("xccd demo --folder my-night", "xccd demo --raw-only --folder raw --dither 4")
@click.option("--folder", default="xccd-demo", show_default=True, type=click.Path(path_type=Path),
              help="Folder to create; a number is added if it exists.")  # fmt: skip
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Another night for each number.")
@click.option("--raw-only", is_flag=True, help="Only make the raw frames, to try other commands on; FOLDER is new.")
@click.option("--dither", default=0.0, type=click.FloatRange(0, 100), metavar="PIXELS",
              help="With --raw-only: how far the lights are moved at most.")  # fmt: skip
@json_option
def demo(folder: Path, seed: int, raw_only: bool, dither: float) -> None:
    """Make, reduce and stack a simulated night."""
    if not raw_only:
        from xccd.demo import run_demo

        if dither:
            raise Stop(USAGE, "--dither has no effect without --raw-only")
        with stage(NO_OUTPUT, OSError):
            made = run_demo(folder, seed, say)
        answer({"folder": str(made), "files": named(made)})
        return
    import xccd

    with stage(NO_OUTPUT, OSError):
        made = xccd.simulate_night(folder, seed=seed, dither=dither)
    answer({"folder": str(made), "files": named(made)})
    say(f"{visible(made)}: {len(list(made.glob('*.fits')))} raw frames")


def named(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())
