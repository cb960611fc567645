"""The group of commands, and the exit code of each end."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module

import click

from xccd.cli.options import common
from xccd.cli.shell import (
    EXIT_CODES,
    INTERRUPTED,
    NO_OUTPUT,
    RUN_FAILED,
    USAGE,
    Stop,
    of_click,
    terminable,
    voice,
)
from xccd.cli.voice import StdoutError, complain, speaking

# In the order of the work. Each is the name of a module in this folder, and of its command.
COMMANDS = (
    "scan",
    "info",
    "stats",
    "verify",
    "calibrate",
    "align",
    "combine",
    "reduce",
    "run",
    "live",
    "preview",
    "report",
    "demo",
    "completion",
)


class Commands(click.Group):
    """The commands, each imported when it is asked for: the start takes no longer with more of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names for the help."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(f"xccd.cli.{cmd_name}"), cmd_name)
        assert isinstance(found, click.Command)
        # not all are made by `options.command`
        return found if any("--quiet" in p.opts for p in found.params) else common(found)


@common
@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES, no_args_is_help=True
)
def cli() -> None:
    """Calibrate, stack and combine astronomical images.

    `xccd COMMAND --help` has the options and examples of a command.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with a code of `shell.ENDS`."""
    with speaking() as now:
        now.arguments = sys.argv[1:] if arguments is None else arguments
        sys.exit(code_of(arguments))


def code_of(arguments: list[str] | None) -> int:
    """Run the command; returns its exit code."""
    try:
        with terminable():
            code = cli.main(arguments, prog_name="xccd", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return failed(INTERRUPTED, "interrupted")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        return failed(USAGE, of_click(error, COMMANDS, typed()), error)
    except Stop as stop:
        return failed(stop.code, stop, stop)
    except StdoutError as error:
        if isinstance(error.__cause__, BrokenPipeError):  # as of `xccd scan | head`: nobody listens
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return NO_OUTPUT
        return failed(NO_OUTPUT, f"stdout: {error}", error)
    except Exception as error:
        if isinstance(error, ImportError) and "pip install" in str(error):  # said by us: no fault to look for
            return failed(USAGE, error, error)
        more = "" if voice().verbose > 1 else " (-vv shows where)"
        return failed(RUN_FAILED, f"{type(error).__name__}: {error}{more}", error)


def typed() -> click.Command | None:
    """The command that was typed, if there is one."""
    name = next((word for word in voice().arguments if word in COMMANDS), None)
    return cli.get_command(click.Context(cli), name) if name else None


def failed(code: int, message: object, error: Exception | None = None) -> int:
    """Print one line on stderr, after the traceback with -vv; returns ``code``."""
    if error is not None and voice().verbose > 1:
        for part in traceback.format_exception(error):
            click.echo(part, err=True, nl=False)
    complain(message)
    return code
