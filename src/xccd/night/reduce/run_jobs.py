"""The jobs of a plan, one after another: each product that is not up to date is made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.reduce.up_to_date import keep, recorded, state_of, why_again
from xccd.night.reduce.work import MasterFile, Work
from xccd.night.reduce.write_frames import places, write_frames
from xccd.night.reduce.write_product import draw, write_product
from xccd.read.made_by import recipe_text

if TYPE_CHECKING:
    from xccd.night.plan.jobs import Job, Plan
    from xccd.night.recipe.recipe import Recipe

log = logging.getLogger("xccd")
MADE, UP_TO_DATE, READY, FAILED, LEFT_OUT = "made", "up to date", "ready", "failed", "left out"
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
    masters: dict[str, MasterFile] = field(default_factory=dict)

    def run(self) -> Iterator[Result]:
        """Make what is not up to date. One job that fails does not stop the others."""
        for job in self.plan.jobs:
            began = time.monotonic()
            try:
                result = self._done(job)
            except Exception as error:
                log.debug("%s failed", job.name, exc_info=True)
                result = self._result(job, FAILED, str(error) or type(error).__name__, error)
            result.seconds = time.monotonic() - began
            yield result

    def _result(self, job: Job, status: str, why: str, error: Exception | None = None) -> Result:
        path = job.ready or str(self.output / job.path)
        return Result(job.name, job.kind, len(job.frames), status, why, path, error=error)

    def _done(self, job: Job) -> Result:
        if job.ready:
            known = "hdu" in job.frames and job.frames["hdu"].notna().all()
            hdu = int(job.frames["hdu"].iloc[0]) if known else 0
            self.masters[job.name] = MasterFile(job.name, job.kind, Path(job.ready), hdu, ready=True)
            return self._result(job, READY, "; ".join(job.notes))
        lost = [one.name for one in job.needs if one.name not in self.masters]
        if lost:
            return self._result(job, FAILED, f"it needs {' and '.join(lost)}, which failed")
        work = Work.of(job, self.recipe, self.masters, self.open_with)
        path, state = self.output / job.path, state_of(work)
        why = why_again(path, self.output, state) or self._lost_frames(work)
        if why:
            self._check_own(path)
            log.info("%s is made: %s", job.name, why)
            text = self._made(work, path, state)
        else:
            known = recorded(path, self.output)
            text, work.notes = known["made_by"], known.get("notes", work.notes)
        if job.kind == "light":
            self._draw(work, path, anew=bool(why))
        else:
            self.masters[job.name] = MasterFile(job.name, job.kind, path, text=text)
        return self._result(job, MADE if why else UP_TO_DATE, "; ".join(work.notes))

    def _made(self, work: Work, path: Path, state: dict[str, Any]) -> str:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(error.errno, f"path={str(path)!r}: its folder cannot be made: {error.strerror}") from error
        self.tell(work.name, "calibrating", 0, 0)
        if work.kind == "light" and self.recipe.output.frames:
            write_frames(work, self.output)
        text = write_product(work, path, progress=lambda done, size: self.tell(work.name, "writing", done, size))
        keep(path, self.output, state, text, work.notes)
        return text

    def _lost_frames(self, work: Work) -> str:
        """Why calibrated frames must be written: "" if they are there, or are not asked for."""
        asked = work.kind == "light" and self.recipe.output.frames and not work.open_with
        return (
            "calibrated frames are not there" if asked and not all(map(Path.exists, places(work, self.output))) else ""
        )

    def _check_own(self, path: Path) -> None:
        """Raise if a file that is not ours is in the product's place."""
        if self.overwrite or not path.exists() or recorded(path, self.output):
            return
        try:
            own = bool(recipe_text(path))
        except OSError:
            own = False
        if not own:
            raise FileExistsError(
                f"path={str(path)!r} is there already, and it is no product of reduce: overwrite=True replaces it"
            )

    def _draw(self, work: Work, path: Path, *, anew: bool) -> None:
        if self.recipe.output.picture and (anew or not path.with_suffix(".png").exists()):
            self.tell(work.name, "drawing", 0, 0)
            draw(path)
