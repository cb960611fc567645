"""`xccd align`: frames on one grid, by their WCS or their stars; a file for each, or a mosaic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xccd.cli.lists import each_file
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
    threads_option,
    wants_progress,
)
from xccd.cli.output_names import Template, check_places, is_folder, make_folders, one_value, places_of_frames
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, RUN_FAILED, USAGE, Stop, answer, say, stage, visible

CANVAS = ("union", "intersection")


@command(
    "xccd align cal/*.fits -o registered/",
    "xccd align cal/*.fits -o registered/ --stars --to cal/light-r-003.fits",
    "xccd align cal/*.fits -o mosaic.fits --mosaic --combine median",
)
@files_argument()
@click.option("-o", "--output", required=True, type=click.Path(), metavar="FOLDER|TEMPLATE|FILE",
              help="Where frames go: a folder, or a name with {file} in braces; with --mosaic one file.")  # fmt: skip
@hdu_option(every=False)
@click.option("--to", type=click.Path(), metavar="FILE|union|intersection",
              help="The file on whose grid all are brought; with --stars one of FILES. Default: union, the grid that "
              "holds all frames.")  # fmt: skip
@click.option("--stars", is_flag=True, help="Find shift, turn and scale from the stars: for frames without WCS.")
@click.option("--model", type=click.Choice(["similarity", "affine"]), default="similarity", show_default=True,
              help="What --stars finds; affine has a shear, too.")  # fmt: skip
@click.option("--method", type=click.Choice(["interp", "adaptive", "exact", "drizzle"]), default="interp",
              show_default=True, help="How pixels are resampled.")  # fmt: skip
@click.option("--order", type=click.Choice(["nearest", "bilinear", "bicubic", "lanczos3"]), default="bilinear",
              show_default=True, help="The interpolation of --method interp.")  # fmt: skip
@click.option("--flux", type=click.Choice(["surface brightness", "total"]), default="surface brightness",
              show_default=True, help="What a pixel holds: a value per area, or a total.")  # fmt: skip
@click.option("--pixfrac", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="The side of a drop of --method drizzle.")  # fmt: skip
@click.option("--mosaic", is_flag=True, help="Combine the frames into one image.")
@click.option("--combine", default="mean", show_default=True, metavar="METHOD",
              help="How --mosaic combines, as mean or median.")  # fmt: skip
@threads_option
@memory_option
@progress_option
@dry_run_option
@json_option
@overwrite_option
def align(files: tuple[str, ...], output: str, **options: Any) -> None:
    """Bring frames onto one grid, or make a mosaic.

    FILES are paths, folders, globs and @lists. They are matched by their WCS, or with --stars by their stars. Each
    frame goes to a file of its own, or with --mosaic all into one image. Calibrate frames before.
    """
    import xccd

    check_options(options)
    names = each_file(files)
    with limits(options["threads"], options["memory"]):
        with stage(BAD_INPUT, OSError, ValueError, TypeError):
            stacks = xccd.open_frames(names, hdu=options["hdu"], chunks=None)
        frames = [stack.isel(frame=[i]) for stack in stacks for i in range(stack.sizes["frame"])]
        check_same(stacks)
        paths = places(Template(output), frames, names, options)
        if options["dry_run"]:
            tell(names, paths, options, [], {})
            return
        aligned, measured = brought(stacks, names, options)
        make_folders(paths)
        write(aligned, paths, options)
        tell(names, paths, options, [*aligned.sizes.values()][-2:], measured)


def check_options(options: dict[str, Any]) -> None:
    """Raise for options that have no effect with the others, and for an unknown way to combine."""
    from xccd.verbs.combine import check_method

    given = click.get_current_context().get_parameter_source
    idle = {
        "model": "" if options["stars"] else "--stars",
        "order": "" if options["method"] == "interp" else "--method interp",
        "pixfrac": "" if options["method"] == "drizzle" else "--method drizzle",
        "combine": "" if options["mosaic"] else "--mosaic",
        "progress": "" if options["mosaic"] else "--mosaic",
    }
    for name, needed in idle.items():
        if needed and given(name) is ParameterSource.COMMANDLINE:
            raise Stop(USAGE, f"--{name} has no effect without {needed}")
    try:
        check_method(options["combine"], None)
    except ValueError as error:
        raise Stop(USAGE, str(error).replace("method=", "--combine=").replace(", or a function", "")) from error


def check_same(stacks: list[Any]) -> None:
    """Warn of frames of several kinds: they may be registered together, but seldom are."""
    from xccd.labels.mixed import mixed
    from xccd.labels.warn import warn

    for stack in stacks:
        if keywords := mixed(stack):
            warn(f"the frames differ in {keywords}")


def places(template: Template, frames: list[Any], names: list[str], options: dict[str, Any]) -> list[Path]:
    """The paths of the products, checked before any pixel is read."""
    if not options["mosaic"]:
        return places_of_frames(template, frames, names, names, options["overwrite"])
    if is_folder(template.text):
        raise Stop(NO_OUTPUT, f"--output={template.text!r} is a folder: --mosaic makes one file, name it")
    values = [one_value(frame, template, "") for frame in frames]
    for name in template.names:
        if len({value[name] for value in values}) > 1:
            raise Stop(USAGE, f"--output={template.text!r}: the frames differ in {{{name}}}: leave it out of the name")
    path = template.path(values[0])
    check_places([path], options["overwrite"], make=bool(template.names), inputs=names)
    return [path]


def brought(stacks: list[Any], names: list[str], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The frames on one grid, lazy, and what was measured of their stars."""
    import xccd

    how = {k: options[k] for k in ("method", "order", "flux", "pixfrac")}
    to = options["to"]
    with stage(BAD_INPUT, OSError, ValueError, TypeError), stage(USAGE, ImportError):
        if not options["stars"]:
            if to == "intersection":
                raise Stop(USAGE, "--to intersection goes with --stars; with a WCS give a file, or union")
            return xccd.align(stacks, None if to == "union" else to, **how), {}
        reference = 0 if to in (None, *CANVAS) else numbered(to, names)
        found = xccd.find_transforms(stacks, options["model"], reference=reference)
        canvas = reference if to not in (None, *CANVAS) else (to or "union")
        measured = {k: found[k].values.tolist() for k in ("rotation", "scale", "residual", "stars_matched")}
        return xccd.align(stacks, canvas, transforms=found, **how), measured


