"""`xccd reduce`: a night of raw frames to masters and stacked lights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xccd.cli.cluster import check_cluster, cluster, cluster_options
from xccd.cli.options import (
    command,
    dry_run_option,
    files_argument,
    hdu_option,
    json_option,
    limits,
    memory_option,
    overwrite_option,
    progress_option,
    threads_option,
    wants_progress,
)
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, RUN_FAILED, USAGE, Stop, answer, say, stage, visible
from xccd.cli.typed import as_typed

if TYPE_CHECKING:
    from xccd.night.plan.jobs import Plan
    from xccd.night.recipe.recipe import Recipe
    from xccd.night.reduce.run_jobs import Result

NAMED = 5  # products in the last line


def folder(_: Any, __: Any, value: str | None) -> Path | None:
    """The folder of products. An empty name raises: a shell variable that is not set would stand for this folder."""
    if value == "":
        raise click.BadParameter("it is empty: name a folder")
    return None if value is None else Path(value)


@command("xccd reduce night/ -o products/", "xccd reduce night/ --dry-run", "xccd reduce --print-recipe > night.toml",
         "xccd reduce night/ -o products/ --recipe night.toml --set light.method=median --keep 'fwhm<80%'")  # fmt: skip
@files_argument("night", required=False)
@click.option("-o", "--output", callback=folder, metavar="FOLDER", help="Folder for the products.")
@click.option("--recipe", metavar="FILE", help="TOML file with choices; --print-recipe writes one.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="A choice in place of the recipe's, as light.method=median; may be repeated.")  # fmt: skip
@click.option("--keep", metavar="RULE", help="Keep the best lights only, as 'fwhm<80%'.")
@click.option("--print-recipe", is_flag=True, help="Print all choices as TOML, and where each is from.")
@dry_run_option
@click.option("-r", "--recursive", is_flag=True, help="Look into the folders of a folder, too.")
@hdu_option(text="The image of each file; all reduces each chip. Default: the first image.")
@click.option("--skip-bad", is_flag=True, help="Leave out frames that cannot be opened; the exit code is then 0.")
@cluster_options
@threads_option
@memory_option
@progress_option
@overwrite_option
@json_option
def reduce(night: tuple[str, ...], output: Path | None, **options: Any) -> int:
    """Reduce the raw frames of NIGHT: masters of bias, darks and flats, then an image of each object and filter.

    NIGHT are folders, files, globs and @lists. Products that are up to date stay as they are. Masters go to
    FOLDER/masters.
    """
    recipe = recipe_of(options)
    if options["print_recipe"]:
        print_recipe(recipe)
        return 0
    if not night:
        raise Stop(USAGE, "NIGHT is missing: give the folder of the raw frames (see xccd reduce --help)")
    if output is None and not options["dry_run"]:
        raise Stop(USAGE, "--output FOLDER is missing: name a folder for the products, or give --dry-run")
    check_cluster(options)
    folder, plan = planned(night, output, recipe, options)
    if options["dry_run"]:
        answer(plan.to_dict(), str(plan))
        return 0
    results = made(plan, recipe, folder, options | {"again": again(night, folder, options)})
    return ended(results, plan, options["skip_bad"])


def again(night: tuple[str, ...], folder: Path, options: dict[str, Any]) -> str:
    """The command that makes the night again, for its report."""
    words = ["-o", str(folder)]
    words += ["--recipe", options["recipe"]] if options["recipe"] is not None else []
    words += [word for change in options["changes"] for word in ("--set", change)]
    words += ["--keep", options["keep"]] if options["keep"] is not None else []
    words += [flag for flag, name in (("-r", "recursive"), ("--skip-bad", "skip_bad")) if options[name]]
    return as_typed("reduce", night, words, options["hdu"])


def recipe_of(options: dict[str, Any]) -> Recipe:
    """The recipe of the file, with the options that change it."""
    from xccd.night.recipe.recipe import Recipe

    with stage(BAD_INPUT, OSError), stage(USAGE, ValueError, TypeError):
        recipe = Recipe() if options["recipe"] is None else Recipe.from_file(options["recipe"])
    for change in options["changes"]:
        with stage(USAGE, ValueError, TypeError, of="--set"):
            recipe = recipe.with_text(change, source="--set")
    if options["keep"] is not None:
        with stage(USAGE, ValueError, TypeError, of="--keep"):
            recipe = recipe.replace(source="--keep", light={"keep": options["keep"]})
    return recipe


def print_recipe(recipe: Recipe) -> None:
    """Print the recipe as TOML."""
    from dataclasses import asdict

    answer(asdict(recipe), recipe.to_toml().rstrip("\n"))


def planned(
    night: tuple[str, ...], output: Path | None, recipe: Recipe, options: dict[str, Any]
) -> tuple[Path, Plan]:  # fmt: skip
    """The folder of the products and the plan."""
    from xccd.night.reduce.reduce import folder_of, planned, table_of

    with stage(NO_OUTPUT, OSError):
        folder = folder_of(Path("products") if output is None else output)
    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        table = table_of(list(night), folder, options["recursive"], options["hdu"])
        return folder, planned(table, recipe)


def made(plan: Plan, recipe: Recipe, folder: Path, options: dict[str, Any]) -> list[Result]:
    """Make the products, with a line for each."""
    from xccd.night.reduce.product_bar import product_bar
    from xccd.night.reduce.reduce import run

    results = []
    todo = sum(not job.ready for job in plan.jobs)
    how = {"overwrite": options["overwrite"], "errors": "skip" if options["skip_bad"] else "raise"}
    with (
        cluster(options),
        limits(options["threads"], options["memory"]),
        stage(NO_OUTPUT, OSError),
        product_bar(todo, asked=wants_progress(options["progress"])) as (tell, shown),
    ):
        for result in run(plan, recipe, folder, progress=tell, again=options["again"], **how):
            results.append(result)
            shown.add(result.status != "ready")
            say(line_of(result))
    return results


def line_of(result: Result) -> str:
    """What became of a product."""
    frames = f"{result.frames} frame{'s' * (result.frames != 1)}"
    what = {"made": f"{frames}, {result.seconds:.1f} s"}.get(result.status, result.status)
    return f"{visible(result.path)}: {what}" + (f" ({visible(result.why)})" if result.why else "")


def ended(results: list[Result], plan: Plan, skip_bad: bool) -> int:
    """The last lines; raises `Stop` with the code of what went wrong."""
    from xccd.night.reduce.reduce import as_table

    table = as_table(results, plan)
    answer([dict(zip(table, row, strict=True)) for row in table.astype(object).values.tolist()])
    problems = plan.left_out[plan.left_out["problem"].astype(str) != ""] if "problem" in plan.left_out else ()
    for row in plan.left_out.to_dict("records"):
        say(f"{visible(row['file'])}: left out ({visible(row['why'])})")
    failed = [r for r in results if r.status == "failed"]
    if failed:
        names = "; ".join(f"{r.product}: {r.why}" for r in failed[:NAMED])
        more = f"; and {len(failed) - NAMED} more" if failed[NAMED:] else ""
        raise Stop(code_of(failed), f"{len(failed)} of {len(results)} products failed: {names}{more}")
    if not results:
        raise Stop(BAD_INPUT, "no frame belongs to a product, see why each is left out")
    if len(problems) and not skip_bad:
        one = len(problems) == 1
        count = f"{len(problems)} {'file' if one else 'files'} cannot be opened and {'is' if one else 'are'} left out"
        raise Stop(BAD_INPUT, f"{count}; --skip-bad takes that as done")
    return 0


def code_of(failed: list[Result]) -> int:
    """The exit code: that of the gravest cause."""
    codes = {code_of_error(result.error) for result in failed if result.error is not None}
    return next(code for code in (RUN_FAILED, NO_OUTPUT, BAD_INPUT) if code in codes)


def code_of_error(error: Exception) -> int:
    """The exit code of an error: of the output, of the frames, or of the run."""
    if isinstance(error, OSError):
        return NO_OUTPUT if "path=" in str(error) else BAD_INPUT
    return BAD_INPUT if isinstance(error, ValueError | TypeError) else RUN_FAILED
