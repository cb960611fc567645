"""`xccd combine`: clip and combine FITS files into one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import click
from click.core import ParameterSource

from xccd.cli.options import (
    command,
    files_argument,
    hdu_option,
    limits,
    memory_option,
    overwrite_option,
    progress_option,
    threads_option,
    wants_progress,
)
from xccd.cli.output_names import check_output
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, RUN_FAILED, USAGE, Stop, say, stage, visible


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


@command(
    "xccd combine raw/flat-r-*.fits -o master-flat-r.fits --normalize median --sigma-clip 3 3 --center median",
    "xccd combine lights/*.fits -o image.fits --reject 'noise 4 4 gain=1.5 readnoise=6' --grow 1.5 --maps",
)
@files_argument()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="FITS file to write: .fits, .fit, .fts, or .fz for a compressed one.",
)
@hdu_option()
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
@click.option("--skip-bad", is_flag=True, help="Leave out files that cannot be opened, and say which.")
@click.option("--maps", is_flag=True, help="Also write the uncertainty and the count, as extensions.")
@threads_option
@memory_option
@progress_option
@overwrite_option
def combine(files: tuple[str, ...], output: Path, **options: Any) -> None:
    """Combine FITS FILES (paths, folders or quoted globs) into one image.

    The steps run in this order: --normalize, --minmax, --clip-extrema, --sigma-clip, --reject, --grow, then the
    combination.
    """
    import xccd
    from xccd.write.fits import check_target

    check_options(options)
    check_output(output)
    with stage(NO_OUTPUT, OSError):
        check_target(output, options["overwrite"])
    with limits(options["threads"], options["memory"]):
        with stage(BAD_INPUT, OSError, ValueError, TypeError):
            check_once(files)
            stack = xccd.open_stack(
                list(files),
                hdu=options["hdu"],
                chunks=None,
                dtype="native",
                errors="skip" if options["skip_bad"] else "raise",
            )
            check_mixed(stack, options["mixed"])
        steps = rejected(normalized(stack, options), options)
        with stage(USAGE, ValueError, TypeError):
            factors = scale(stack, options["scale"])
            names = {k: options[k] for k in ("weights", "q")}
            frames = ByFrame(stack, steps)
            with frames.counting():
                image = steps[-1][1].ccd.combine(options["method"], scale=factors, **names)
        with writing(output, lambda: emptied(stack, steps)):
            image, tally = counted(image, stack, frames)
            product = image if options["maps"] else image["data"]
            product.ccd.to_fits(output, overwrite=options["overwrite"], progress=wants_progress(options["progress"]))
    n, lost = stack.sizes["frame"], 1 - tally.used / max(tally.valid, 1)
    done = f"{options['method']} of {n} frame{'s' * (n > 1)}, {lost:.2%} of the samples rejected"
    say(f"{visible(output)}: {done}")
    frames.tell()


def check_once(files: tuple[str, ...]) -> None:
    """Raise if a file is given twice."""
    from xccd.read.images.sources import given_twice

    if again := given_twice(list(files)):
        raise ValueError(again)


def check_mixed(stack: Any, allowed: bool) -> None:
    """Raise for frames of several kinds or filters, unless ``allowed``."""
    from xccd.labels.mixed import mixed

    if not allowed and (keywords := mixed(stack)):
        raise ValueError(f"the frames differ in {keywords}: give one kind and filter, or --mixed to combine them all")


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


def normalized(stack: Any, options: dict[str, Any]) -> Any:
    """The frames at one level with --normalize, else as they are."""
    if (level := options["normalize"]) is None:
        return stack
    with stage(USAGE, ValueError, TypeError):
        level_or_keyword("normalize", stack, level)
    with stage(BAD_INPUT, OSError, ValueError, TypeError, of=f"--normalize {level}"):
        return stack.ccd.normalize(scale=level)


def rejected(stack: Any, options: dict[str, Any]) -> list[tuple[str, Any]]:
    """(option, stack after it) for each step: first the frames themselves, then each rejection given."""
    names = ("center", "deviation", "maxiters")
    more: dict[str, dict[str, Any]] = {"minmax": {}, "clip_extrema": {}, "sigma_clip": {k: options[k] for k in names}}
    steps = [("", stack.ccd.to_dataset())]
    for name, arguments in more.items():
        if options[name]:
            text = f"--{name.replace('_', '-')} {' '.join(f'{v:g}' for v in options[name])}"
            with stage(USAGE, ValueError, TypeError, of=text):
                steps.append((text, getattr(steps[-1][1].ccd, name)(*options[name], **arguments)))
    for asked, positional, own in options["reject"]:
        with stage(USAGE, ValueError, TypeError, ImportError, of=f"--reject {asked!r}"):
            steps.append((f"--reject {asked!r}", steps[-1][1].ccd.reject(*positional, **own)))
    if options["grow"] is not None:
        with stage(USAGE, ValueError, of=f"--grow {options['grow']:g}"):
            steps.append((f"--grow {options['grow']:g}", steps[-1][1].ccd.grow(options["grow"])))
    return steps


class NothingLeft(Exception):
    """All pixels of the product would be NaN."""


class Tally:
    """Counts the valid samples and those in use while the bands of an image are made."""

    def __init__(self, frames: int, pixels: int) -> None:
        self.frames, self.pixels = frames, pixels
        self.used = self.valid = self.done = 0
        self.good, self.lock = False, Lock()

    def __call__(self, data: Any, used: Any, *valid: Any, known: int) -> Any:
        """Returns a band of the image unchanged. Raises at the last band if no pixel of any band is good.

        The first ``known`` of ``valid`` are counts of valid samples; without one all are valid.
        """
        import numpy as np

        good = bool(np.isfinite(data).any())
        with self.lock:
            self.used += int(used.sum())
            self.valid += sum(int(v.sum()) for v in valid[:known]) or data.size * self.frames
            self.done += data.size
            self.good |= good
            if self.done == self.pixels and not self.good:
                raise NothingLeft
        return data


class ByFrame:
    """Counts the samples of each frame before and after the rejections, while the bands of an image are made."""

    def __init__(self, stack: Any, steps: list[tuple[str, Any]]) -> None:
        from xccd.compute.frame_counts import FrameCounts

        self.stack, self.left = stack, steps[-1][1]
        # samples beyond the limits of --minmax are not told of: they are those of saturated stars
        self.first = [ds for text, ds in steps if not text or text.startswith("--minmax")][-1]
        self.limited = self.first is not steps[0][1]
        self.before, self.after = FrameCounts(stack.sizes["frame"]), FrameCounts(stack.sizes["frame"])
        self.pixels = stack[0].size

    def counting(self) -> Any:
        """A context in which a product counts."""
        from xccd.compute.frame_counts import counting

        return counting(self.after)

    def valid(self) -> list[Any]:
        """The count of samples before, as a lazy array that must be computed with the image; [] if none is missing."""
        import numpy as np

        from xccd.compute.chain import Chain
        from xccd.compute.frame_counts import CountedByFrame
        from xccd.compute.run import chained
        from xccd.labels.lazy import array_of

        if self.first is self.left:
            return []
        if self.stack.dtype.kind != "f" and not self.limited:  # no integer is missing
            self.before.counts[:] = self.pixels
            return []
        x, flags = (array_of(self.first[name]) for name in ("data", "data_flags"))
        return chained(Chain((), (CountedByFrame(self.before),)), x, flags=flags, dtypes=[np.dtype(np.int64)])

    def tell(self) -> None:
        """Warn of frames that lost much."""
        from xccd.labels.frames import frame_names
        from xccd.labels.rejected_shares import PIXELS, remarks
        from xccd.labels.warn import warn

        if self.first is self.left or not self.after.counts.any() or self.pixels < PIXELS:
            return
        share = (self.before.counts - self.after.counts) / self.pixels
        steps = str(self.left["data"].attrs.get("history", ""))
        for text in remarks("combine", share, frame_names(self.stack, "frame"), steps):
            warn(text)


def counted(image: Any, stack: Any, frames: ByFrame) -> tuple[Any, Tally]:
    """The image, and a tally of its samples; both are made in one pass."""
    from xccd.compute.deferred import Deferred
    from xccd.labels.lazy import array_of, as_lazy_indexed

    data = array_of(image["data"])
    tally, more = Tally(stack.sizes["frame"], data.size), frames.valid()
    used = array_of(image["data_count"]) if "data_count" in image else data
    valid = [array_of(stack.ccd.count())] if stack.dtype.kind == "f" else []  # no integer is missing
    made = partial(tally, known=len(valid))
    tallied = as_lazy_indexed(Deferred(made, [data, used, *valid, *more], data.shape, data.dtype, frames=False))
    return image.assign(data=image["data"].copy(deep=False, data=tallied)), tally


@contextmanager
def writing(output: Path, blame: Callable[[], str]) -> Iterator[None]:
    """Turn errors of reading, combining and writing into `Stop`. An error that names ``path=`` is the output's."""
    try:
        yield
    except NothingLeft:
        raise Stop(RUN_FAILED, f"{blame()}: {str(output)!r} is not written") from None
    except (OSError, ValueError) as error:
        raise Stop(NO_OUTPUT if "path=" in str(error) else BAD_INPUT, error) from error


def emptied(stack: Any, steps: list[tuple[str, Any]]) -> str:
    """The step that left no sample of any frame."""
    if not int(stack.ccd.count().sum()):
        return "the frames have no valid sample"
    for text, left in steps[1:]:
        if not int(left.ccd.count()["data"].sum()):
            return f"{text} leaves no sample of {stack.sizes['frame']} frame(s)"
    return "no pixel of the product has a value"


def level_or_keyword(option: str, stack: Any, name: str) -> None:
    """Raise if ``name`` is neither a level nor a numeric keyword of the frames."""
    from xccd.labels.keywords import keyword_of_frames
    from xccd.verbs.levels import LEVELS

    levels = [*LEVELS, *(["overlap"] if option == "normalize" else [])]
    if name not in levels:
        keyword_of_frames(option, name, stack, "frame", levels=levels)


def scale(stack: Any, name: str | None) -> str | Callable[[Any], float] | None:
    """For a keyword its name; for a level the function that divides by it."""
    from xccd.verbs.levels import level_of

    if name is None:
        return None
    level_or_keyword("scale", stack, name)
    level = level_of(name)
    return name if level is None else lambda frame: 1 / level(frame)
