"""How a run of the command ends: exit codes, errors as one line, signals."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from xccd.cli.voice import answer, one_line, say, voice
from xccd.cli.wording import in_options, visible
from xccd.messages import did_you_mean

__all__ = [
    "BAD_INPUT", "ENDS", "EXIT_CODES", "INTERRUPTED", "NO_OUTPUT", "RUN_FAILED", "TERMINATED", "USAGE", "Stop",
    "answer", "in_options", "of_click", "one_line", "say", "stage", "terminable", "visible", "voice",
]  # fmt: skip

RUN_FAILED, USAGE, BAD_INPUT, NO_OUTPUT, INTERRUPTED, TERMINATED = 1, 2, 3, 4, 130, 143
ENDS = {
    0: "done",
    RUN_FAILED: "the run failed, or no sample was left: nothing is written",
    USAGE: "an option that is unknown, has no such value, or has no effect; or a package is missing",
    BAD_INPUT: "a frame that is missing, damaged, or does not go with the others",
    NO_OUTPUT: "the output is there already, or cannot be written",
    INTERRUPTED: "interrupted (Ctrl-C)",
    TERMINATED: "terminated (SIGTERM); no file is left half written",
}
EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in ENDS.items())


class Stop(Exception):
    """Ends the command with an exit code and one line on stderr."""

    def __init__(self, code: int, message: object) -> None:
        super().__init__(in_options("; ".join([str(message), *getattr(message, "__notes__", ())])))
        self.code = code


@contextmanager
def stage(code: int, *kinds: type[Exception], of: str = "") -> Iterator[None]:
    """Turn errors of ``kinds`` into `Stop` with ``code``; ``of`` names the option in the message."""
    try:
        yield
    except kinds as error:
        raise Stop(code, f"{of}: {error}" if of else error) from error


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise in the block, so that no file is left half written. Does nothing if it has a handler."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end the cleanup
        os.write(2, b"xccd: terminated\n")
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def of_click(error: click.ClickException, commands: Iterable[str] = (), typed: click.Command | None = None) -> str:
    """The message of click for a wrong option or command, with similar names and where to read more."""
    context, text = getattr(error, "ctx", None), " ".join(error.format_message().split())
    near = re.match(r"No such (?:option|command)\D*?'?(-*[\w-]+)'?", text)
    if context and near and "did you mean" not in text.lower():  # click 8.4 adds it itself
        names = [name for p in context.command.params for name in p.opts]
        text += did_you_mean(near[1], [*names, *commands])
    option = getattr(error, "option_name", "")
    for parameter in (p for p in (typed.params if typed else ()) if option in p.opts and p.nargs > 1):
        text += f" As {option} {parameter.metavar}."
    path = context.command_path if context else f"xccd {typed.name}" if typed else "xccd"
    return f"{text} (see {path} --help)"
