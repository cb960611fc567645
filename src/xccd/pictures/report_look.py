"""What a report sees of a stack: every n-th row and column of all frames, before and after clips, and a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import options, plans
from xccd.compute.arrays import is_lazy
from xccd.compute.before_clips import before_clips
from xccd.compute.steps import First
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import attributes, flags_of, map_name
from xccd.labels.frames import file_names, unflagged, with_samples
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.problems import problems
from xccd.messages import shown
from xccd.pictures.captions import names_of
from xccd.pictures.causes import CAUSES, compared, numbered
from xccd.pictures.limits import limits_of
from xccd.pictures.subject import Subject, step_for
from xccd.verbs.stats import stats

Array = np.ndarray[Any, Any]
SIDE = 1024  # rows and columns that are looked at
SAMPLES = 1 << 25  # of all frames; with copies and causes some 20 bytes each
ROWS = 1 << 24  # samples of all frames, in whole rows
BYTES = 20


@dataclass
class Look:
    """A stack or an image for a report. What is read is kept, so no part of the report reads it again."""

    what: Subject
    original: Subject | None = None
    stars: bool = False

    @cached_property
    def names(self) -> list[str]:
        """A short name for each frame."""
        return names_of(self.what)

    @cached_property
    def files(self) -> list[str]:
        """The file of each frame, [] if not known."""
        return file_names(self.what.stack, self.what.dim) if self.what.has_frames else []

    @cached_property
    def problems(self) -> list[str]:
        """Why a frame has no samples, for each frame; [] if all could be opened."""
        return problems(self.what.stack, self.what.dim) if self.what.has_frames else []

    @cached_property
    def step(self) -> int:
        """Between the rows and columns that are looked at: 1 shows all samples."""
        return max(step_for(self.what.size, SIDE), math.ceil(math.sqrt(self.what.stack.size / _most(SAMPLES))))

    @cached_property
    def _seen(self) -> tuple[Array, Array | None, Array | None]:
        """Samples in use; those before the clips and their flags, None if these are not known."""
        what = self.what
        if what.has_colours or not what.has_frames:
            return what.look(self.step), None, None
        if self.original is None:
            x, flags = array_of(what.stack), flags_of(what.stack)
            known = before_clips(x, None if flags is None else array_of(flags))
            if known is not None:
                first, marks = known.every_nth(self.step)
                first = np.where(np.isfinite(first), first, np.nan).astype(float_dtype(first.dtype), copy=False)
                return np.where(marks != 0, np.nan, first), first, marks
        before = self.original or _source_of(what)
        values = what.look(self.step)
        if before is None:
            return values, None, None
        first = np.broadcast_to(before.look(self.step), values.shape)
        return values, first, compared(first, np.isnan(values))

    @property
    def values(self) -> Array:
        """Samples in use, (frame, y, x) or (frame, y, x, channel); NaN elsewhere."""
        return self._seen[0]

    @property
    def before(self) -> Array | None:
        """The same before the clips, None if that is not known."""
        return self._seen[1]

    @property
    def flags(self) -> Array | None:
        """Why samples are out, None if that is not known."""
        return self._seen[2]

    @cached_property
    def causes(self) -> Array | None:
        """For each sample the number of its row in `CAUSES` from 1 on, 0 in use; None if no cause is known."""
        return None if self.flags is None else numbered(self.flags)

    @cached_property
    def rejected(self) -> Array | None:
        """The share of each frame that was rejected, for each row of `CAUSES`; None if no cause is known."""
        if self.causes is None:
            return None
        return np.array([[np.mean(one == k) for one in self.causes] for k in range(1, len(CAUSES) + 1)])

    @property
    def is_clipped(self) -> bool:
        """Whether a clip rejected samples, as far as that is known."""
        if self.rejected is None:
            return False
        return bool(self.rejected[[cause.rejected for cause in CAUSES]].any())

    @cached_property
    def limits(self) -> list[tuple[float, float]]:
        """One pair of limits of grey for all frames, from before the clips."""
        values = self.values if self.before is None else self.before
        return limits_of(values, None, None, self.what.has_colours)

    @cached_property
    def small(self) -> xr.DataArray:
        """What was looked at as a stack in memory, with flags where they are known: pictures are drawn of it."""
        stack = self.what.stack.drop_vars([k for k in self.what.stack.coords if str(k).endswith("_flags")])
        stack = stack[..., :: self.step, :: self.step].assign_attrs(self._words)
        if self.flags is None:
            return with_samples(stack, np.moveaxis(self.values, -1, 1) if self.what.has_colours else self.values)
        name = map_name(stack.name, "flags")
        made = with_samples(stack, self.before).assign_coords({name: (stack.dims, self.flags, attributes())})
        return made.assign_attrs(ancillary_variables=name)

    @property
    def _words(self) -> dict[str, str]:
        """The unit as pictures can show it."""
        units = self.what.stack.attrs.get("units")
        return {} if units is None else {"units": shown(units)}

    @property
    def rows(self) -> xr.DataArray:
        """Whole rows of all frames as a stack in memory, for the noise.

        If not all samples were looked at, half of the rows at most: no file is read more than once for both.
        """
        if self.step == 1:
            return self.small
        every = max(2, -(-self.what.stack.size // _most(ROWS)))
        stack = self.what.stack.drop_vars([k for k in self.what.stack.coords if str(k).endswith("_flags")])
        made = with_samples(stack[..., ::every, :], self.what.look(every, columns=1))
        return made.assign_attrs(self._words)

    @cached_property
    def table(self) -> xr.Dataset:
        """`stats` of all samples, with rejected counts where causes are known: from memory if all were looked at."""
        of = self.small if self.step == 1 and self.what.has_frames and not self.what.has_colours else self._flagged()
        made: xr.Dataset = stats(of, stars=self.stars, dim=self.what.dim).compute()
        return made

    def _flagged(self) -> xr.DataArray:
        """The stack with the flags of its clips, lazily."""
        stack = self.what.stack
        if not self.what.has_frames:
            return stack.expand_dims(self.what.dim)
        x, flags = array_of(stack), flags_of(stack)
        known = None if flags is not None or self.original is not None else before_clips(x, None)
        if known is None:
            return stack
        name = map_name(stack.name, "flags")
        made = with_samples(stack, as_lazy_indexed(known.samples))
        return made.assign_coords({name: (stack.dims, as_lazy_indexed(known.flags), attributes())}).assign_attrs(
            ancillary_variables=name
        )


def _most(samples: int) -> int:
    """So many samples, or fewer if the memory is limited."""
    limit = options.memory()
    return samples if limit is None else max(1 << 16, min(samples, limit // BYTES))


def _source_of(what: Subject) -> Subject | None:
    """The stack that a lazy stack was clipped from, if its steps are known and are clips alone."""
    x = array_of(what.stack)
    if not is_lazy(x):
        return None
    source, steps, _ = plans.plan_of(x)
    if not steps or any(isinstance(step, First) for step in steps) or source.shape != x.shape:
        return None
    bare = unflagged(what.stack) if flags_of(what.stack) is None else what.stack
    return Subject(with_samples(bare, as_lazy_indexed(source)), what.dim, what.has_frames, what.has_colours)
