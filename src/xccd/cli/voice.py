"""What a run of the command says, and where: stdout, stderr, a log file."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from xccd.cli.wording import in_options, visible
from xccd.compute import progress

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)  # of the log on stderr, by the count of -v
log = logging.getLogger("xccd")


class StdoutError(Exception):
    """Nothing can be printed on stdout: its disk is full, or nobody listens."""


class Voice:
    """How much is said. One for each run; `-q`, `-v`, `--json` and `--log-file` set it."""

    def __init__(self) -> None:
        self.quiet = self.json = False
        self.verbose = 0
        self.arguments: list[str] = []  # as they were typed
        self.file: LogFile | None = None

    @property
    def level(self) -> int:
        """The least level of the log that is shown on stderr."""
        return logging.ERROR if self.quiet else LEVELS[min(self.verbose, len(LEVELS) - 1)]

    def to_file(self, level: int, text: str) -> None:
        """A line for the log file, if there is one."""
        if self.file is not None:
            self.file.emit(log.makeRecord("xccd", level, "", 0, text, (), None))


_now = Voice()


def voice() -> Voice:
    """The voice of this run."""
    return _now


@contextmanager
def speaking() -> Iterator[Voice]:
    """A run with a voice of its own, in which warnings and the package's log are lines on stderr."""
    global _now
    before, level, handler = _now, log.level, OnStderr()
    _now = Voice()
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = one_line
            yield _now
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        if _now.file is not None:
            log.removeHandler(_now.file)
            with suppress(OSError):  # a full disk, which was said
                _now.file.close()
        _now = before


def listen(level: int) -> None:
    """Let the package make records from this level up."""
    log.setLevel(min(level, log.getEffectiveLevel()))


def say(text: object) -> None:
    """A line on the work done: on stdout, unless -q or --json keep it free; also into the log file."""
    now = voice()
    now.to_file(logging.INFO, str(text))
    if not (now.quiet or now.json):
        print_lines(text)


def answer(value: Any, text: object = None) -> None:
    """What was asked for, on stdout: ``value`` as JSON with --json, else ``text``, which -q does not keep back."""
    if voice().json:
        print_lines(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
    elif text is not None:
        print_lines(text)


def print_lines(text: object) -> None:
    """Print lines on stdout. What the terminal's encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for line in str(text).split("\n"):
            with progress.aside():
                click.echo(visible(line).encode(encoding, "backslashreplace").decode(encoding))
    except OSError as error:
        raise StdoutError(error) from error


def one_line(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """Print a warning as one line on stderr."""
    text, now = in_options(str(message)), voice()
    now.to_file(logging.WARNING, text)
    if not now.quiet:
        to_stderr(f"xccd: warning: {visible(text)}")


def complain(text: object) -> None:
    """The line on stderr with which a run fails; also into the log file."""
    voice().to_file(logging.ERROR, str(text))
    to_stderr(f"xccd: {visible(text)}")


def to_stderr(line: str) -> None:
    """Print a line on stderr; a bar makes room for it."""
    with progress.aside():
        click.echo(line, err=True)


class OnStderr(logging.Handler):
    """Prints log records as lines of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= voice().level:
            to_stderr(f"xccd: {record.levelname.lower()}: {visible(in_options(record.getMessage()))}")


class LogFile(logging.FileHandler):
    """Appends a line with the time (UTC) for each record."""

    def __init__(self, path: Path, level: int) -> None:
        super().__init__(path, mode="a", encoding="utf-8", errors="backslashreplace")
        self.setLevel(level)
        self.broken = False

    def format(self, record: logging.LogRecord) -> str:
        """The time, the level and the text, whatever is in it, on one line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return "\n".join(f"{when} {record.levelname} {visible(s)}" for s in record.getMessage().split("\n"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (its name in logging)
        """Say once that lines are lost: the work goes on."""
        if not self.broken:
            self.broken = True
            to_stderr(f"xccd: warning: --log-file {self.baseFilename!r}: {sys.exc_info()[1]}")


def log_to(path: Path, arguments: str) -> None:
    """Write a log file, too, beginning with the command as it was typed. Raises OSError."""
    now = voice()
    level = logging.DEBUG if now.verbose > 1 else logging.INFO
    now.file = LogFile(path, level)
    log.addHandler(now.file)
    listen(level)
    now.to_file(logging.INFO, arguments)
