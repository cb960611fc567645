"""The group of commands, and the exit code of each end."""

from __future__ import annotations

import sys
import warnings

import click

from xccd.cli.combine import combine
from xccd.cli.demo import demo
from xccd.cli.info import info
from xccd.cli.live import live
from xccd.cli.preview import preview
from xccd.cli.report import report
from xccd.cli.scan import scan
from xccd.cli.shell import (
    EXIT_CODES,
    INTERRUPTED,
    RUN_FAILED,
    USAGE,
    Stop,
    log_on_stderr,
    of_click,
    one_line,
    terminable,
    visible,
)
from xccd.cli.stats import stats
from xccd.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="xccd")
def cli() -> None:
    """Stack, clip and combine astronomical images."""


cli.add_command(combine)
cli.add_command(demo)
cli.add_command(live)
cli.add_command(scan)
cli.add_command(info)
cli.add_command(stats)
cli.add_command(preview)
cli.add_command(report)
cli.add_command(verify)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with a code of `shell.ENDS`."""
    try:
        with terminable(), log_on_stderr(), warnings.catch_warnings():
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
    """Print one line on stderr and exit with ``code``."""
    click.echo(f"xccd: {visible(message)}", err=True)
    sys.exit(code)
