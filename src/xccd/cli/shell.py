"""What the command prints: one line, with options in place of Python's arguments and without control characters."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from xccd.messages import did_you_mean

RUN_FAILED, USAGE, BAD_INPUT, NO_OUTPUT, INTERRUPTED, TERMINATED = 1, 2, 3, 4, 130, 143
ENDS = {
    0: "done",
    RUN_FAILED: "the run failed, or no sample was left: nothing is written",
    USAGE: "an option that is unknown, has no such value, or has no effect",
    BAD_INPUT: "a frame that is missing, damaged, or does not go with the others",
    NO_OUTPUT: "the output is there already, or cannot be written",
    INTERRUPTED: "interrupted (Ctrl-C)",
    TERMINATED: "terminated (SIGTERM); no file is left half written",
}
EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in ENDS.items())

# Python arguments whose option has another name.
ARGUMENTS = {"files": "FILES", "path": "--output", "where": "WHERE"}
# Advice for Python, and the same for a shell. Where the command has no option, the text names Python's function.
PHRASES = (
    (r"--q=None with (--method='quantile'): .*", r"\1 needs --q, from 0 to 1, as --q 0.25"),
    (r"clip_extrema\(nlow=(\d+), nhigh=(\d+)\)", r"--clip-extrema \1 \2"),
    (r"FILES=", "FILES "),
    (r"; an image of one file that is in memory, after \.load\(\), may go back there", ""),
    (r", or nkeep=1", ""),
    (r"\(None switches a side off\)", "(inf switches a side off)"),
    (r": a limit cannot be NaN, leave it out for none", ": a limit cannot be NaN, give inf or -inf for none"),
    (r", or use xccd\.open_tree.*", ""),
    (r": (mask|uncertainty)_hdu=None leaves it", r": only Python's open_stack can leave its \1"),
    (r": (mask|uncertainty)_hdu= takes a number.*", r": only Python's open_stack takes the number of its \1"),
    (r" \(mask_hdu=None: no mask is looked for\)", ""),
    (r": hdu='all' opens all, hdu= names others", ": --hdu all opens all, --hdu NAME another"),
    (r"mask_hdu=('[^']*'|\d+)", r"its mask \1"),
    (r", or a function( of \(values, axis\))?", ""),
    (r": say which one holds the frames, dim=.*", ": a frame has two dimensions or more"),
)


def in_options(message: str) -> str:
    """A function's message in the command's words: ``overwrite=True`` becomes ``--overwrite``."""
    context = click.get_current_context(silent=True)
    known = {p.name: p for p in context.command.params if isinstance(p, click.Option)} if context else {}

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"] or ""
        called = ARGUMENTS.get(name) or (max(known[name].opts, key=len) if name in known else name)
        if name in known and known[name].is_flag and value in ("True", "False"):
            return called
        if value.startswith("(") and name in known:  # several values in one, such as 'SCI,2'
            value = repr(re.sub("[()' ]", "", value))
        return f"{called}={value}" if value or called == name else called

    said = re.sub(r"(?<![\w/-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|\"[^\"]*\"|\([^)]*\)|[\w.+-]*)", option, message)
    for pattern, way in PHRASES:
        said = re.sub(pattern, way, said)
    return said


def visible(text: object) -> str:
    """The text with everything unprintable escaped as in Python, also in file names."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def say(text: object) -> None:
    """Print lines on stdout. What the terminal's encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in str(text).split("\n"):
        click.echo(visible(line).encode(encoding, "backslashreplace").decode(encoding))


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


def one_line(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """Print a warning as one line on stderr."""
    click.echo(f"xccd: warning: {visible(in_options(str(message)))}", err=True)


class Log(logging.Handler):
    """Prints log records as lines of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"xccd: {record.levelname.lower()}: {visible(in_options(record.getMessage()))}", err=True)


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Print the package's log from WARNING up on stderr."""
    handler, log = Log(logging.WARNING), logging.getLogger("xccd")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def of_click(error: click.ClickException, commands: Mapping[str, click.Command]) -> str:
    """The message of click for a wrong option or command, with similar names and where to read more."""
    context, text = getattr(error, "ctx", None), error.format_message()
    near = re.match(r"No such (?:option|command)\D*?'?(-*[\w-]+)'?", text)
    if context and near and "did you mean" not in text.lower():  # click 8.4 adds it itself
        names = [name for p in context.command.params for name in p.opts]
        text += did_you_mean(near[1], [*names, *getattr(context.command, "commands", ())])
    option = getattr(error, "option_name", "")
    for parameter in (p for command in commands.values() for p in command.params if option in p.opts and p.nargs > 1):
        text += f" As {option} {parameter.metavar}."
    return f"{text} (see {context.command_path if context else 'xccd'} --help)"
