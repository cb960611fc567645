"""How `xccd combine` makes one image of a group of frames."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xccd.cli.options import wants_progress
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, RUN_FAILED, USAGE, Stop, say, stage, visible, voice
from xccd.cli.tally import ByFrame, NothingLeft, counted

MAX_IMCMB = 999  # inputs that cards can number


@dataclass(frozen=True)
class Group:
    """Frames of one product: the name of the group ("" for all frames), the stack, and where the product goes."""

    name: str
    stack: Any
    path: Path

    @property
    def files(self) -> list[str]:
        """The files of the frames, with their chips."""
        from xccd.labels.frames import file_names

        return file_names(self.stack, "frame")

    def told(self) -> dict[str, Any]:
        """What JSON says before any pixel is read."""
        return {"output": str(self.path), "group": self.name, "frames": self.stack.sizes["frame"], "files": self.files}


def combine_group(group: Group, options: dict[str, Any]) -> dict[str, Any]:
    """Combine and write; says what was done, and returns it for JSON."""
    stack, method, text = group.stack, options["method"], made_by(group)
    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        check_mixed(stack, options["mixed"])
    if options["keep"] is not None:
        group = replace(group, stack=kept(group, options["keep"]))
        stack = group.stack
    steps = rejected(normalized(stack, options), options)
    with stage(USAGE, ValueError, TypeError):
        factors = scale(stack, options["scale"])
        names = {k: options[k] for k in ("weights", "q")} | ({"tiers": options["tiers"]} if options["tiers"] else {})
        sides = len(steps) > 1 and bool(voice().verbose or voice().json)
        frames = ByFrame(stack, steps, sides=sides)
        with frames.counting():
            image = steps[-1][1].ccd.combine(method, scale=factors, **names, **frames.maps(method))
    if len(group.files) > MAX_IMCMB or options.get("skip_bad"):  # then the product has a table by astropy
        allow_yaml()
    with writing(group.path, lambda: emptied(stack, steps)):
        image, tally = counted(image, stack, frames)
        product = frames.labelled(image if options["maps"] else image[["data"]])
        product = product.assign_coords(text)
        product.ccd.to_fits(group.path, overwrite=options["overwrite"], progress=wants_progress(options["progress"]))
    n, lost = stack.sizes["frame"], 1 - tally.used / max(tally.valid, 1)
    say(f"{visible(group.path)}: {method} of {n} frame{'s' * (n > 1)}, {lost:.2%} of the samples rejected")
    if voice().verbose and (lines := frames.lines()):
        say("\n".join(lines))
    frames.tell()
    return group.told() | {"method": method, "rejected": lost, "by_frame": frames.told()}


def made_by(group: Group) -> dict[str, str]:
    """The label that tells how the product was made; none if it is of some of the chips of its files."""
    from xccd.cli.typed import how_made
    from xccd.labels.frames import file_names

    if group.name and "chip" in group.stack.coords:
        return {}
    return how_made(list(dict.fromkeys(file_names(group.stack, "frame", chips=False))), group.path)


def kept(group: Group, rule: str) -> Any:
    """The frames that meet the rule of --keep; says how many, and with -v the log says which are left out."""
    with stage(USAGE, ValueError, TypeError, ImportError):
        found = group.stack.ccd.keep(rule)
    before, after = group.stack.sizes["frame"], found.sizes["frame"]
    say(f"{visible(group.path)}: --keep {rule!r} leaves {after} of {before} frames")
    return found


def check_mixed(stack: Any, allowed: bool) -> None:
    """Raise for frames of several kinds or filters, unless ``allowed``."""
    from xccd.labels.mixed import mixed

    if not allowed and (keywords := mixed(stack)):
        ways = "or --mixed to combine them all, or --by IMAGETYP,FILTER for a product of each"
        raise ValueError(f"the frames differ in {keywords}: give one kind and filter, {ways}")


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


def allow_yaml() -> None:
    """Take back that yaml cannot be imported, which the start of the command said: astropy's tables need it."""
    if sys.modules.get("yaml", 0) is None:
        del sys.modules["yaml"]


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
