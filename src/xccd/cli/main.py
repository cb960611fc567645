"""The ``xccd`` command: the main job from a shell."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import click
from click.core import ParameterSource

from xccd.cli.shell import (
    BAD_INPUT,
    EXIT_CODES,
    INTERRUPTED,
    NO_OUTPUT,
    RUN_FAILED,
    USAGE,
    Stop,
    logged,
    of_click,
    one_line,
    say,
    stage,
    terminable,
    visible,
)

SUFFIXES = (".fits", ".fit", ".fts")  # of a product, or these with .fz


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
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


def named_files(_: Any, __: Any, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names, none of them empty, as a variable that is not set makes it: that would be this folder."""
    if "" in values:
        raise click.BadParameter("a name is empty: give a path, a folder or a glob")
    return values


def hdu(_: Any, __: Any, value: str | None) -> int | str | tuple[str, int] | None:
    """A number, a name, or a name and a version."""
    if value == "":
        raise click.BadParameter("it is empty: give a number or a name")
    name, _, version = (value or "").rpartition(",")
    if name and version.strip().isdigit():
        return name.strip(), int(version)
    return int(value) if value and value.isdigit() else value


@cli.command(
    epilog="Example: xccd combine raw/flat-r-*.fits -o master-flat-r.fits --normalize median "
    f"--sigma-clip 3 3 --center median --deviation mad_std\n\n{EXIT_CODES}"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=str), callback=named_files)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="FITS file to write: .fits, .fit, .fts, or .fz for a compressed one.",
)
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
@click.option(
    "--method",
    default="mean",
    show_default=True,
    help="mean, median, sum, min, max, std, var, mad_std, quantile, count.",
)
@click.option("--q", type=click.FloatRange(0, 1), help="The quantile of --method quantile, from 0 to 1.")
@click.option("--weights", metavar="KEYWORD", help="Weigh each frame by a keyword, as EXPTIME.")
@click.option("--scale", metavar="LEVEL|KEYWORD",
              help="While combining, divide frames by their mean, median, ..., or multiply by a keyword.")  # fmt: skip
@click.option("--mixed", is_flag=True, help="Combine frames of several kinds or filters, too.")
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
    from xccd.write.fits import check_target

    check_options(options)
    check_output(output)
    with stage(NO_OUTPUT, OSError):
        check_target(output, options["overwrite"])
    with stage(USAGE, ValueError):
        settings = xccd.set_options(threads=options["threads"], memory=options["memory"])
    with settings:
        with stage(BAD_INPUT, OSError, ValueError, TypeError):
            check_once(files)
            stack = xccd.open_stack(list(files), hdu=options["hdu"], chunks=None, dtype="native")
            check_mixed(stack, options["mixed"])
        steps = rejected(normalized(stack, options), options)
        with stage(USAGE, ValueError, TypeError):
            factors = scale(stack, options["scale"])
            names = {k: options[k] for k in ("weights", "q")}
            image = steps[-1][1].ccd.combine(options["method"], scale=factors, **names)
        image, tally = counted(image, stack)
        shown = sys.stderr.isatty() if options["progress"] is None else options["progress"]
        with writing(output, lambda: emptied(stack, steps)):
            product = image if options["maps"] else image["data"]
            product.ccd.to_fits(output, overwrite=options["overwrite"], progress=shown)
    n, lost = stack.sizes["frame"], 1 - tally.used / max(tally.valid, 1)
    done = f"{options['method']} of {n} frame{'s' * (n > 1)}, {lost:.2%} of the samples rejected"
    say(f"{visible(output)}: {done}")


def check_once(files: tuple[str, ...]) -> None:
    """Raise where a file is given twice."""
    from xccd.read.images.sources import given_twice

    if again := given_twice(list(files)):
        raise ValueError(again)


def check_mixed(stack: Any, allowed: bool) -> None:
    """Raise where frames of several kinds or filters would be combined unasked."""
    from xccd.labels.mixed import mixed

    if not allowed and (keywords := mixed(stack)):
        raise ValueError(f"the frames differ in {keywords}: give one kind and filter, or --mixed to combine them all")


def check_options(options: dict[str, Any]) -> None:
    """Values that are none, and options that were given and have no effect beside the others."""
    from xccd.kernels.table import CENTERS, DEVIATIONS
    from xccd.verbs.clip import check_name
    from xccd.verbs.combine import check_method

    with stage(USAGE, ValueError):
        check_name("center", options["center"], CENTERS)
        check_name("deviation", options["deviation"], DEVIATIONS)
        check_method(options["method"], options["weights"], q=options["q"])
    clips = any(options[k] for k in ("minmax", "clip_extrema", "sigma_clip"))
    counts = options["method"] == "count"
    idle = {
        **dict.fromkeys(("center", "deviation", "maxiters"), "" if options["sigma_clip"] else "--sigma-clip LOW HIGH"),
        "maps": "another method, count is a map itself" if counts else "",
        "scale": "another method, the number of samples has no scale" if counts else "",
        "normalize": "a rejection, the number of samples has no level" if counts and not clips else "",
    }
    for name, needed in idle.items():
        if needed and click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise Stop(USAGE, f"--{name} has no effect without {needed}")


def check_output(output: Path) -> None:
    """Raise for the name of something else than a FITS file; what cannot be written there `check_target` says."""
    name = Path(output.stem) if output.suffix.lower() == ".fz" else output
    known = name.suffix.lower() in SUFFIXES or (name.suffix == "" and name is not output)
    if known or output.is_dir() or output.suffix.lower() in (".gz", ".bz2", ".xz"):
        return
    stem = output.stem if re.fullmatch(r"\.[A-Za-z]\w{0,4}", output.suffix) else output.name
    better = str(output.with_name(f"{stem}.fits"))
    raise Stop(USAGE, f"--output={str(output)!r} is not the name of a FITS file, write to {better!r}")


