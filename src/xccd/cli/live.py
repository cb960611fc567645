"""`xccd live`: frames of a folder stacked as they come."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xccd.cli.options import command, hdu_option, json_option, threads_option
from xccd.cli.output_names import check_output
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, USAGE, Stop, answer, in_options, one_line, say, stage, visible

if TYPE_CHECKING:
    from xccd.night.live.folder import Arrivals
    from xccd.night.live.live import LiveStack
    from xccd.night.live.live_page import LivePage

STACK = ("low", "high", "minimum", "min", "max", "floor", "zero", "align", "mixed", "hdu")  # arguments of LiveStack
PYTHON_ONLY = re.compile(r" \(again=True[^)]*\)")  # advice that has no option


def threshold(_: Any, __: Any, value: float) -> float | None:
    """Infinity switches a side off, which is None in Python."""
    return None if value == float("inf") else value


@command("xccd live tonight -o live.fits --align wcs --state live.state")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="FITS file to write after each frame, with its maps as extensions.")  # fmt: skip
@click.option("--align", type=click.Choice(["pixels", "wcs", "offsets", "transforms"]),
              help="How frames are brought onto the first. Default: another WCS is refused.")  # fmt: skip
@click.option("--low", default=3.0, show_default=True, callback=threshold, help="Reject below this many deviations.")
@click.option("--high", default=3.0, show_default=True, callback=threshold, help="The same above; inf for none.")
@click.option("--minimum", default=8, show_default=True, help="Frames before any sample is rejected.")
@click.option("--min", type=float, help="Samples below this level are missing.")
@click.option("--max", type=float, help="Samples above this level are missing, as those of saturated stars.")
@click.option("--floor", default=0.0, help="The least deviation, in data units: 0.29 for whole counts.")
@click.option("--zero", metavar="LEVEL", help="Shift frames to the median, mean, mode, ... of the first.")
@hdu_option(every=False)
@click.option("--mixed", is_flag=True, help="Allow frames of several kinds or filters.")
@click.option("--state", type=click.Path(path_type=Path),
              help="File that keeps the stack after each frame; the stack goes on from it.")  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path),
              help="HTML page to keep current. Default: OUTPUT with the ending .html.")  # fmt: skip
@click.option("--no-report", is_flag=True, help="Write no page.")
@click.option("--once", is_flag=True, help="Add the files that are there, write once, and end.")
@click.option("--poll", is_flag=True, help="Look at the folder at intervals, also if watchdog is installed.")
@click.option("--interval", default=1.0, show_default=True, type=click.FloatRange(min=0.01),
              help="Seconds between two looks at the folder, or at a file that grows.")  # fmt: skip
@click.option("--patience", default=10.0, show_default=True, type=click.FloatRange(min=0),
              help="Seconds after which a file that is not whole is named, and not waited for.")  # fmt: skip
@threads_option
@json_option
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists; not needed to go on from a state.")
def live(folder: Path, output: Path, state: Path | None, **options: Any) -> None:
    """Stack frames of a folder as they come.

    The FITS files of FOLDER are added one by one, in their order. Ctrl-C ends it. A file is added once it is whole. A
    frame that does not go with those before it is named, and left out.
    """
    import xccd

    check_output(output)
    page = page_of(output, state, options)
    if not folder.is_dir():
        raise Stop(BAD_INPUT, f"there is no folder {str(folder)!r}")
    with stage(USAGE, ValueError, TypeError):
        settings = xccd.set_options(threads=options["threads"])
        stack = xccd.LiveStack(**{name: options[name] for name in STACK})
    goes_on = state is not None and state.exists()
    if state is not None and goes_on:
        stack = resumed(state, stack)
    check_no_frame(output, folder)
    check_places(output, state, options["overwrite"] or goes_on)
    with settings:
        Night(folder, output, state, stack, options, page).run()


def page_of(output: Path, state: Path | None, options: dict[str, Any]) -> LivePage | None:
    """The page that is kept current; raises for a place where it cannot be."""
    from xccd.night.live.live_page import LivePage, check_page
    from xccd.write.place import check_place

    path = options["report"]
    if options["no_report"]:
        if path is not None:
            raise Stop(USAGE, "--report and --no-report contradict each other: give one of them")
        return None
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise Stop(USAGE, f"--report {str(path)!r} does not end in .html: a report is a page, name it as live.html")
    path = output.with_suffix(".html") if path is None else path
    if any(other is not None and other.resolve() == path.resolve() for other in (output, state)):
        raise Stop(USAGE, f"--report {str(path)!r} is the file of --output or --state, too: name another")
    with stage(NO_OUTPUT, OSError, of="--report"):
        check_place(path, overwrite=True)
        check_page(path, options["overwrite"])
    return LivePage(path, output, shlex.join(["xccd", *sys.argv[1:]]) if sys.argv[1:2] == ["live"] else "")


def resumed(state: Path, asked: LiveStack) -> LiveStack:
    """The stack of a state; raises if it was made with other options."""
    from xccd import LiveStack

    with stage(BAD_INPUT, OSError, ValueError):
        stack = LiveStack.load(state)
    for name in STACK:
        if stack.options[name] != asked.options[name]:
            was, now = ("inf" if v is None and name in ("low", "high") else v for v in (
                stack.options[name], asked.options[name]))  # fmt: skip
            raise Stop(USAGE, f"--state {str(state)!r} was made with --{name} {was}, not {now}: give the same options")
    say(f"{visible(state)}: goes on with {count(len(stack), 'frame')}")
    return stack


def check_no_frame(output: Path, folder: Path) -> None:
    """Raise if the output would replace a raw frame of the folder. An older product may be there."""
    from xccd.headers import cards
    from xccd.night.plan.ready_masters import header_text

    if not output.is_file() or output.resolve().parent != folder.resolve():
        return
    if "NCOMBINE" not in cards.values(header_text(str(output), None)):
        raise Stop(
            NO_OUTPUT, f"--output={str(output)!r} is a frame of {str(folder)!r}, or no product: name another file"
        )


def check_places(output: Path, state: Path | None, overwrite: bool) -> None:
    """Raise now for what cannot be written after a frame."""
    from xccd.write.fits import check_target
    from xccd.write.place import check_place

    with stage(NO_OUTPUT, OSError):
        check_target(output, overwrite)
    if state is not None:
        if state.resolve() == output.resolve():
            raise Stop(USAGE, "--state and --output are the same file: name two")
        with stage(NO_OUTPUT, OSError, of="--state"):
            check_place(state, overwrite=True)


def count(n: int, what: str) -> str:
    """A number with its noun."""
    return f"{n} {what}{'' if n == 1 else 's'}"


class Night:
    """The loop of the command: each file that is whole is added, and the product written again."""

    def __init__(
        self, folder: Path, output: Path, state: Path | None, stack: LiveStack, options: dict[str, Any],
        page: LivePage | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.output, self.state, self.stack, self.options = folder, output, state, stack, options
        self.refused, self.page = 0, page
        self.added: list[dict[str, Any]] = []
        self.left_out: list[dict[str, Any]] = []

    def run(self) -> None:
        """Add files until an interrupt; with --once, those that are there. Then --json prints what was done."""
        try:
            self.watch()
        finally:  # also after Ctrl-C: the page then says that it is the last
            if self.page is not None and self.page.added:
                self.page.update(self.stack, ended=True)
            answer({"output": str(self.output), "frames": len(self.stack), "added": self.added,
                    "left_out": self.left_out})  # fmt: skip

    def watch(self) -> None:
        """The loop, and with --once its end."""
        from xccd.night.live.folder import Arrivals, events, rest

        own = {path.resolve() for path in (self.output, self.state) if path is not None}
        arrivals = Arrivals(self.folder, self.options["patience"], lambda p: p.resolve() in own, self.not_whole)
        once, written = self.options["once"], False
        with events(self.folder, self.options["poll"] or once) as changed:
            while True:
                with stage(BAD_INPUT, OSError):
                    written = self.look(arrivals) or written
                if once and not arrivals.pending:
                    break
                if self.page is not None:
                    self.page.catch_up(self.stack)
                waits = arrivals.pending or (self.page is not None and self.page.waits)
                rest(changed, waits, self.options["interval"])
        self.end(written)

    def look(self, arrivals: Arrivals) -> bool:
        """Add the files that are whole now; whether there was any."""
        before = len(self.stack)
        for path in arrivals.ready():
            if not self.stack.knows(path) and self.add(path):
                self.write(product=not self.options["once"])
        return len(self.stack) > before

    def add(self, path: Path) -> bool:
        """Add a file; whether it was. One that does not go with the others is named."""
        try:
            added = self.stack.add(path)
        except (OSError, ValueError, TypeError) as error:
            self.refuse(path, PYTHON_ONLY.sub("", in_options(str(error))))
            one_line(f"left out: {self.left_out[-1]['why']}", UserWarning)
            return False
        if added is None:  # a warning has named it
            self.refuse(path, "it cannot be brought onto the first frame")
            return False
        if self.page is not None:
            self.page.added.append(added)
        share = added.rejected / max(added.samples, 1)
        self.added.append({"file": str(path), "rejected": share})
        say(f"{len(self.stack)} {visible(path.name)}: {share:.2%} of its samples rejected")
        return True

    def refuse(self, path: Path, why: str) -> None:
        """Note a file that is left out."""
        self.refused += 1
        self.left_out.append({"file": str(path), "why": why})
        if self.page is not None:
            self.page.refused.append((path.name, why))

    def write(self, *, product: bool) -> None:
        """Write the state, then the product: after a kill in between the state has the frame."""
        with stage(NO_OUTPUT, OSError):
            if self.state is not None:
                self.stack.save(self.state)
            if product:
                self.stack.snapshot().ccd.to_fits(self.output, overwrite=True)
        if product and self.page is not None:
            self.page.update(self.stack)

    def not_whole(self, path: Path, why: str) -> None:
        """Name a file that is waited for no more."""
        if self.options["once"]:
            self.refuse(path, f"it is not whole: {why}")
        one_line(f"{path.name} is not whole ({why}): it is added when it is", UserWarning)

    def end(self, written: bool) -> None:
        """The last lines of --once."""
        if not len(self.stack):
            raise Stop(
                BAD_INPUT, f"no frame of {str(self.folder)!r} could be added: {str(self.output)!r} is not written"
            )
        if written or not self.output.exists():
            self.write(product=True)
        say(f"{visible(self.output)}: mean of {count(len(self.stack), 'frame')}")
        if self.refused:
            raise Stop(BAD_INPUT, f"{count(self.refused, 'file')} left out, named above")
