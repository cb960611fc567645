"""The ``xccd`` command: the main job from a shell."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

RUN_FAILED, USAGE, BAD_INPUT, NO_OUTPUT, INTERRUPTED = 1, 2, 3, 4, 130


class Stop(Exception):
    """An end with an exit code and one line for stderr."""

    def __init__(self, code: int, message: object) -> None:
        super().__init__(" ".join(str(message).split()))
        self.code = code


@contextmanager
def stage(code: int, *kinds: type[Exception]) -> Iterator[None]:
    """Errors of ``kinds`` in this stage of the work end the command with ``code``."""
    try:
        yield
    except kinds as error:
        raise Stop(code, error) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xccd")
def cli() -> None:
    """Stack, clip and combine astronomical images."""


def maxiters(_: Any, __: Any, value: str) -> int | None:
    """A number of passes, or "stable"."""
    if value == "stable":
        return None
    if not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number of 1 or more nor 'stable'")
    return int(value)


def hdu(_: Any, __: Any, value: str | None) -> int | str | tuple[str, int] | None:
    """A number, a name, or a name and a version."""
    name, _, version = (value or "").rpartition(",")
    if name and version.strip().isdigit():
        return name.strip(), int(version)
    return int(value) if value and value.isdigit() else value


@cli.command(
    epilog="Example: xccd combine raw/flat-r-*.fits -o master-flat-r.fits --normalize median "
    "--sigma-clip 3 3 --center median --deviation mad_std"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=str))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="FITS file to write.")
@click.option("--hdu", callback=hdu, metavar="N|NAME|NAME,VERSION|all",
              help="The image's HDU. Default: the first image.")  # fmt: skip
@click.option("--normalize", metavar="LEVEL", help="First bring frames to the first one's mean, median, mode, ...")
@click.option("--minmax", nargs=2, type=float, metavar="MIN MAX", help="Reject samples outside these levels.")
@click.option("--clip-extrema", nargs=2, type=int, metavar="NLOW NHIGH", help="Reject so many at each end.")
@click.option("--sigma-clip", nargs=2, type=float, metavar="LOW HIGH", help="Reject beyond so many deviations.")
@click.option("--center", default="mean", show_default=True, help="Centre of --sigma-clip: mean or median.")
@click.option("--deviation", default="std", show_default=True, help="Deviation of --sigma-clip: std or mad_std.")
@click.option("--maxiters", default="1", callback=maxiters, metavar="N|stable", show_default=True,
              help="Passes of --sigma-clip.")  # fmt: skip
@click.option("--method", default="mean", show_default=True, help="mean, median, sum, min, max, std, var, mad_std.")
@click.option("--weights", metavar="KEYWORD", help="Weigh each frame by a keyword, as EXPTIME.")
@click.option("--scale", metavar="LEVEL|KEYWORD",
              help="While combining, divide frames by their mean, median, ..., or multiply by a keyword.")  # fmt: skip
@click.option("--maps", is_flag=True, help="Write the uncertainty and the number of samples, too, as extensions.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to use. Default: all cores.")
@click.option("--memory", metavar="SIZE", help="Keep bands of the stack within this, as '2 GB'.")
@click.option("--progress/--no-progress", default=None, help="Show a bar. Default: where stderr is a terminal.")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it is there.")
def combine(files: tuple[str, ...], output: Path, **options: Any) -> None:
    """Combine FITS FILES (paths, folders or quoted globs) into one image.

    In this order: --normalize, --minmax, --clip-extrema, --sigma-clip, then the combination.
    """
    import xccd
    from xccd.fits.write import check_target

    with stage(NO_OUTPUT, OSError):
        check_target(output, options["overwrite"])
    with stage(USAGE, ValueError):
        settings = xccd.set_options(threads=options["threads"], memory=options["memory"])
    with settings:
        with stage(BAD_INPUT, OSError, ValueError, TypeError):
            stack = xccd.open_stack(list(files), hdu=options["hdu"], chunks=None, dtype="native")
            level = stack.ccd.normalize(scale=options["normalize"]) if options["normalize"] else stack
        with stage(USAGE, ValueError, TypeError):
            clipped = reject(level.ccd.to_dataset(), options)
            image = clipped.ccd.combine(options["method"], weights=options["weights"], scale=scale(options["scale"]))
        image, seen = counted(image, stack)
        shown = sys.stderr.isatty() if options["progress"] is None else options["progress"]
        with writing():
            product = image if options["maps"] else image["data"]
            product.ccd.to_fits(output, overwrite=options["overwrite"], progress=shown)
    used, valid = map(sum, zip(*seen, strict=True))
    n = stack.sizes["frame"]
    lost = 1 - used / max(valid, 1)
    click.echo(f"{output}: {options['method']} of {n} frame{'s' * (n > 1)}, {lost:.2%} of the samples rejected")


def reject(stack: Any, options: dict[str, Any]) -> Any:
    """The steps before the combination that were asked for."""
    if options["minmax"]:
        stack = stack.ccd.minmax(*options["minmax"])
    if options["clip_extrema"]:
        stack = stack.ccd.clip_extrema(*options["clip_extrema"])
    if options["sigma_clip"]:
        names = ("center", "deviation", "maxiters")
        stack = stack.ccd.sigma_clip(*options["sigma_clip"], **{k: options[k] for k in names})
    return stack


def counted(image: Any, stack: Any) -> tuple[Any, list[tuple[int, int]]]:
    """The image, and how many samples were in use and valid in each band of it, once it is made: in the same pass."""
    from xccd._deferred import Deferred, samples, wrapped

    seen: list[tuple[int, int]] = []

    def tell(data: Any, used: Any, *valid: Any) -> Any:
        seen.append((int(used.sum()), sum(int(v.sum()) for v in valid) or data.size * stack.sizes["frame"]))
        return data

    data = samples(image["data"])
    used = samples(image["data_count"]) if "data_count" in image else data
    valid = [samples(stack.ccd.count())] if stack.dtype.kind == "f" else []  # no integer is missing
    told = wrapped(Deferred(tell, [data, used, *valid], data.shape, data.dtype, frames=False))
    return image.assign(data=image["data"].copy(deep=False, data=told)), seen


@contextmanager
def writing() -> Iterator[None]:
    """Errors while pixels are read, combined and written: those of the output name its ``path=``."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise Stop(NO_OUTPUT if "path=" in str(error) else BAD_INPUT, error) from error