def normalized(stack: Any, options: dict[str, Any]) -> Any:
    """The frames at one level, if that was asked for."""
    if (level := options["normalize"]) is None:
        return stack
    with stage(USAGE, ValueError, TypeError):
        level_or_keyword("normalize", stack, level)
    with stage(BAD_INPUT, OSError, ValueError, TypeError, of=f"--normalize {level}"):
        return stack.ccd.normalize(scale=level)


def rejected(stack: Any, options: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the option of each step left: the frames first, and those of the rejections that were asked for."""
    names = ("center", "deviation", "maxiters")
    more: dict[str, dict[str, Any]] = {"minmax": {}, "clip_extrema": {}, "sigma_clip": {k: options[k] for k in names}}
    steps = [("", stack.ccd.to_dataset())]
    for name, arguments in more.items():
        if options[name]:
            text = f"--{name.replace('_', '-')} {' '.join(f'{v:g}' for v in options[name])}"
            with stage(USAGE, ValueError, TypeError, of=text):
                steps.append((text, getattr(steps[-1][1].ccd, name)(*options[name], **arguments)))
    return steps


class NothingLeft(Exception):
    """All pixels of the product would be NaN."""


class Tally:
    """How many samples were in use and valid, counted while the bands of an image are made."""

    def __init__(self, frames: int, pixels: int) -> None:
        self.frames, self.pixels = frames, pixels
        self.used = self.valid = self.done = 0
        self.good, self.lock = False, Lock()

    def __call__(self, data: Any, used: Any, *valid: Any) -> Any:
        """A band of the image as it is; raises at the last one if no pixel of any is good."""
        import numpy as np

        good = bool(np.isfinite(data).any())
        with self.lock:
            self.used += int(used.sum())
            self.valid += sum(int(v.sum()) for v in valid) or data.size * self.frames
            self.done += data.size
            self.good |= good
            if self.done == self.pixels and not self.good:
                raise NothingLeft
        return data


def counted(image: Any, stack: Any) -> tuple[Any, Tally]:
    """The image, and a tally of its samples that is made with it, in the same pass."""
    from xccd.compute.deferred import Deferred
    from xccd.labels.lazy import array_of, as_lazy_indexed

    data = array_of(image["data"])
    tally = Tally(stack.sizes["frame"], data.size)
    used = array_of(image["data_count"]) if "data_count" in image else data
    valid = [array_of(stack.ccd.count())] if stack.dtype.kind == "f" else []  # no integer is missing
    told = as_lazy_indexed(Deferred(tally, [data, used, *valid], data.shape, data.dtype, frames=False))
    return image.assign(data=image["data"].copy(deep=False, data=told)), tally


@contextmanager
def writing(output: Path, blame: Callable[[], str]) -> Iterator[None]:
    """Errors while pixels are read, combined and written: those of the output name its ``path=``."""
    try:
        yield
    except NothingLeft:
        raise Stop(RUN_FAILED, f"{blame()}: {str(output)!r} is not written") from None
    except (OSError, ValueError) as error:
        raise Stop(NO_OUTPUT if "path=" in str(error) else BAD_INPUT, error) from error


def emptied(stack: Any, steps: list[tuple[str, Any]]) -> str:
    """Which step left no sample of any frame."""
    if not int(stack.ccd.count().sum()):
        return "the frames have no valid sample"
    for text, left in steps[1:]:
        if not int(left.ccd.count()["data"].sum()):
            return f"{text} leaves no sample of {stack.sizes['frame']} frame(s)"
    return "no pixel of the product has a value"


def level_or_keyword(option: str, stack: Any, name: str) -> None:
    """Raise for what is neither a level nor a keyword of the frames that is a number."""
    from xccd.labels.keywords import named
    from xccd.verbs.levels import LEVELS

    levels = [*LEVELS, *(["overlap"] if option == "normalize" else [])]
    if name not in levels:
        named(option, name, stack, "frame", levels=levels)


def scale(stack: Any, name: str | None) -> str | Callable[[Any], float] | None:
    """A keyword as it is; a level as the function that divides by it."""
    from xccd.verbs.levels import level_of

    if name is None:
        return None
    level_or_keyword("scale", stack, name)
    level = level_of(name)
    return name if level is None else lambda frame: 1 / level(frame)


@cli.command(epilog="Example: xccd demo --folder my-night")
@click.option("--folder", default="xccd-demo", show_default=True, type=click.Path(path_type=Path),
              help="Where to put everything; a number is added if it is there.")  # fmt: skip
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Another night for each number.")
def demo(folder: Path, seed: int) -> None:
    """Make a night of raw frames, reduce and stack it, and show what that did."""
    from xccd.demo import run

    with stage(NO_OUTPUT, OSError):
        run(folder, seed, say)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every end has its exit code."""
    try:
        with terminable(), logged(), warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = one_line
            code = cli.main(arguments, prog_name="xccd", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        fail(INTERRUPTED, "interrupted")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(USAGE)
    except click.ClickException as error:
        fail(USAGE, of_click(error, cli.commands))
    except Stop as stop:
        fail(stop.code, stop)
    except Exception as error:
        fail(RUN_FAILED, f"{type(error).__name__}: {error}")


def fail(code: int, message: object) -> None:
    """End with ``code`` and one line on stderr."""
    click.echo(f"xccd: {visible(message)}", err=True)
    sys.exit(code)
