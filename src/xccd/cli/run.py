"""`xccd run`: a product made again from what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xccd.cli.cluster import cluster, cluster_options
from xccd.cli.options import command, json_option, limits, memory_option, overwrite_option, threads_option
from xccd.cli.output_names import check_output
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, USAGE, Stop, answer, say, stage, visible, voice


@command("xccd run --from products/M_51-r-120s.fits -o again.fits")
@click.option("--from", "product", required=True, type=click.Path(path_type=Path), metavar="PRODUCT",
              help="A product of xccd reduce, combine or calibrate; its extension RECIPE tells how.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="FITS file to write. Default: PRODUCT itself, with --overwrite.")  # fmt: skip
@click.option("--changed", is_flag=True, help="Go on if frames have changed since.")
@cluster_options
@threads_option
@memory_option
@json_option
@overwrite_option
def run(product: Path, output: Path | None, changed: bool, overwrite: bool, **options: Any) -> None:
    """Make PRODUCT again from its frames, with the same pixels.

    Masters of xccd reduce that are not there any more are made again, too. Frames that have changed are named, and
    nothing is written.
    """
    from xccd.night.reduce.run_again import COMMAND, recorded_in, run_again
    from xccd.write.fits import check_target

    if not product.is_file():
        raise Stop(BAD_INPUT, f"--from {str(product)!r}: there is no such file")
    target = product if output is None else output
    check_output(target)
    with stage(NO_OUTPUT, OSError):
        check_target(target, overwrite)
    with stage(BAD_INPUT, OSError, ValueError):
        told = recorded_in(product)
    if told.get("command") != COMMAND:
        by_command(told, product, target, options | {"changed": changed, "overwrite": overwrite})
        return
    with cluster(options), limits(options["threads"], options["memory"]), stage(BAD_INPUT, ValueError, TypeError):
        try:
            again = run_again(product, target, changed=changed, overwrite=overwrite)
        except OSError as error:
            raise Stop(NO_OUTPUT if "path=" in str(error) else BAD_INPUT, error) from error
    answer({"output": str(target), "from": str(product), "masters_made_again": again})
    more = f"; masters made again, too: {', '.join(again)}" if again else ""
    say(f"{visible(target)}: made again from {visible(product)}{visible(more)}")


def by_command(told: dict[str, Any], product: Path, target: Path, options: dict[str, Any]) -> None:
    """Run the command that made a product, on the same files."""
    from xccd.cli.main import cli
    from xccd.night.reduce.run_again import command_again

    if options["scheduler"] is not None or options["workers"] is not None:
        raise Stop(USAGE, f"--scheduler and --workers have no effect on a product of {told.get('command')}")
    with stage(BAD_INPUT, OSError, ValueError, of=visible(product)):
        name, words, files = command_again(told, product.parent, changed=options["changed"])
    more = ["--overwrite"] if options["overwrite"] else []
    more += [word for k in ("threads", "memory") if options[k] is not None for word in (f"--{k}", str(options[k]))]
    voice().arguments = [name, *words, *more, "-o", escaped(target), "--", *files]  # the product says it, too
    cli.main(voice().arguments, prog_name="xccd", standalone_mode=False)


def escaped(target: Path) -> str:
    """A name that is no template."""
    return str(target).replace("{", "{{").replace("}", "}}")
