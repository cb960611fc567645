"""`reduce`: a night of raw frames to masters and stacked lights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.messages import a_type, did_you_mean, shown
from xccd.night.plan.table_rows import DONE
from xccd.night.recipe.recipe import Recipe
from xccd.night.reduce.night_page import NightPage, write_night_page
from xccd.night.reduce.one_at_a_time import alone
from xccd.night.reduce.run_jobs import LEFT_OUT, Night, Result
from xccd.night.scan.scan import scan
from xccd.read.images.table import is_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.plan.plan import Plan

COLUMNS = ("product", "kind", "frames", "status", "why", "path", "seconds")
Tell = Callable[[str, str, int, int], object]


def reduce(
    frames: Any,
    recipe: Recipe | None = None,
    *,
    output: str | os.PathLike[str],
    recursive: bool = False,
    overwrite: bool = False,
    errors: str = "raise",
    progress: Tell | None = None,
) -> DataFrame:
    """Reduce a night: masters of bias frames, darks and flats, then an image of each object and filter.

    Nothing is done twice: a product whose frames, masters and recipe are as they were stays as it is. So a run that was
    interrupted goes on where it ended.

    Parameters
    ----------
    frames : DataFrame, path, glob, folder, or a list of paths
        The table of `scan`, which may be sorted, filtered and mended; or what `scan` takes.
    recipe : Recipe, optional
        All choices. Default: ``Recipe()``.
    output : path
        The folder for the products, made if it is not there. It may lie inside the folder of the frames: its files are
        not taken for frames.
    recursive : bool, default: False
        Look into the folders of a folder, too.
    overwrite : bool, default: False
        Replace files in the places of products that are no products of `reduce`.
    errors : "raise" or "skip", default: "raise"
        What becomes of a product if a frame cannot be opened: it fails, or is made without the frame. What `scan` finds
        to be no image is left out in any case.
    progress : callable, optional
        It is called with (product, what is done, bytes written, bytes in all), from any thread.

    Returns
    -------
    pandas.DataFrame
        A row for each product, in the order in which they are made, and one for each frame that is in none:

        - ``product``, ``kind``, and the number of ``frames``;
        - ``status``: "made", "up to date", "failed" or "left out";
        - ``why``: what was chosen or is missing, or why it failed;
        - ``path`` and ``seconds``.

        One product that fails does not stop the others, but for those that need it.

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be used; ``output`` is the folder of the frames; two products of one name.
    OSError
        There are no frames; ``output`` cannot be made or written to; another run writes to it.

    See Also
    --------
    scan : The table of frames.

    Notes
    -----
    A light goes to ``object-filter-exposure.fits``, a master to ``masters/``. Each product is written whole or not at
    all. Its header has the steps, the masters and the frames; its extensions are the maps (UNCERT, COMMON, COUNT, MASK,
    ...), and RECIPE, from which ``xccd run --from product.fits`` makes it again. Beside each light is a PNG in the grey
    levels of zscale, if matplotlib is installed.
    ``report.html`` shows the night on a page. The folder ``.xccd`` keeps what the products were made of.

    The order of the frames, threads, and the memory limit of `set_options` do not change a pixel. With a client of
    dask.distributed, its workers do the work; they must see the files.

    Examples
    --------
    >>> import tempfile
    >>> import xccd
    >>> folder = tempfile.mkdtemp()
    >>> night = xccd.simulate_night(f"{folder}/night", shape=(64, 80), nbias=5, ndark=5, nflat=5, nlight=6)
    >>> done = xccd.reduce(night, output=f"{folder}/products")
    >>> done[["product", "frames", "status"]].values.tolist()[-1]
    ['Made-up_field-r-120s', 6, 'made']
    >>> set(xccd.reduce(night, output=f"{folder}/products").status)
    {'up to date'}
    """
    recipe = checked_recipe(recipe)
    if errors not in ("raise", "skip"):
        raise ValueError(
            f"errors={errors!r} is unknown: use 'raise' or 'skip'{did_you_mean(errors, ('raise', 'skip'))}"
        )
    folder = folder_of(output)
    table = table_of(frames, folder, recursive)
    plan = planned(table, recipe)
    how: dict[str, Any] = {"overwrite": overwrite, "errors": errors, "progress": progress}
    return as_table(list(run(plan, recipe, folder, again=_call(frames, output, recursive), **how)), plan)


def _call(frames: Any, output: Any, recursive: bool) -> str:
    """The call that makes the night again, with the recipe that the page of the night shows."""
    given = "table" if is_table(frames) else repr(frames)
    more = ", recursive=True" if recursive else ""
    said = "# table: the frames of the products above, as xccd.scan lists them\n" if given == "table" else ""
    return f"{said}xccd.reduce({given}, recipe, output={os.fspath(output)!r}{more})"


def checked_recipe(recipe: Any) -> Recipe:
    """The recipe, or the default one; raises for anything else."""
    if recipe is None:
        return Recipe()
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe= is {a_type(recipe)}: give an xccd.Recipe, or None for the default")
    return recipe


def folder_of(output: Any) -> Path:
    """The folder of the products; raises if it can be none. It is not made yet."""
    if not isinstance(output, str | os.PathLike) or os.fspath(output) == "":
        raise TypeError(f"output={output!r} is no folder, but {a_type(output)}: give a path")
    folder = Path(os.path.expanduser(output))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"output={str(output)!r} is a file: name a folder for the products")
    return folder


def table_of(frames: Any, output: Path, recursive: bool) -> DataFrame:
    """The table of the frames; of folders, without what lies in the folder of the products."""
    if is_table(frames):
        return frames
    given = list(frames) if isinstance(frames, list | tuple) else [frames]
    own = output.resolve()
    for one in given:
        if isinstance(one, str | os.PathLike) and own.is_dir() and Path(os.path.expanduser(one)).resolve() == own:
            raise ValueError(
                f"output={str(output)!r} is the folder of the frames, and products in it could be taken for frames: "
                f"name another, as {str(output / 'products')!r}"
            )
    table = scan(given if len(given) != 1 else given[0], recursive=recursive, keywords=DONE)
    inside = [own in Path(file).resolve().parents for file in table["file"]]
    within = any(isinstance(one, str | os.PathLike) and own in Path(one).resolve().parents for one in given)
    if within or not any(inside):
        return table
    kept = table[[not is_inside for is_inside in inside]].reset_index(drop=True)
    if not len(kept):
        raise FileNotFoundError(f"frames={frames!r} holds no frame but the products in {shown(str(output))}")
    return kept


def planned(table: DataFrame, recipe: Recipe) -> Plan:
    """The plan for a table; raises if two products would go to one file."""
    from xccd.night.plan.plan import plan

    made = plan(table, recipe)
    check_names(made)
    return made


def check_names(plan: Plan) -> None:
    """Raise if two jobs would write one file, also where letters of two sizes are one name."""
    seen: dict[str, str] = {}
    for job in (job for job in plan.jobs if not job.ready):
        key = job.path.casefold()
        if key in seen:
            raise ValueError(f"two products would go to {job.path!r}: mend object, filter or exposure in the table")
        seen[key] = job.name


def run(
    plan: Plan, recipe: Recipe, output: Path, *, overwrite: bool = False, errors: str = "raise",
    progress: Tell | None = None, again: str = "",
) -> Iterator[Result]:  # fmt: skip
    """Make the products of a plan; a result for each, when it is done. The page of the night is written last.

    ``again`` is the call or the command that makes it again.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not os.access(output, os.W_OK):
        raise PermissionError(f"output={str(output)!r}: no permission to write there")
    how = {} if errors == "raise" else {"errors": errors}
    with alone(output):
        results = []
        for result in Night(plan, recipe, output, overwrite, how, progress or _silent).run():
            results.append(result)
            yield result
        if recipe.output.report:
            write_night_page(NightPage(plan, results, recipe, output, again), overwrite=overwrite)


def _silent(*_: Any) -> None:
    pass


def as_table(results: list[Result], plan: Plan) -> DataFrame:
    """The results as a table, with a row for each frame that is left out."""
    import pandas as pd

    rows = [[getattr(result, column) for column in COLUMNS] for result in results]
    rows += [
        [Path(row["file"]).name, row["kind"], 1, LEFT_OUT, row["why"], row["file"], 0.0]
        for row in plan.left_out.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
