"""`xccd preview`: a montage of frames as a picture, or what it will show as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from xccd.cli.lists import named_files
from xccd.cli.options import command, files_argument, hdu_option, json_option, overwrite_option
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, USAGE, Stop, answer, stage, visible
from xccd.cli.stats import number, scanned

HEADINGS = ("frame", "size", "black", "white", "median", "min", "max", "read%")
MOVING = (".gif", ".mp4")
STILL = ("original", "wcs")  # options of a montage alone
SPELLED = {"n": "-n", "keys": "--key"}
OF_PICTURE = (*STILL, "n", "each", "keys", "overwrite")  # options that need an output


@command("xccd preview night/light-*.fits", "xccd preview night/light-*.fits -o lights.png",
         "xccd preview cal/light-*.fits --original raw/light-*.fits -o calibrated.png",
         "xccd preview night/light-*.fits -o lights.gif")  # fmt: skip
@files_argument()
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture to draw: .png, .jpg, .pdf or .svg; .gif or .mp4 shows one frame after the other.",
)
@click.option(
    "--original",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    callback=named_files,
    help="The same frames before, shown beside them in their stretch: as many files, or one for all.",
)
@click.option(
    "-n",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most frames to show. Default: 12, and 50 one after the other.",
)
@click.option("--each", is_flag=True, help="Limits of grey for each frame. Default: the same for all.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEYWORD", help="A keyword for the titles; may be given several times."
)
@click.option("--wcs", is_flag=True, help="Label the axes by the WCS.")
@overwrite_option
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@json_option
def preview(files: tuple[str, ...], output: Path | None, hdu: Any, **asked: Any) -> None:
    """Print for each frame of FILES its size, the limits of grey (zscale), and a median; or draw the frames.

    FILES are files, folders, globs and @lists.
    Without -o, 64 rows of each image are read, so the numbers are rough: `xccd stats` has exact ones. With -o all
    frames must have one shape. A file that cannot be read has a line, or a panel, with its problem; then the exit code
    is 3.
    """
    from xccd.night.look.quick_look import quick_looks

    if output is not None:
        bad, count = _draw(files, output, hdu, asked)
    else:
        for name in OF_PICTURE:
            if asked[name]:
                raise Stop(USAGE, f"{SPELLED.get(name, f'--{name}')} has no effect without -o")
        rows = quick_looks(scanned(files, hdu))
        answer(rows, "\n".join(_lines(rows)))
        bad, count = sum(bool(row["problem"]) for row in rows), len(rows)
    if bad:
        raise Stop(BAD_INPUT, f"{bad} of {count} files cannot be read, see their problem")


def _draw(files: tuple[str, ...], output: Path, hdu: Any, asked: Mapping[str, Any]) -> tuple[int, int]:
    """Draw the frames; returns how many could not be read, and how many there are."""
    from xccd.pictures.blink import blink
    from xccd.pictures.preview import preview as montage
    from xccd.pictures.save import FORMATS, save_figure
    from xccd.write.place import check_place

    moving = output.suffix.lower() in MOVING
    if not moving and output.suffix.lower() not in FORMATS:
        raise Stop(USAGE, f"-o {str(output)!r} ends in none of {', '.join((*FORMATS, *MOVING))}")
    for name in STILL:
        if moving and asked[name]:
            raise Stop(USAGE, f"--{name} has no effect on {output.suffix.lower()}: give a .png")
    with stage(NO_OUTPUT, OSError):
        check_place(output, asked["overwrite"])
    frames = _opened(files, hdu)
    options: dict[str, Any] = {"stretch": "each" if asked["each"] else "same", "keys": asked["keys"] or None}
    options |= {"n": asked["n"]} if asked["n"] else {}
    before = None
    if asked["original"]:
        before = _opened(asked["original"], hdu)
        before = before.isel(frame=0) if before.sizes["frame"] == 1 else before
    with stage(BAD_INPUT, ValueError, TypeError), stage(USAGE, ImportError), stage(NO_OUTPUT, OSError):
        if moving:
            blink(frames, output, overwrite=asked["overwrite"], **options)
        else:
            figure: Any = montage(frames, before, wcs=asked["wcs"], **options)
            save_figure(figure, output, overwrite=asked["overwrite"])
    count = frames.sizes["frame"]
    bad = sum(bool(text) for text in frames.coords["problem"].values.tolist()) if "problem" in frames.coords else 0
    answer({"picture": str(output), "frames": count}, f"{visible(output)}: {count} frame{'s' * (count != 1)}")
    return bad, count


def _opened(files: tuple[str, ...], hdu: Any) -> Any:
    """The frames of files, NaN where one cannot be read."""
    from xccd.read.stack import open_stack

    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        return open_stack(list(files), hdu=hdu, chunks=None, errors="nan")


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    cells = [[*HEADINGS], *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ends = ["", *(f"  ! {visible(row['problem'])}" if row["problem"] else "" for row in rows)]
    lines = []
    for (first, *rest), end in zip(cells, ends, strict=True):
        texts = [first.ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(rest, widths[1:], strict=True))]
        lines.append(("  ".join(texts) + end).rstrip())
    return lines


def _cells(row: Mapping[str, Any]) -> list[str]:
    size = "x".join(map(str, row.get("shape", ())))
    share = f"{100 * row['read']:.0f}" if "read" in row else ""
    return [visible(row["name"]), size, *(number(row.get(k)) for k in ("low", "high", "median", "min", "max")), share]
