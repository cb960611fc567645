"""How a plan is made: rows are checked and grouped, frames get their masters, products their names."""

from __future__ import annotations

import json
from glob import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import kinds
from xccd.night.plan.choose import Choice, Chooser
from xccd.night.plan.detectors import Detector, detectors_of
from xccd.night.plan.drafts import Asked, Draft, Piece
from xccd.night.plan.groups import Group, groups_of, median
from xccd.night.plan.jobs import Job, Part, Plan
from xccd.night.plan.left_out import BY_NAME, RAW, reasons, with_kinds
from xccd.night.plan.names import names_of
from xccd.night.plan.nights import name_of, nights_of
from xccd.night.plan.ready_masters import WITHOUT_BIAS
from xccd.night.plan.table_rows import check_columns, facts_of, ordered
from xccd.night.recipe.recipe import Recipe
from xccd.read.images.sources import natural

if TYPE_CHECKING:
    from pandas import DataFrame

DRIFT = 2.0  # degrees within one product that are worth a word
MISNAMED = ("bias", "dark", "flat", "arc")
FEW = {
    1: "1 frame: nothing can be rejected",
    2: "2 frames: a clip cannot tell which of the two is wrong",
}


def made(table: DataFrame, recipe: Recipe) -> Plan:
    """The plan; the arguments are those of `plan`."""
    table = ordered(table)
    facts = facts_of(table)
    why = reasons(facts, with_kinds(facts, recipe))
    counted = why == ""
    facts["night"] = nights_of(facts["date"].to_numpy(), (facts["kind"] == "light").to_numpy() & counted)
    check_columns(recipe.light.by, table)
    facts["detector"], detectors = detectors_of(facts, table)
    facts["image"], images = _images(facts, table, recipe.light.by)
    drafts = _drafts({str(name): facts[name].to_numpy() for name in facts}, counted, recipe, detectors, images)
    used = set().union(*(d.needs() for d in drafts)) if drafts else set()
    drafts = [d for d in drafts if not d.ready or d in used]
    for i in np.flatnonzero(counted & ~facts["kind"].isin(RAW).to_numpy()):
        named = BY_NAME if facts["by_name"].iat[i] else ""
        why[i] = f"it is a master{named}, and no frames need it: there are raw frames for one, or none that fit"
    _tell_of_like_names(drafts)
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
    columns: dict[str, Any], counted: Any, recipe: Recipe, detectors: list[Detector], images: list[tuple[str, ...]]
) -> list[Draft]:  # fmt: skip
    """All products in the order in which they are made, with ready masters among them."""
    chooser = Chooser(detectors, recipe)
    found: list[Draft] = []
    for kind in RAW:
        ready = _ready(kind, columns, counted)
        own = [Draft(group) for group in groups_of(kind, columns, counted, recipe, images)]
        for draft in own:
            _choose(draft, columns, chooser)
            _tell(draft, columns)
        found += [*ready, *own]
        chooser.add([*own, *ready])
    return found


def _ready(kind: str, columns: dict[str, Any], counted: Any) -> list[Draft]:
    """The masters of a kind that are in the table, by their files."""
    drafts = []
    for i in np.flatnonzero((columns["kind"] == f"master-{kind}") & counted).tolist():
        group = Group.of(kind, np.array([i]), columns["exposure"][[i]], columns)
        hdu = columns["hdu"][i]
        draft = Draft(group, ready=columns["file"][i], hdu=None if np.isnan(hdu) else int(hdu))
        if columns["tells_bias"][i]:  # else its header is read
            draft.holds_bias = columns["done"][i] not in WITHOUT_BIAS
        drafts.append(draft)
    return drafts


def _choose(draft: Draft, columns: dict[str, Any], chooser: Chooser) -> None:
    """Give the frames of a product their masters: those of one night and exposure the same."""
    group = draft.group
    times = group.times if draft.kind == "flat" else np.full(len(group.rows), group.exposure)
    pairs = list(zip(columns["night"][group.rows].tolist(), np.nan_to_num(times, nan=-1.0).tolist(), strict=True))
    rows: dict[tuple[int, float], list[int]] = {}
    for row, pair in zip(group.rows.tolist(), pairs, strict=True):
        rows.setdefault(pair, []).append(row)
    found: dict[Any, tuple[Choice, list[int]]] = {}
    for (night, time), own in sorted(rows.items()):
        temperature = median(columns["temperature"][own])
        asked = Asked(draft.kind, group.detector, night, group.filter, time if time >= 0 else float("nan"), temperature)
        choice = chooser.choice(asked)
        draft.note(*choice.notes)
        key = (*choice.masters.items(), choice.scale_dark)
        found.setdefault(key, (choice, []))[1].extend(own)
    draft.pieces = [Piece(np.sort(own), choice.masters, choice.scale_dark) for choice, own in found.values()]
    if len(draft.pieces) > 1:
        draft.note(f"its frames go with {len(draft.pieces)} sets of masters, as they differ in night or exposure")


