"""`reduce`: a night of raw frames to masters and stacked lights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.labels.choices import OrSkip
from xccd.messages import a_type, did_you_mean, shown
from xccd.night.plan.table_rows import DONE
from xccd.night.recipe.recipe import Recipe
from xccd.night.reduce.check_keywords import check_keywords
from xccd.night.reduce.night_page import NightPage, write_night_page
from xccd.night.reduce.one_at_a_time import alone
from xccd.night.reduce.product_bar import Tell, product_bar
from xccd.night.reduce.run_jobs import LEFT_OUT, READY, Night, Result
from xccd.night.scan.scan import scan
from xccd.read.images.chips import HDUNames
from xccd.read.images.table import is_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.plan.plan import Plan

COLUMNS = ("product", "kind", "frames", "status", "why", "path", "seconds")


def reduce(
    frames: Any,
    recipe: Recipe | None = None,
    *,
    output: str | os.PathLike[str],
    recursive: bool = False,
    hdu: HDUNames = None,
    overwrite: bool = False,
    errors: OrSkip = "raise",
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
    hdu : int, str, (str, int), "all" or a list of them, optional
        As for `scan`: the image of each file, if ``frames`` is no table. Default: the first; if there are others, the
        log says so. With "all" each chip gets masters and images of its own.
    overwrite : bool, default: False
        Replace files in the places of products that are no products of `reduce`.
    errors : "raise" or "skip", default: "raise"
        What becomes of a product if a frame cannot be opened: it fails, or is made without the frame. What `scan` finds
        to be no image is left out in any case.
    progress : callable, optional
        It is called with (product, what is done, bytes written, bytes in all), from any thread. Default: a bar, if
        ``xccd.set_options(progress=True)`` asked for bars.

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
    ImportError
        Lights are kept or weighted by their stars, which needs sep.

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
    for name, value in (("recursive", recursive), ("overwrite", overwrite)):
        if not isinstance(value, bool):
            raise TypeError(f"{name}={value!r} is {a_type(value)}: give True or False")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress={progress!r} is {a_type(progress)}: give a function of four arguments, or None")
    if errors not in ("raise", "skip"):
        raise ValueError(
            f"errors={errors!r} is unknown: use 'raise' or 'skip'{did_you_mean(errors, ('raise', 'skip'))}"
        )
    folder = folder_of(output)
    table = table_of(frames, folder, recursive, hdu)
    plan = planned(table, recipe)
    results = []
    how: dict[str, Any] = {"overwrite": overwrite, "errors": errors, "again": _call(frames, output, recursive, hdu)}
    with product_bar(sum(not job.ready for job in plan.jobs), progress) as (tell, shown):
        for result in run(plan, recipe, folder, progress=tell, **how):
            results.append(result)
            shown.add(result.status != READY)
    return as_table(results, plan)


def _call(frames: Any, output: Any, recursive: bool, hdu: HDUNames) -> str:
    """The call that makes the night again, with the recipe that the page of the night shows."""
    given = "table" if is_table(frames) else repr(frames)
    more = (", recursive=True" if recursive else "") + ("" if hdu is None else f", hdu={hdu!r}")
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
    if "\0" in os.fspath(output):
        raise ValueError(f"output={os.fspath(output)!r} holds a null byte: name a folder for the products")
    folder = Path(os.path.expanduser(output))
    with naming(folder):
        if os.path.lexists(folder) and not folder.is_dir():
            what = "a link to nowhere" if folder.is_symlink() and not folder.exists() else "a file"
            raise NotADirectoryError(f"output={str(output)!r} is {what}: name a folder for the products")
    return folder


@contextmanager
def naming(output: Path) -> Iterator[None]:
    """A block whose errors of the system tell that the folder of the products is meant."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        way = (
            "name a folder that can be made" if not os.path.isdir(output) else "make room there, or name another folder"
        )
        if isinstance(error, PermissionError):
            way = "no permission to write there: name another folder"
        raise type(error)(f"output={str(output)!r}: {error.strerror}; {way}") from error


def table_of(frames: Any, output: Path, recursive: bool, hdu: HDUNames = None) -> DataFrame:
    """The table of the frames; of folders, without what lies in the folder of the products."""
    if is_table(frames):
        if not len(frames):
            raise ValueError("frames= is a table without rows: give one row to each frame, as xccd.scan does")
        if hdu is not None:
            raise ValueError(
                f"hdu={hdu!r} goes with files: a table has its own column, as of xccd.scan(..., hdu={hdu!r})"
            )
        return frames
    if not (isinstance(frames, str | os.PathLike | list | tuple) or hasattr(frames, "fs")):
        raise TypeError(f"frames= is {a_type(frames)}: give the table of xccd.scan, a folder, or a list of paths")
    given = list(frames) if isinstance(frames, list | tuple) else [frames]
    own = output.resolve()
    for one in given:
        if isinstance(one, str | os.PathLike) and os.path.isdir(own) and Path(os.path.expanduser(one)).resolve() == own:
            raise ValueError(
                f"output={str(output)!r} is the folder of the frames, and products in it could be taken for frames: "
                f"name another, as {str(output / 'products')!r}"
            )
    table = scan(given if len(given) != 1 else given[0], recursive=recursive, hdu=hdu, keywords=DONE)
    inside = [own in Path(file).resolve().parents for file in table["file"]]
    within = any(isinstance(one, str | os.PathLike) and own in Path(one).resolve().parents for one in given)
    if within or not any(inside):
        return table
    kept = table[[not is_inside for is_inside in inside]].reset_index(drop=True)
    if not len(kept):
        raise FileNotFoundError(f"frames={frames!r} holds no frame but the products in {shown(str(output))}")
    return kept


def planned(table: DataFrame, recipe: Recipe) -> Plan:
    """The plan for a table; raises if two products would go to one file, or the recipe names an unknown keyword."""
    from xccd.night.plan.plan import plan

    made = plan(table, recipe)
    check_names(made)
    check_keywords(made, recipe)
    return made


def check_names(plan: Plan) -> None:
    """Raise if two jobs would write one file, also where letters of two sizes are one name."""
    seen: dict[str, str] = {}
    for job in (job for job in plan.jobs if not job.ready):
        key = job.path.casefold()
        if key in seen:
            raise ValueError(f"two products would go to {job.path!r}: mend object, filter or exposure in the table")
        seen[key] = job.name


def check_places(plan: Plan, output: Path) -> None:
    """Raise if a product would take the place of a frame."""
    frames = {os.path.realpath(file) for job in plan.jobs for file in job.frames["file"]}
    for job in (job for job in plan.jobs if not job.ready):
        if os.path.realpath(output / job.path) in frames:
            raise ValueError(
                f"output={str(output)!r}: the product {job.path!r} would replace a frame of that name: name another "
                "folder"
            )


def run(
    plan: Plan, recipe: Recipe, output: Path, *, overwrite: bool = False, errors: str = "raise",
    progress: Tell | None = None, again: str = "",
) -> Iterator[Result]:  # fmt: skip
    """Make the products of a plan; a result for each, when it is done. The page of the night is written last.

    ``again`` is the call or the command that makes it again.
    """
    check_places(plan, output)
    with naming(output):
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
