"""`plan`: the products of a night, from the table of its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xccd.night.plan.jobs import Job as Job
from xccd.night.plan.jobs import Part as Part
from xccd.night.plan.jobs import Plan as Plan
from xccd.night.recipe.recipe import Recipe

if TYPE_CHECKING:
    from pandas import DataFrame


def plan(table: DataFrame, recipe: Recipe | None = None) -> Plan:
    """Tell which products a night gives, and of which frames and masters each is made.

    Frames are grouped by what the table says, so what was mended in it counts. Each row belongs to one product, or is
    left out with a reason.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of `scan`; its rows may be in any order.
    recipe : Recipe, optional
        The choices. Default: those of ``Recipe()``.

    Returns
    -------
    Plan
        Its ``jobs`` are the products in the order in which they are made, with their ``frames``, ``masters`` and
        ``notes``; ``left_out`` are the other rows, with a column ``why``. ``str(plan)`` shows it as a tree,
        ``plan.to_dict()`` gives it in the types of JSON.

    Raises
    ------
    TypeError
        ``table`` is no table, ``recipe`` no recipe.
    ValueError
        A column is missing, or has a value that is none of its kind; ``light.by`` names a column that is not there.

    Notes
    -----
    No pixel is read. The header of a master dark that is there already is read, if the table has no column BIASCOR:
    it tells whether the bias is in it.

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
    """
    from xccd.night.plan.make_plan import made  # here, so that importing the package does not wait for it

    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe={recipe!r} is no recipe: give xccd.Recipe() or Recipe.from_file('night.toml')")
    return made(table, recipe)
