"""`xccd combine`: clip and combine FITS files into one image, or one for each group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xccd.cli.combine_group import Group, combine_group
from xccd.cli.options import (
    command,
    dry_run_option,
    files_argument,
    hdu_option,
    json_option,
    limits,
    memory_option,
    overwrite_option,
    progress_option,
    skip_bad_option,
    threads_option,
)
from xccd.cli.output_names import (
    Template,
    check_distinct,
    check_known,
    check_places,
    is_folder,
    make_folders,
    one_value,
    stem_of,
)
from xccd.cli.shell import BAD_INPUT, RUN_FAILED, USAGE, Stop, answer, stage, visible, voice
from xccd.cli.voice import complain


def maxiters(_: Any, __: Any, value: str) -> int | None:
    """The count of passes; None for "stable"."""
    if value == "stable":
        return None
    if not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number of 1 or more nor 'stable'")
    return int(value)


def algorithms(_: Any, __: Any, values: tuple[str, ...]) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Each text as the text, the arguments of `reject` (name, low, high), and its options."""
    from xccd.verbs.reject_text import parsed

    try:
        return [(text, *parsed(text)) for text in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def words(_: Any, __: Any, value: str | None) -> list[str]:
    """The words of a list with commas."""
    found = [word.strip() for word in (value or "").split(",")]
    if value is not None and "" in found:
        raise click.BadParameter(f"{value!r} has an empty name between its commas")
    return found if value is not None else []


def keywords(_: Any, __: Any, value: str | None) -> list[str]:
    """Header keywords, each once."""
    found = words(_, __, value)
    if twice := [word for word in found if found.count(word) > 1]:
        raise click.BadParameter(f"{value!r} has {twice[0]} twice")
    return found


@command(
    "xccd combine raw/flat-r-*.fits -o master-flat-r.fits --normalize median --sigma-clip 3 3 --center median",
    "xccd combine lights/*.fits -o image.fits --reject 'noise 4 4 gain=1.5 readnoise=6' --grow 1.5 --maps -v",
    "xccd combine night/ --by IMAGETYP,FILTER,EXPTIME -o 'masters/{IMAGETYP}-{FILTER}-{EXPTIME}.fits'",
)
@files_argument()
@click.option("-o", "--output", required=True, type=click.Path(), metavar="NAME",
              help="FITS file to write: .fits, .fit, .fts, or .fz for a compressed one. {FILTER}, {OBJECT} and other "
              "keywords in braces get their values.")  # fmt: skip
@click.option("--by", callback=keywords, metavar="KEYWORD,...",
              help="One product for each group of frames, as IMAGETYP,FILTER. Default: one of all.")  # fmt: skip
@hdu_option()
@click.option("--keep", metavar="RULE",
              help="First leave the worst frames out: 'fwhm<80%', 'stars>20%', 'noise<12.5'.")  # fmt: skip
@click.option("--normalize", metavar="LEVEL", help="First scale frames to the mean, median, mode, ... of the first.")
@click.option("--minmax", nargs=2, type=float, metavar="MIN MAX", help="Reject samples outside these levels.")
@click.option(
    "--clip-extrema", nargs=2, type=int, metavar="NLOW NHIGH", help="Reject the NLOW lowest and NHIGH highest."
)
@click.option("--sigma-clip", nargs=2, type=float, metavar="LOW HIGH", help="Reject beyond LOW and HIGH deviations.")
@click.option("--center", default="mean", show_default=True, help="Centre of --sigma-clip: mean or median.")
@click.option("--deviation", default="std", show_default=True, help="Deviation of --sigma-clip: std or mad_std.")
@click.option("--maxiters", default="1", callback=maxiters, metavar="N|stable", show_default=True,
              help="Passes of --sigma-clip.")  # fmt: skip
@click.option("--reject", metavar="'NAME [LOW HIGH] [OPTION=VALUE]...'", multiple=True, callback=algorithms,
              help="Reject by any algorithm, as 'winsorized 4 3' or 'noise gain=1.5'.")  # fmt: skip
@click.option("--grow", type=click.FloatRange(0), metavar="RADIUS", help="Reject the neighbours of rejected pixels.")
@click.option(
    "--method",
    default="mean",
    show_default=True,
    help="mean, median, lower_median, sum, min, max, std, var, mad_std, biweight, quantile, "
    "geometric_mean, mode, adaptive, first, last, ivar, count.",
)
@click.option("--q", type=click.FloatRange(0, 1), help="The quantile of --method quantile, from 0 to 1.")
@click.option("--weights", metavar="KEYWORD", help="Weight each frame by a keyword, such as EXPTIME.")
@click.option("--scale", metavar="LEVEL|KEYWORD",
              help="When combining, divide frames by their mean, median, ... or multiply by a keyword.")  # fmt: skip
@click.option("--mixed", is_flag=True, help="Allow frames of several kinds or filters.")
@skip_bad_option
@click.option("--tiers", callback=words, metavar="FLAG,...",
              help="Flags of samples that serve where a pixel has no better one, as above_maximum.")  # fmt: skip
@click.option("--maps", is_flag=True, help="Also write the uncertainty and the count, as extensions.")
@threads_option
@memory_option
@progress_option
@dry_run_option
@json_option
@overwrite_option
def combine(files: tuple[str, ...], output: str, **options: Any) -> None:
    """Combine frames into one image, or several.

    FILES are paths, folders, globs and @lists. The steps run in this order: --keep, --normalize, --minmax,
    --clip-extrema, --sigma-clip, --reject, --grow, then the combination. With -v it says how much of each frame was
    rejected.
    """
    check_options(options)
    template = Template(output)
    if not template.names and not options["by"]:
        check_places([target(template.plain)], options["overwrite"], make=False)
    with limits(options["threads"], options["memory"]):
        groups = planned(files, template, options)
        if options["dry_run"]:
            tell_plan(groups, options["method"])
            return
        if template.names or output.endswith("/"):
            make_folders(group.path for group in groups)
        combine_all(groups, options)


def planned(files: tuple[str, ...], template: Template, options: dict[str, Any]) -> list[Group]:
    """The groups of frames with the places of their products, which are checked. Only headers are read."""
    stacks = opened(files, options["by"], hdu=options["hdu"], errors="skip" if options["skip_bad"] else "raise")
    if template.names:
        check_known([*stacks.values()], template)
        paths = [template.path(one_value(stack, template, name)) for name, stack in stacks.items()]
    else:
        paths = [built(template.plain, name) if options["by"] else target(template.plain) for name in stacks]
    check_distinct(paths, [name or "all frames" for name in stacks], template.text)
    make = bool(template.names) or template.text.endswith("/")
    check_places(paths, options["overwrite"], make=make, inputs=[f for s in stacks.values() for f in files_of(s)])
    return [Group(name, stack, path) for (name, stack), path in zip(stacks.items(), paths, strict=True)]


def opened(files: tuple[str, ...], by: list[str], **how: Any) -> dict[str, Any]:
    """The stack of each group, by its name; "" for all frames."""
    import xccd

    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        check_once(files)
        if not by:
            return {"": xccd.open_stack(list(files), chunks=None, dtype="native", **how)}
        try:
            tree = xccd.open_tree(list(files), by=by, chunks=None, dtype="native", **how)
        except ValueError as error:
            raise (Stop(USAGE, error) if "by=" in str(error) else error) from error
    return {node.path.strip("/"): node.to_dataset()["data"] for node in tree.leaves}


def files_of(stack: Any) -> list[str]:
    """The files of the frames."""
    from xccd.labels.frames import file_names

    return file_names(stack, "frame", chips=False)


def target(text: str) -> Path:
    """The path of a product."""
    from xccd.write.place import target_of

    return target_of(text)


def built(output: str, group: str) -> Path:
    """The path of a group's product where -o has no braces: flat-r.fits in a folder, else NAME-flat-r.fits."""
    name, path = group.replace("/", "-"), target(output)
    if is_folder(output):
        return path / f"{name or 'all'}.fits"
    stem = stem_of(path.name)
    return path.with_name(f"{stem}-{name}{path.name[len(stem) :]}" if name else path.name)


def tell_plan(groups: list[Group], method: str) -> None:
    """What would be done, for --dry-run."""
    lines = []
    for group in groups:
        n, sizes = group.stack.sizes["frame"], " x ".join(str(n) for d, n in group.stack.sizes.items() if d != "frame")
        lines.append(f"{visible(group.path)}: would be the {method} of {n} frame{'s' * (n > 1)} of {sizes} pixels")
        lines += [f"  {visible(file)}" for file in group.files] if voice().verbose else []
    answer({"dry_run": True, "products": [group.told() for group in groups]}, "\n".join(lines))


def combine_all(groups: list[Group], options: dict[str, Any]) -> None:
    """Combine each group. Of several, one that fails is named and the others go on; then the command ends in error."""
    done, failed, codes = [], [], set()
    for group in groups:
        try:
            done.append(combine_group(group, options))
        except Exception as error:
            if len(groups) == 1:
                raise
            codes.add(error.code if isinstance(error, Stop) else RUN_FAILED)
            text = str(error) if isinstance(error, Stop) else f"{type(error).__name__}: {error}"
            complain(f"{group.name}: {text}")
            failed.append({"group": group.name, "error": text})
    answer({"products": done, "failed": failed})
    if failed:
        names = ", ".join(one["group"] for one in failed)
        raise Stop(codes.pop() if len(codes) == 1 else RUN_FAILED,
                   f"{len(failed)} of {len(groups)} groups failed: {names}")  # fmt: skip


def check_once(files: tuple[str, ...]) -> None:
    """Raise if a file is given twice."""
    from xccd.read.images.sources import given_twice

    if again := given_twice(list(files)):
        raise ValueError(again)


def check_options(options: dict[str, Any]) -> None:
    """Raise for unknown values, and for options that have no effect with the others."""
    from xccd.kernels.table import CENTERS, DEVIATIONS
    from xccd.verbs.clip import check_name
    from xccd.verbs.combine import check_method

    with stage(USAGE, ValueError):
        check_name("center", options["center"], CENTERS)
        check_name("deviation", options["deviation"], DEVIATIONS)
        check_method(options["method"], options["weights"], q=options["q"])
    clips = any(options[k] for k in ("minmax", "clip_extrema", "sigma_clip", "reject"))
    counts = options["method"] == "count"
    idle = {
        **dict.fromkeys(("center", "deviation", "maxiters"), "" if options["sigma_clip"] else "--sigma-clip LOW HIGH"),
        "maps": "another method, count is a map itself" if counts else "",
        "scale": "another method, a count has no scale" if counts else "",
        "grow": "" if any(options[k] for k in ("clip_extrema", "sigma_clip", "reject")) else "a rejection",
        "normalize": "a rejection, a count has no level" if counts and not clips else "",
    }
    for name, needed in idle.items():
        if needed and click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise Stop(USAGE, f"--{name} has no effect without {needed}")
