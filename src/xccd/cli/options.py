"""Options that commands share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from xccd.cli.lists import named_files
from xccd.cli.shell import EXIT_CODES, NO_OUTPUT, USAGE, Stop, stage, voice
from xccd.cli.voice import listen, log_to

Function = Callable[..., Any]
C = TypeVar("C", bound=click.Command)
Wrap = Callable[[Function], Function]


def command(*examples: str) -> Callable[[Function], click.Command]:
    """A command with the options of all commands; its help ends in examples and exit codes."""
    shown = "\b\nExample" + "s" * (len(examples) > 1) + ":\n" + "\n".join(f"  {one}" for one in examples)

    def made(function: Function) -> click.Command:
        return common(click.command(epilog=f"{shown}\n\n{EXIT_CODES}")(function))

    return made


def common(made: C) -> C:
    """Add the options -q, -v, --log-file and --version. They act when they are read, and are no arguments."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, expose_value=False, is_eager=True, callback=_quiet,
                     help="Say nothing but errors."),
        click.option("-v", "--verbose", count=True, expose_value=False, is_eager=True, callback=_verbose,
                     help="Say more; -vv: all, with tracebacks."),
        click.option("--log-file", metavar="FILE", type=click.Path(), expose_value=False, callback=_log_file,
                     help="Append what is said to a text file, each line with its time."),
        click.version_option(package_name="xccd", help="Show the version and exit."),
    ):  # fmt: skip
        made = option(made)
    return made


def _quiet(context: click.Context, __: Any, value: bool) -> None:
    voice().quiet |= value
    _check_voice()
    _progress(context, None, None)


def _progress(context: click.Context, __: Any, value: bool | None) -> bool | None:
    """Let all that takes long show a bar, until the command ends."""
    from xccd.compute.options import set_options

    context.with_resource(set_options(progress=wants_progress(value)))
    return value


def _verbose(_: Any, __: Any, value: int) -> None:
    now = voice()
    now.verbose = max(now.verbose, value)
    listen(now.level)
    _check_voice()


def _check_voice() -> None:
    if voice().quiet and voice().verbose:
        raise click.UsageError("--quiet and --verbose contradict each other: give one")


def _log_file(context: Any, __: Any, value: str | None) -> None:
    if value is None or context.resilient_parsing:
        return
    if not value:
        raise click.BadParameter("it is empty: name a text file")
    path = Path(value).expanduser()
    if not path.parent.is_dir():
        raise Stop(NO_OUTPUT, f"--log-file {value!r}: there is no folder {str(path.parent)!r}, make it first")
    with stage(NO_OUTPUT, OSError, ValueError, of="--log-file"):
        if path.is_file():  # text would be added to a raw frame
            with path.open("rb") as file:
                if b"\0" in (start := file.read(2880)) or start.startswith(b"SIMPLE  ="):
                    raise Stop(NO_OUTPUT, f"--log-file {value!r} is no text file: name another")
        log_to(path, shlex.join(["xccd", *voice().arguments]))


def _json(_: Any, __: Any, value: bool) -> None:
    voice().json |= value


def json_option(function: Function) -> Function:
    """--json: the command prints with `answer`, and what it says goes to no stdout."""
    return click.option("--json", is_flag=True, expose_value=False, is_eager=True, callback=_json,
                        help="Print the result as JSON, and nothing else on stdout.")(function)  # fmt: skip


def files_argument(name: str = "files", *, required: bool = True) -> Wrap:
    """Paths, folders, globs, @lists."""
    return click.argument(name, nargs=-1, required=required, type=click.Path(), callback=named_files)


def hdu(_: Any, __: Any, value: str | None) -> int | str | tuple[str, int] | None:
    """The HDU as a number, a name, or a name and a version."""
    if value == "":
        raise click.BadParameter("it is empty: give a number or a name")
    name, _, version = (value or "").rpartition(",")
    if name and version.strip().isdigit():
        return name.strip(), int(version)
    return int(value) if value and value.isdigit() else value


def hdu_option(*, every: bool = True, text: str = "The image's HDU. Default: the first image.") -> Wrap:
    """--hdu; with ``every`` also all."""
    return click.option("--hdu", callback=hdu, metavar="N|NAME|NAME,VERSION" + "|all" * every, help=text)


def masters_option(name: str, text: str) -> Wrap:
    """An option for masters: paths, folders, globs, @lists; it may be given several times."""
    return click.option(f"--{name}", multiple=True, metavar="FILE", type=click.Path(), callback=named_files, help=text)


def threads_option(function: Function) -> Function:
    """-j, --threads."""
    return click.option("-j", "--threads", type=click.IntRange(min=1), metavar="N",
                        help="Threads to use. Default: all cores.")(function)  # fmt: skip


def memory_option(function: Function) -> Function:
    """--memory."""
    return click.option("--memory", metavar="SIZE",
                        help="Memory limit for bands of the stack, such as '2 GB'.")(function)  # fmt: skip


def skip_bad_option(function: Function) -> Function:
    """--skip-bad."""
    return click.option("--skip-bad", is_flag=True,
                        help="Leave out files that cannot be opened, and say which.")(function)  # fmt: skip


def progress_option(function: Function) -> Function:
    """--progress; ask `wants_progress` what it means."""
    return click.option("--progress/--no-progress", default=None, callback=_progress,
                        help="Show a progress bar. Default: if stderr is a terminal.")(function)  # fmt: skip


def overwrite_option(function: Function) -> Function:
    """--overwrite."""
    return click.option("--overwrite", is_flag=True, help="Replace an output that exists.")(function)


def dry_run_option(function: Function) -> Function:
    """--dry-run."""
    return click.option("--dry-run", is_flag=True,
                        help="Say what would be done, from the headers alone; write nothing.")(function)  # fmt: skip


def wants_progress(asked: bool | None) -> bool:
    """Whether to show a bar: as asked, else on a terminal unless --quiet."""
    return (sys.stderr.isatty() and not voice().quiet) if asked is None else asked


@contextmanager
def limits(threads: int | None = None, memory: str | None = None) -> Iterator[None]:
    """A block with this many threads and this much memory."""
    import xccd

    with stage(USAGE, ValueError, TypeError):
        settings = xccd.set_options(threads=threads, memory=memory)
    with settings:
        yield