def scale(name: str | None) -> str | Callable[[Any], float] | None:
    """A keyword as it is; a level as the function that divides by it."""
    from xccd.normalize import level_of

    if name is None or (level := level_of(name)) is None:
        return name
    return lambda frame: 1 / level(frame)


@cli.command(epilog="Example: xccd demo --folder my-night")
@click.option("--folder", default="xccd-demo", show_default=True, type=click.Path(path_type=Path),
              help="Where to put everything; a number is added if it is there.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Another night for each number.")
def demo(folder: Path, seed: int) -> None:
    """Make a night of raw frames, reduce and stack it, and show what that did."""
    from xccd.demo import run

    with stage(NO_OUTPUT, OSError):
        run(folder, seed, click.echo)


def one_line(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """Warnings for a person at a shell."""
    click.echo(f"xccd: warning: {message}", err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every end has its exit code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = one_line
            code = cli.main(arguments, prog_name="xccd", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        fail(INTERRUPTED, "interrupted")
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        hint = f" (see {where.command_path} --help)" if where else ""
        fail(USAGE, f"{error.format_message()}{hint}")
    except Stop as stop:
        fail(stop.code, stop)
    except Exception as error:
        fail(RUN_FAILED, f"{type(error).__name__}: {error}")


def fail(code: int, message: object) -> None:
    """End with ``code`` and one line on stderr."""
    click.echo(f"xccd: {message}", err=True)
    sys.exit(code)
