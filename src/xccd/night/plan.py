"""`plan`: the products of a night, from the table of its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import kinds
from xccd.night.choose import Choice, Chooser
from xccd.night.detectors import Detector, detectors_of
from xccd.night.drafts import Asked, Draft, Piece
from xccd.night.groups import Group, groups_of, median
from xccd.night.jobs import Job as Job
from xccd.night.jobs import Part as Part
from xccd.night.jobs import Plan as Plan
from xccd.night.left_out import RAW, reasons, with_kinds
from xccd.night.names import names_of
from xccd.night.nights import name_of, nights_of
from xccd.night.recipe import Recipe
from xccd.night.table_rows import check_columns, facts_of, ordered
from xccd.read.images.sources import natural

if TYPE_CHECKING:
    from pandas import DataFrame

DRIFT = 2.0  # degrees within one product that are worth a word
MISNAMED = ("bias", "dark", "flat", "arc")
FEW = {
    1: "1 frame: nothing can be rejected",
    2: "2 frames: a clip cannot tell which of the two is wrong",
}


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
    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe={recipe!r} is no recipe: give xccd.Recipe() or Recipe.from_file('night.toml')")
    table = ordered(table)
    facts = facts_of(table)
    why = reasons(facts, with_kinds(facts, recipe))
    counted = why == ""
    facts["night"] = nights_of(facts["date"].to_numpy(), (facts["kind"] == "light").to_numpy() & counted)
    check_columns(recipe.light.by, table)
    facts["detector"], detectors = detectors_of(facts, table)
    facts["image"], images = _images(facts, table, recipe.light.by)
    drafts = _drafts(facts, counted, recipe, detectors, images)
    used = set().union(*(d.needs() for d in drafts)) if drafts else set()
    drafts = [d for d in drafts if not d.ready or d in used]
    for i in np.flatnonzero(counted & facts["kind"].str.startswith("master-").to_numpy()):
        why[i] = "it is a master, and no frames need it: there are raw frames for one, or none that fit"
    return _planned(table, drafts, names_of(drafts, detectors), why)


def _images(facts: DataFrame, table: DataFrame, by: tuple[str, ...]) -> tuple[Any, list[tuple[str, ...]]]:
    """For each row the number of its image by the columns ``by``, and the values of these images in natural order."""
    columns = []
    for name in by:
        if name == "night" and name not in table.columns:
            columns.append(facts["night"].map({n: name_of(n) for n in facts["night"].unique()}).to_numpy(object))
        elif name in facts:
            columns.append(facts[name].map({v: _text(v) for v in facts[name].unique()}).fillna("").to_numpy(object))
        else:
            columns.append(table[name].map({v: _text(v) for v in table[name].unique()}).fillna("").to_numpy(object))
    keys = list(zip(*columns, strict=True)) if columns else [()] * len(facts)
    known = sorted(set(keys), key=lambda key: ([natural(value) for value in key], key))
    numbers = {key: i for i, key in enumerate(known)}
    return np.fromiter((numbers[key] for key in keys), np.int64, len(keys)), known


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _drafts(
    facts: DataFrame, counted: Any, recipe: Recipe, detectors: list[Detector], images: list[tuple[str, ...]]
) -> list[Draft]:  # fmt: skip
    """All products in the order in which they are made, with ready masters among them."""
    chooser = Chooser(detectors, recipe)
    found: list[Draft] = []
    for kind in RAW:
        ready = _ready(kind, facts, counted)
        own = [Draft(group) for group in groups_of(kind, facts, counted, recipe, images)]
        for draft in own:
            _choose(draft, facts, chooser)
            _tell(draft, facts)
        found += [*ready, *own]
        chooser.add([*own, *ready])
    return found


def _ready(kind: str, facts: DataFrame, counted: Any) -> list[Draft]:
    """The masters of a kind that are in the table, by their files."""
    drafts = []
    for i in np.flatnonzero((facts["kind"] == f"master-{kind}").to_numpy() & counted):
        row = facts.iloc[i]
        group = Group(
            kind=kind,
            rows=np.array([i]),
            times=np.array([row["exposure"]]),
            detector=int(row["detector"]),
            night=int(row["night"]),
            filter="" if kind in ("bias", "dark") else row["filter"],
            temperature=float(row["temperature"]),
        )
        hdu = None if np.isnan(row["hdu"]) else int(row["hdu"])
        drafts.append(Draft(group, ready=row["file"], hdu=hdu))
    return drafts


def _choose(draft: Draft, facts: DataFrame, chooser: Chooser) -> None:
    """Give the frames of a product their masters: those of one night and exposure the same."""
    group = draft.group
    nights = facts["night"].to_numpy()[group.rows]
    times = group.times if draft.kind == "flat" else np.full(len(group.rows), group.exposure)
    pairs = list(zip(nights.tolist(), np.nan_to_num(times, nan=-1.0).tolist(), strict=True))
    found: dict[Any, tuple[Choice, list[int]]] = {}
    for pair in sorted(set(pairs)):
        at = [i for i, other in enumerate(pairs) if other == pair] if len(set(pairs)) > 1 else range(len(pairs))
        rows = group.rows[np.asarray(at)]
        temperature = median(facts["temperature"].to_numpy()[rows])
        night, time = pair
        asked = Asked(draft.kind, group.detector, night, group.filter, time if time >= 0 else float("nan"), temperature)
        choice = chooser.choice(asked)
        draft.note(*choice.notes)
        key = (*choice.masters.items(), choice.scale_dark)
        found.setdefault(key, (choice, []))[1].extend(rows.tolist())
    draft.pieces = [Piece(np.sort(rows), choice.masters, choice.scale_dark) for choice, rows in found.values()]
    if len(draft.pieces) > 1:
        draft.note(f"its frames go with {len(draft.pieces)} sets of masters, as they differ in night or exposure")


def _tell(draft: Draft, facts: DataFrame) -> None:
    """Note what a user should know of the frames themselves."""
    own = facts.iloc[draft.group.rows]
    if len(own) in FEW:
        draft.note(FEW[len(own)])
    if own["was_dark"].any():
        draft.note(f"{own['was_dark'].sum()} frames say dark and have an exposure of 0 s: they are taken as biases")
    degrees = own["temperature"]
    if degrees.max() - degrees.min() > DRIFT:
        draft.note(f"the temperature of its frames runs from {degrees.min():g} to {degrees.max():g} degrees")
    if draft.kind == "light":
        for name in sorted(own["object"].unique()):
            if (kind := kinds.known(name)) in MISNAMED:
                draft.note(
                    f"OBJECT = {name!r} reads like a {kind}: if these are no lights, mend the table, "
                    f'table.loc[table.object == {name!r}, "kind"] = "{kind}", or say it in the recipe, under [kinds]: '
                    f'{kind} = ["{name}"]'
                )


def _planned(table: DataFrame, drafts: list[Draft], names: list[str], why: Any) -> Plan:
    """The plan: products with their names and rows, and the rows that are left out."""
    jobs: dict[Draft, Job] = {}
    for draft, name in zip(drafts, names, strict=True):
        for i in draft.group.rows:
            why[i] = ""
        parts = [
            Part(table.iloc[p.rows], {k: jobs[m] for k, m in p.masters.items()}, p.scale_dark) for p in draft.pieces
        ]
        first = parts[0] if parts else Part(table.iloc[draft.group.rows], {})
        several = tuple(parts) if len(parts) > 1 else ()
        shared = {k: m for k, m in first.masters.items() if all(part.masters.get(k) is m for part in parts)}
        jobs[draft] = Job(
            name=name,
            kind=draft.kind,
            frames=table.iloc[draft.group.rows],
            masters=shared,
            notes=tuple(draft.notes),
            scale_dark=first.scale_dark,
            parts=several,
            ready=draft.ready,
        )
    out = np.flatnonzero(why != "")
    return Plan(tuple(jobs.values()), table.iloc[out].assign(why=why[out]))
