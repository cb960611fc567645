"""The page of a night, `report.html` beside its products: what was planned, what became of it, and how it looks."""

from __future__ import annotations

import shlex
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from xccd.labels.warn import warn
from xccd.messages import shown
from xccd.night.recipe.recipe_section import default_of, keys_of
from xccd.night.recipe.toml_text import toml_text
from xccd.pictures import report_product
from xccd.pictures.page import (
    Cell,
    Html,
    anchor,
    code,
    facts,
    is_page,
    items,
    joined,
    page,
    paragraph,
    pictures,
    table,
    tag,
    untold,
    write_page,
)
from xccd.pictures.page import Section as Piece
from xccd.pictures.product_look import ProductLook
from xccd.pictures.report_part import UntoldError, counted
from xccd.pictures.report_steps import versions

if TYPE_CHECKING:
    from xccd.night.plan.jobs import Job, Plan
    from xccd.night.recipe.recipe import Recipe
    from xccd.night.reduce.run_jobs import Result

NAME, BY = "report.html", "xccd reduce"
SIDE, OF_MAP = 320, ("count", "rejected_low", "rejected_high")
BAD = ("failed",)
PRODUCTS = 60  # that are shown with pictures: a page of more would be too large
PARTS = (("Frames", report_product.inputs), ("Noise", report_product.noise))


@dataclass(frozen=True)
class NightPage:
    """What the page of a night is made of; the files of the products tell the rest."""

    plan: Plan
    results: Sequence[Result]
    recipe: Recipe
    output: Path
    again: str  # the call that makes the night again

    def sections(self) -> list[Piece]:
        jobs = {job.name: job for job in self.plan.jobs}
        made = [Piece("products", "Products", self._overview(jobs)), Piece("left-out", "Left out", self._left_out())]
        made.append(Piece("each", "Each product", Html("")))
        for result in self.results[:PRODUCTS]:
            body = _product(result, jobs[result.product])
            made.append(Piece(anchor("product", result.product), result.product, body, 3))
        choices = Piece("recipe", "Choices", _choices(self.recipe))
        again = Piece("again", "Made again", joined([paragraph("The whole night:"), code(self.again.split("\n"))]))
        return [*made, choices, again, Piece("versions", "Versions", versions())]

    def _overview(self, jobs: dict[str, Job]) -> Html:
        rows, marked = [], []
        for result in self.results:
            job = jobs[result.product]
            link = tag("a", result.product, href=f"#{anchor('product', result.product)}")
            masters = ", ".join(one.ready or one.name for one in job.needs)
            seconds = f"{result.seconds:.1f}" if result.status == "made" else ""
            rows.append((Cell(link, "long"), result.kind, result.frames, result.status, Cell(masters, "long"),
                         Cell(seconds, "number"), Cell(result.why, "long")))  # fmt: skip
            marked.append(result.status in BAD)
        head = ["product", "kind", "frames", "status", "masters", "seconds", "notes"]
        shown = [self._thumb(result) for result in self.results if result.kind == "light" and result.status != "failed"]
        more = len(self.results) - PRODUCTS
        left = [paragraph(f"{counted(more, 'product')} more have no part of their own here.")] if more > 0 else []
        return joined([pictures([one for one in shown if one][:PRODUCTS]), table(head, rows, marked=marked), *left])

    def _thumb(self, result: Result) -> Html:
        try:
            look = ProductLook.from_file(Path(result.path))
            caption = tag("a", result.product, href=f"#{anchor('product', result.product)}")
            return report_product.thumb(look, SIDE, caption)
        except (OSError, ValueError, TypeError):
            return Html("")  # its own part says why

    def _left_out(self) -> Html:
        if not len(self.plan.left_out):
            return paragraph("Every frame belongs to a product.")
        files = defaultdict(list)
        for row in self.plan.left_out.to_dict("records"):
            files[str(row["why"])].append(PurePath(str(row["file"])).name)
        rows = [(Cell(why, "long"), len(names), Cell(", ".join(names), "long")) for why, names in files.items()]
        return table(["why", "frames", "files"], rows)


