"""`xccd completion`: the script with which a shell completes commands, options and names of files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from xccd.cli.options import command
from xccd.cli.shell import answer

SHELLS = ("bash", "zsh", "fish")


@command(
    'eval "$(xccd completion bash)"      # in ~/.bashrc',
    'eval "$(xccd completion zsh)"       # in ~/.zshrc',
    "xccd completion fish > ~/.config/fish/completions/xccd.fish",
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script for completion in a shell."""
    made = get_completion_class(shell)
    assert made is not None
    group = click.get_current_context().find_root().command
    answer(None, made(group, {}, "xccd", "_XCCD_COMPLETE").source())
