"""`xccd calibrate`: raw frames less overscan, bias and dark, over the flat; a file for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xccd.cli.calibrate_frame import Frame, calibrated, opened_map, opened_masters, whole
from xccd.cli.lists import each_file
from xccd.cli.options import (
    command,
    dry_run_option,
    files_argument,
    hdu_option,
    json_option,
    limits,
    masters_option,
    memory_option,
    overwrite_option,
    skip_bad_option,
    threads_option,
)
from xccd.cli.output_names import Template, make_folders, places_of_frames
from xccd.cli.shell import NO_OUTPUT, USAGE, Stop, answer, say, stage, visible, voice
from xccd.cli.typed import how_made

NORMS = ("mean", "median", "cfa")
SECTION = re.compile(r"\[[^\]]*\]|[A-Z0-9_-]{1,8}")


def section(context: Any, parameter: Any, value: str | None) -> str | None:
    """A section of pixels, or a keyword that holds one; "" for the keywords that usually do."""
    if value and not SECTION.fullmatch(value):
        name = max(parameter.opts, key=len)
        raise click.BadParameter(f"{value!r} is neither a section '[x1:x2,y1:y2]' nor a keyword. To use {name} without "
                                 "a value, put another option, or nothing, behind it")  # fmt: skip
    return value


def number_or_keyword(_: Any, parameter: Any, value: str | None) -> Any:
    """A number, or a keyword that holds one."""
    from xccd.verbs.reject_text import value_of

    found = None if value is None else value_of(value)
    if isinstance(found, str) and not re.fullmatch(r"[A-Za-z0-9_-]{1,8}", found):
        raise click.BadParameter(f"{value!r} is neither a number nor a keyword")
    if found is not None and (isinstance(found, bool) or found != found):
        raise click.BadParameter(f"{value!r} is neither a number nor a keyword")
    return found


def level(_: Any, __: Any, value: str) -> Any:
    """The norm of a flat: a name, or a number."""
    from xccd.messages import did_you_mean
    from xccd.verbs.reject_text import value_of

    found = value_of(value)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return found
    if value not in NORMS:
        raise click.BadParameter(f"{value!r} is no number and none of {', '.join(NORMS)}{did_you_mean(value, NORMS)}")
    return value


@command(
    "xccd calibrate raw/light-*.fits -o cal/ --bias bias.fits --dark dark-120s.fits --flat flat-r.fits",
    "xccd calibrate raw/b27.fits.gz -o 'red/{file}.fits' --overscan='[2049:2080,1:350]' --trim='[1:2048,1:350]'",
    "xccd calibrate @lights.txt -o cal/ --bias masters/ --dark masters/ --flat masters/ --errors",
)
@files_argument()
@click.option("-o", "--output", required=True, type=click.Path(), metavar="FOLDER|TEMPLATE",
              help="Where the files go: a folder, or a name with {file} or keywords in braces.")  # fmt: skip
@hdu_option(every=False)
@click.option("--overscan", is_flag=False, flag_value="BIASSEC", metavar="[SECTION]", callback=section,
              help="Subtract the level of the overscan. Default of SECTION: the keyword BIASSEC.")  # fmt: skip
@click.option("--overscan-method", type=click.Choice(["median", "mean"]), default="median", show_default=True,
              help="The level of a row of the overscan.")  # fmt: skip
@click.option("--overscan-smooth", type=click.IntRange(0, 20), metavar="DEGREE",
              help="Fit a polynomial to the levels.")  # fmt: skip
@click.option("--overscan-window", type=click.IntRange(min=1), metavar="ROWS",
              help="Take the running median of the levels.")  # fmt: skip
@click.option("--trim", is_flag=False, flag_value="", metavar="[SECTION]", callback=section,
              help="Cut to SECTION. Default: the keyword TRIMSEC, or DATASEC.")  # fmt: skip
@click.option("--saturation", is_flag=False, flag_value="SATURATE", metavar="[LEVEL|KEYWORD]",
              callback=number_or_keyword,
              help="Raw samples at this level or above are missing. Default: the keyword SATURATE.")  # fmt: skip
@click.option(
    "--bad-pixels", metavar="MAP", type=click.Path(), help="FITS image; pixels where it is not 0 are missing."
)
@masters_option("bias", "Master bias; of several files the one that fits.")
@masters_option("dark", "Master dark; of several files the one of the nearest exposure time.")
@click.option("--dark-scale/--no-dark-scale", default=True, show_default=True,
              help="Scale the dark by the exposure time.")  # fmt: skip
@masters_option("flat", "Master flat; of several files the one of the filter.")
@click.option("--norm", default="mean", show_default=True, callback=level, metavar="mean|median|cfa|NUMBER",
              help="What a flat is divided by; cfa: the mean of each colour of a Bayer pattern.")  # fmt: skip
@click.option("--any-kind", is_flag=True, help="Take masters as they are given, whatever kind their headers name.")
@click.option("--electrons", is_flag=True, help="Multiply by the gain: counts become electrons.")
@click.option("--errors", is_flag=True, help="Make uncertainties from gain and read noise, and carry them on.")
@click.option("--gain", default="GAIN", show_default=True, metavar="KEYWORD|NUMBER", callback=number_or_keyword,
              help="Electrons per count, for --errors and --electrons.")  # fmt: skip
@click.option("--readnoise", default="RDNOISE", show_default=True, metavar="KEYWORD|NUMBER",
              callback=number_or_keyword, help="Electrons, for --errors.")  # fmt: skip
@click.option("--maps", is_flag=True, help="Keep missing samples, and say in an extension why they are missing.")
@skip_bad_option
@threads_option
@memory_option
@dry_run_option
@json_option
@overwrite_option
def calibrate(files: tuple[str, ...], output: str, **options: Any) -> None:
    """Calibrate raw frames, each to its own file.

    FILES are paths, folders, globs and @lists. The steps run in this order: --overscan, --trim, --bad-pixels, --bias,
    --errors, --dark, --flat, --electrons. All frames and masters are checked before the first file is written. Biases,
    darks and flats among FILES get the steps before their own.
    """
    check_options(options)
    options["maps"] |= options["errors"]
    template = Template(output)
    with limits(options["threads"], options["memory"]):
        names = whole(each_file(files), options) if options["skip_bad"] else each_file(files)
        masters, bad = opened_masters(options, options["maps"]), opened_map(options)
        frames = [calibrated(file, options, masters, bad) for file in names]
        inputs = [*names, *(f for k in ("bias", "dark", "flat") if options[k] for f in each_file(options[k]))]
        paths = places_of_frames(template, [f.labels for f in frames], names, inputs, options["overwrite"])
        if not options["dry_run"]:
            make_folders(paths)
        write_all(frames, paths, options)


def files_beside(options: dict[str, Any]) -> dict[str, list[str]]:
    """The files of masters and of the map of bad pixels, by their options."""
    found = {f"--{kind}": each_file(options[kind]) for kind in ("bias", "dark", "flat") if options[kind]}
    return found | ({"--bad-pixels": [options["bad_pixels"]]} if options["bad_pixels"] else {})


def check_options(options: dict[str, Any]) -> None:
    """Raise for options that have no effect with the others, and if nothing is to be done."""
    given = click.get_current_context().get_parameter_source
    needs = {
        "overscan_method": "overscan", "overscan_smooth": "overscan", "overscan_window": "overscan", "norm": "flat",
        "dark_scale": "dark", "readnoise": "errors",
    }  # fmt: skip
    idle = {name: f"--{needed}" for name, needed in needs.items() if options[needed] in (None, (), False)}
    if not (options["errors"] or options["electrons"]):
        idle["gain"] = "--errors or --electrons"
    for name, needed in idle.items():
        if given(name) is ParameterSource.COMMANDLINE:
            option = "no-dark-scale" if name == "dark_scale" and not options[name] else name.replace("_", "-")
            raise Stop(USAGE, f"--{option} has no effect without {needed}")
    if options["overscan_smooth"] is not None and options["overscan_window"] is not None:
        raise Stop(USAGE, "--overscan-smooth and --overscan-window: give one of them")
    steps = ("overscan", "trim", "saturation", "bad_pixels", "bias", "dark", "flat", "electrons", "errors")
    if all(options[name] in (None, (), False) for name in steps):
        raise Stop(USAGE, f"there is nothing to do: give one of --{', --'.join(steps).replace('_', '-')}")


def write_all(frames: list[Frame], paths: list[Path], options: dict[str, Any]) -> None:
    """Write the frames, each whole, and drop them; with --dry-run say what would be done."""
    done, beside = [], files_beside(options)
    for path in paths:
        frame = frames.pop(0)  # what was read for it is in memory until then
        text = ", ".join(step.removeprefix("--") for step in frame.steps) or "as it is"
        if options["dry_run"]:
            text = f"would be {frame.file}: {text}"
        else:
            with stage(NO_OUTPUT, OSError):
                image = frame.stack.isel(frame=0).assign_coords(how_made([frame.file], path, beside))
                image.ccd.to_fits(path, overwrite=options["overwrite"])
        say(f"{visible(path)}: {text}")
        done.append({"output": str(path), "file": frame.file, "kind": frame.kind, "steps": frame.steps})
    answer({"dry_run": options["dry_run"], "products": done})
    if not voice().json:
        say(f"{len(done)} file{'s' * (len(done) != 1)} {'would be ' * options['dry_run']}written")
