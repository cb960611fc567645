"""`plan`: the products of a night, from the table of its frames; or what a lazy stack will read and hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import xarray as xr

from xccd.night.plan.jobs import Job as Job
from xccd.night.plan.jobs import Part as Part
from xccd.night.plan.jobs import Plan as Plan
from xccd.night.recipe.recipe import Recipe
from xccd.verbs.stack_plan import StackPlan, plan_of_stack

if TYPE_CHECKING:
    from pandas import DataFrame


@overload
def plan(table: xr.DataArray | xr.Dataset, recipe: None = None) -> StackPlan: ...
@overload
def plan(table: DataFrame, recipe: Recipe | None = None) -> Plan: ...
def plan(table: Any, recipe: Recipe | None = None) -> Plan | StackPlan:
    """Tell which products a night gives, or what it takes to compute a lazy stack, before anything is done.

    **A night.** ``plan(table, recipe)`` tells which products it gives, and of which frames and masters each is made.

    Frames are grouped by what the table says, so what was mended in it counts. Each row belongs to one product, or is
    left out with a reason.

    **A stack.** ``stack.ccd.plan()`` tells the bytes to read, the memory at the peak, chunks, tasks and threads of a
    lazy stack, or of what was made of it, as an image that was not computed yet.

    Parameters
    ----------
    table : pandas.DataFrame, or DataArray or Dataset
        The table of `scan`; its rows may be in any order. Or a stack, or an image of it; of a Dataset all variables
        are counted.
    recipe : Recipe, optional
        The choices for a night. Default: those of ``Recipe()``.

    Returns
    -------
    Plan or StackPlan
        Of a stack a ``StackPlan``: it prints as some lines, and has the fields ``kind``, ``read`` (bytes), ``exact``,
        ``files``, ``chunks``, ``rows``, ``tasks``, ``threads``, ``memory`` (bytes), ``result`` (bytes) and ``limit``.
        Of a night a ``Plan``: its ``jobs`` are the products in the order in which they are made, with their ``frames``,
        ``masters`` and ``notes``; ``left_out`` are the other rows, with a column ``why``. ``str(plan)`` shows it as a
        tree, ``plan.to_dict()`` gives it in the types of JSON.

    Raises
    ------
    TypeError
        ``table`` is no table and no stack, ``recipe`` no recipe.
    ValueError
        ``recipe`` is given with a stack. Of a night: a column is missing, or has a value that is none of its kind;
        ``light.by`` names a column that is not there.

    Notes
    -----
    Of a stack the bytes to read are exact for plain files on this machine; of compressed ones ``exact`` is False. The
    memory is an estimate, see :doc:`statistics`.

    Of a night no pixel is read. The header of a master dark that is there already is read, if the table has no column
    BIASCOR: it tells whether the bias is in it.

    Examples
    --------
    >>> import tempfile
    >>> import xccd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     night = xccd.simulate_night(folder, shape=(64, 64), nbias=3, ndark=3, nflat=3, nlight=3)
    ...     plan = xccd.plan(xccd.scan(night))
    >>> [job.name for job in plan.jobs]
    ['bias', 'dark-60s', 'dark-120s', 'flat-g', 'flat-r', 'Made-up_field-r-120s']
    >>> {kind: master.name for kind, master in plan.jobs[-1].masters.items()}
    {'bias': 'bias', 'dark': 'dark-120s', 'flat': 'flat-r'}

    A stack of three frames, and their mean:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     night = xccd.simulate_night(folder, shape=(64, 64), nbias=3, ndark=0, nflat=0, nlight=0)
    ...     image = xccd.open_stack(f"{night}/bias-*.fits", chunks=None).ccd.combine()
    ...     print(image.ccd.plan().read, image.ccd.plan().files)
    24576 3
    """
    if isinstance(table, xr.DataArray | xr.Dataset | xr.DataTree):
        if recipe is not None:
            raise ValueError("recipe= is given with a stack: a recipe goes with the table of scan()")
        return plan_of_stack(table)
    from xccd.night.plan.make_plan import made  # here, so that importing the package does not wait for it

    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe={recipe!r} is no recipe: give xccd.Recipe() or Recipe.from_file('night.toml')")
    return made(table, recipe)
