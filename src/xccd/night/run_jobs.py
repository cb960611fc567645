"""The jobs of a plan, one after another: each product that is not up to date is made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.calibrate_frames import Work
from xccd.night.up_to_date import keep, recorded, state_of, why_again
from xccd.night.write_product import picture_of, write_product
from xccd.read.made_by import recipe_text

if TYPE_CHECKING:
    from xccd.night.plan import Job, Plan
    from xccd.night.recipe import Recipe

log = logging.getLogger("xccd")
MADE, UP_TO_DATE, FAILED, LEFT_OUT = "made", "up to date", "failed", "left out"
Tell = Callable[[str, str, int, int], object]  # the product, what is done, bytes so far, bytes in all


@dataclass
class Result:
    """What became of a product."""

    product: str
    kind: str
    frames: int
    status: str
    why: str
    path: str
    seconds: float = 0.0
    error: Exception | None = None


@dataclass
class Night:
    """A plan on its way: where products go, and what is known of those that are made."""

    plan: Plan
    recipe: Recipe
    output: Path
    overwrite: bool
    open_with: dict[str, Any]
    tell: Tell
    results: dict[str, Result] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # how each was made

    def run(self) -> Iterator[Result]:
        """Make what is not up to date. One job that fails does not stop the others."""
        for job in self.plan.jobs:
            began = time.monotonic()
            try:
                result = self._done(job)
            except Exception as error:
                log.info("%s failed", job.name, exc_info=True)
                result = self._result(job, FAILED, str(error) or type(error).__name__, error)
            result.seconds = time.monotonic() - began
            self.results[job.name] = result
            yield result

    def _result(self, job: Job, status: str, why: str, error: Exception | None = None) -> Result:
        return Result(job.name, job.kind, len(job.frames), status, why, str(self.output / job.path), error=error)

    def _done(self, job: Job) -> Result:
        lost = [kind for kind, one in job.masters.items() if self.results[one.name].status == FAILED]
        if lost:
            names = ", ".join(job.masters[kind].name for kind in lost)
            return self._result(job, FAILED, f"its {' and '.join(lost)} failed ({names})")
        path = self.output / job.path
        masters = {kind: self.output / one.path for kind, one in job.masters.items()}
        state = state_of(job, masters, self.recipe)
        why = why_again(self.output, job, state)
        if why:
            self._check_own(job, path)
            log.info("%s is made: %s", job.name, why)
            work = Work(_in_order(job.frames), masters, self.recipe, job.kind, list(job.notes), self.open_with)
            self._make(job, work, path, state)
        else:
            self.texts[job.name] = recorded(self.output, job).get("made_by", "")
        self._draw(job, path, anew=bool(why))
        return self._result(job, MADE if why else UP_TO_DATE, "; ".join(work.notes if why else job.notes))

    def _make(self, job: Job, work: Work, path: Path, state: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = {kind: self.texts.get(one.name, "") for kind, one in job.masters.items()}
        self.tell(job.name, "calibrating", 0, 0)
        text = write_product(work, job.name, path, texts, lambda done, size: self.tell(job.name, "writing", done, size))
        self.texts[job.name] = text
        keep(self.output, job, state, text)

    def _check_own(self, job: Job, path: Path) -> None:
        """Raise if a file that is not ours is in the product's place."""
        if self.overwrite or not path.exists() or recorded(self.output, job):
            return
        try:
            own = bool(recipe_text(path))
        except OSError:
            own = False
        if not own:
            raise FileExistsError(
                f"{str(path)!r} is there already, and is no product of reduce: overwrite=True replaces it"
            )

    def _draw(self, job: Job, path: Path, *, anew: bool) -> None:
        if job.kind == "light" and self.recipe.output.picture and (anew or not path.with_suffix(".png").exists()):
            self.tell(job.name, "drawing", 0, 0)
            picture_of(path)


def _in_order(frames: Any) -> Any:
    """The frames by time and name: sums of floats depend on their order."""
    keys = [k for k in ("date", "file", "hdu") if k in frames]
    return frames.sort_values(keys, kind="stable").reset_index(drop=True)