def _tell(draft: Draft, columns: dict[str, Any]) -> None:
    """Note what a user should know of the frames themselves."""
    rows = draft.group.rows
    if len(rows) in FEW:
        draft.note(FEW[len(rows)])
    if count := int(columns["was_dark"][rows].sum()):
        draft.note(f"{count} frames say dark and have an exposure of 0 s: they are taken as biases")
    degrees = [t for t in columns["temperature"][rows].tolist() if t == t]
    if degrees and max(degrees) - min(degrees) > DRIFT:
        draft.note(f"the temperature of its frames runs from {min(degrees):g} to {max(degrees):g} degrees")
    if draft.kind == "light":
        for name in sorted(set(columns["object"][rows].tolist())):
            if (kind := kinds.known(name)) in MISNAMED:
                draft.note(
                    f"OBJECT = {name!r} reads like a {kind}: if these are no lights, mend the table, "
                    f'table.loc[table.object == {name!r}, "kind"] = "{kind}", or say it in the recipe, under [kinds]: '
                    f"{kind} = {json.dumps([escape(name)], ensure_ascii=False)}"
                )


def _tell_of_like_names(drafts: list[Draft]) -> None:
    """Note images whose names differ in capitals, blanks and signs only: "M51" and "m 51" are perhaps one object."""
    alike: dict[tuple[str, ...], list[Draft]] = {}
    for draft in drafts:
        if draft.kind == "light":
            key = tuple("".join(filter(str.isalnum, text.casefold())) for text in draft.group.by)
            alike.setdefault(key, []).append(draft)
    for some in alike.values():
        names = {draft.group.by for draft in some}
        for draft in some if len(names) > 1 else ():
            others = ", ".join(sorted(repr(" ".join(by)) for by in names - {draft.group.by}))
            draft.note(
                f"its name {' '.join(draft.group.by)!r} is nearly that of {others}: if they are one, mend the table"
            )


def _planned(table: DataFrame, drafts: list[Draft], names: list[str], why: Any) -> Plan:
    """The plan: products with their names and rows, and the rows that are left out."""
    # The rows of each product are brought together once: a slice then costs 0.02 ms, a choice of rows 1 ms.
    rows = np.concatenate([np.empty(0, np.int64), *(draft.group.rows for draft in drafts)])
    together, first = table.iloc[rows], 0
    why[rows] = ""
    jobs: dict[Draft, Job] = {}
    for draft, name in zip(drafts, names, strict=True):
        own, first = together.iloc[first : first + len(draft.group.rows)], first + len(draft.group.rows)
        parts = [Part(_rows_of(p, draft, own), {k: jobs[m] for k, m in p.masters.items()}, p.scale_dark)
                 for p in draft.pieces] or [Part(own, {})]  # fmt: skip
        jobs[draft] = Job(
            name=name,
            kind=draft.kind,
            frames=own,
            masters={k: m for k, m in parts[0].masters.items() if all(part.masters.get(k) is m for part in parts)},
            notes=tuple(draft.notes),
            scale_dark=parts[0].scale_dark,
            parts=tuple(parts) if len(parts) > 1 else (),
            ready=draft.ready,
        )
    out = np.flatnonzero(why != "")
    return Plan(tuple(jobs.values()), table.iloc[out].assign(why=why[out]))


def _rows_of(piece: Piece, draft: Draft, own: DataFrame) -> DataFrame:
    """The rows of a part, from those of its product."""
    if len(piece.rows) == len(own):
        return own
    at = np.searchsorted(draft.group.rows, piece.rows)
    return own.iloc[at[0] : at[-1] + 1] if at[-1] - at[0] + 1 == len(at) else own.iloc[at]