def write_night_page(made: NightPage, *, overwrite: bool = False) -> Path | None:
    """Write the page beside the products. A failure is a warning: it costs no product."""
    path = made.output / NAME
    try:
        if path.exists() and not overwrite and not is_page(path, BY):
            warn(f"reduce writes no report: {shown(str(path))} is there already, and is none of its own")
            return None
        failed = sum(result.status in BAD for result in made.results)
        lead = [
            f"{counted(len(made.results), 'product')}{f', of which {failed} failed' if failed else ''}; "
            f"{counted(len(made.plan.left_out), 'frame')} left out. In {made.output.resolve()}.",
            f"Written by xccd reduce, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}.",
        ]
        return write_page(path, page("A night, reduced", lead, made.sections(), by=BY), overwrite=True)
    except Exception as error:  # whatever it is, the products are there
        warn(f"reduce could not write {shown(str(path))}: {error or type(error).__name__}")
        return None


def _product(result: Result, job: Job) -> Html:
    """Pictures, notes, masters, frames and noise of one product."""
    own = [
        ("status", result.status), ("file", result.path), ("frames", result.frames),
        ("seconds", f"{result.seconds:.1f}" if result.status == "made" else None),
    ]  # fmt: skip
    parts = [facts(own), items(_notes(result))]
    if result.status in BAD:
        return joined([*parts, _masters(job)])
    try:
        look = ProductLook.from_file(Path(result.path))
        parts += [pictures(report_product.thumbs(look, SIDE, OF_MAP)), _masters(job)]
    except (OSError, ValueError, TypeError) as error:
        return joined([*parts, _masters(job), untold(f"The product cannot be looked at: {error}")])
    for title, tell in PARTS:
        try:
            body = tell(look, None)
        except UntoldError as why:
            body = untold(str(why))
        except (OSError, ValueError, TypeError, ArithmeticError, LookupError) as error:
            body = untold(f"This part cannot be told: {error}")
        parts += [tag("h4", title), body]
    if not job.ready:
        again = Path(result.path).with_name(f"again-{Path(result.path).name}")
        command = f"xccd run --from {shlex.quote(result.path)} -o {shlex.quote(str(again))}"
        parts += [tag("h4", "Made again"), code([command])]
    return joined(parts)


def _notes(result: Result) -> list[str]:
    return [f"why: {result.why}" if result.status in BAD else note for note in result.why.split("; ") if note]


def _masters(job: Job) -> Html:
    """The masters of its frames; of each part if they differ."""
    lines = []
    for part in job.pieces:
        first = f"{counted(len(part.frames), 'frame')} with " if job.parts else ""
        names = ", ".join(master.ready or master.name for master in part.masters.values())
        if names or first:
            lines.append(f"{first}{names or 'no masters'}")
    return paragraph(f"Masters: {'; '.join(lines)}.") if lines else Html("")


def _choices(recipe: Recipe) -> Html:
    """The choices that are not the default, as a table and as a recipe."""
    rows: list[tuple[Any, ...]] = []
    changed: dict[str, Any] = {}
    for section, f in keys_of(type(recipe)):
        holder: Any = getattr(recipe, section) if section else recipe
        value, default = getattr(holder, f.name), default_of(f)
        if value != default:
            rows.append((f"{section}.{f.name}".lstrip("."), Cell(str(value), "long"), Cell(str(default), "long"),
                         Cell(str(f.metadata["text"]), "long")))  # fmt: skip
            place = changed.setdefault(section, {}) if section else changed
            place[f.name] = list(value) if isinstance(value, tuple) else value
    if not rows:
        return paragraph("All choices are the defaults.")
    return joined([table(["key", "value", "default", "what it is"], rows),
                   paragraph("As a recipe:"), code(toml_text(changed).strip().split("\n"))])  # fmt: skip