def numbered(to: str, names: list[str]) -> int:
    """The number of the reference among the files."""
    from xccd.messages import did_you_mean

    wanted = Path(to).expanduser().resolve()
    for i, name in enumerate(names):
        if Path(name).resolve() == wanted:
            return i
    near = did_you_mean(to, [*names, *CANVAS])
    raise Stop(USAGE, f"--to={to!r} is none of the {len(names)} files: with --stars give one of them{near}")


def write(aligned: Any, paths: list[Path], options: dict[str, Any]) -> None:
    """Write each frame, or the mosaic; each file is whole or not there."""
    try:
        if options["mosaic"]:
            weights = {"weights": "drizzle"} if options["method"] == "drizzle" else {}
            image = aligned.ccd.combine(options["combine"], **weights)
            image.ccd.to_fits(paths[0], overwrite=options["overwrite"], progress=wants_progress(options["progress"]))
            return
        for i, path in enumerate(paths):
            aligned.isel(frame=i).ccd.to_fits(path, overwrite=options["overwrite"])
    except (OSError, ValueError) as error:
        raise Stop(NO_OUTPUT if "path=" in str(error) else RUN_FAILED, error) from error


def tell(names: list[str], paths: list[Path], options: dict[str, Any], shape: list[int], measured: Any) -> None:
    """Say what was made, or would be."""
    would = "would be " if options["dry_run"] else ""
    size = f", {' x '.join(map(str, shape))} pixels" if shape else ""
    if options["mosaic"]:
        what = f"{options['combine']} of {len(names)} aligned frame{'s' * (len(names) > 1)}"
        say(f"{visible(paths[0])}: {would}{what}{size}")
        rows = [{"output": str(paths[0]), "files": names}]
    else:
        rows = [{"output": str(path), "file": name} for path, name in zip(paths, names, strict=True)]
        for i, row in enumerate(rows):
            stars = ""
            if measured:
                row |= {k: v[i] for k, v in measured.items()}
                stars = (f", turned by {row['rotation']:.3f} degrees, {row['stars_matched']} stars matched to "
                         f"{row['residual']:.2f} pixels")  # fmt: skip
            say(f"{visible(row['output'])}: {would}{visible(row['file'])} aligned{size}{stars}")
    answer({"dry_run": options["dry_run"], "shape": shape, "products": rows})
