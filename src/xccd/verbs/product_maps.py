"""The maps of a combined image: which ones are made, and what for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute.ends import Combine, End, Total
from xccd.compute.errors import Rescaled, is_corrected, shared_end, uncertainty_end
from xccd.compute.frame_counts import count_end
from xccd.compute.maps import AllFlags, Flagged
from xccd.kernels.clip_errors import Clip
from xccd.kernels.flags import Flag
from xccd.kernels.table import OUTPUTS, UNCERTAINTIES
from xccd.labels.flags import attributes, flags_of, map_name
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean
from xccd.verbs.clip_history import only_clip, was_clipped
from xccd.verbs.weights import standard_deviations, uncertainty_of
from xccd.write.product_inputs import Inputs

Image = Combine | Rescaled | Callable[..., Any]  # the end that makes the image, or a user's function
BY_DEFAULT = tuple(name for name, row in OUTPUTS.items() if row.by_default)
ALL = tuple(dict.fromkeys((*BY_DEFAULT, *OUTPUTS)))
OF_FLAGS = ("flags", "rejected_low", "rejected_high")
NOT_CORRECTED = "not corrected: the error is too small"
SPREADS = ("std", "var", "mad_std", "count")  # of them nobody expects an error


@dataclass
class Maps:
    """The maps that are asked for: their ends, their attributes, and the arrays that the ends are given."""

    stack: xr.DataArray
    dim: Hashable
    end: Image
    asked: tuple[str, ...]
    lenient: bool  # whether maps that cannot be made are left out
    way: str  # a row of `UNCERTAINTIES`
    clip: Clip | None = None  # for which the error can be corrected
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, stack: xr.DataArray, dim: Hashable, end: Image, maps: Sequence[str] | None, uncertainty: str | None,
        *, lenient: bool = False, corrects: bool = True,
    ) -> Maps:  # fmt: skip
        """The maps of a stack; none of one without flags, unless they are named."""
        flagged, has_errors = flags_of(stack) is not None, uncertainty_of(stack, "uncertainty") is not None
        check_maps(maps, flagged)
        check_uncertainty_way(uncertainty, has_errors)
        asked, lenient = (BY_DEFAULT if flagged else (), True) if maps is None else (tuple(maps), lenient)
        if uncertainty is not None and "uncertainty" not in asked:
            raise ValueError(
                f"uncertainty={uncertainty!r} goes with a flagged Dataset, and with its map: see to_dataset"
            )
        way = uncertainty or ("propagate" if has_errors else "scatter")
        clip = only_clip(stack, dim) if is_corrected(end) and corrects else None
        return cls(stack, dim, end, asked, lenient, way, clip)

    def ends(self) -> dict[str, End]:
        """The ends of the maps, by name."""
        made = {name: MAKERS[name](self) for name in dict.fromkeys(self.asked)}
        found = {name: end for name, end in made.items() if end is not None}
        self.attrs = {name: dict(OUTPUTS[name].attrs) | self.attrs.get(name, {}) for name in found}
        return found

    @property
    def keeps_flags(self) -> bool:
        """Whether a map is made of the flags themselves."""
        return any(name in OF_FLAGS for name in self.asked)

    def sides(self) -> list[Any]:
        """Errors, their common part, and exposure times, as in `ends.Given`; the last ones may be left out."""
        some: list[Any] = [None, None, None]
        if {"uncertainty", "common"} & set(self.asked) and self.way != "scatter":
            some[:2] = (self._sigma(kind) for kind in ("uncertainty", "common"))
        if "exposure" in self.asked and (times := self.times) is not None:
            some[2] = times.reshape((-1,) + (1,) * (self.stack.ndim - 1))
        while some and some[-1] is None:
            some.pop()
        return [np.zeros((1,) * self.stack.ndim) if one is None else one for one in some]

    def _sigma(self, kind: str) -> Any:
        """A map of errors as standard deviations, frames first; None without."""
        found = uncertainty_of(self.stack, kind)
        return None if found is None else standard_deviations(found, self.dim)

    @cached_property
    def times(self) -> np.ndarray[Any, Any] | None:
        """The exposure time of each frame; None if one is not known."""
        found = Inputs.of(self.stack, self.dim).total
        return found if np.isfinite(found).all() else None

    def uncertainty(self) -> End | None:
        """The end of the uncertainty. Where errors are known but no formula, that is said."""
        found = uncertainty_end(self.end, self.way, self.clip)
        name = self.end.method if isinstance(self.end, Combine | Rescaled) else self.end
        if found is None and self.way != "scatter" and name not in SPREADS:
            warn(f"combine: no formula gives the error of {called(name)} by uncertainty={self.way!r}: there is no map")
        left_out = self.way == "scatter" and uncertainty_of(self.stack, "common") is not None
        note = "; the part that all frames share is left out" if left_out else ""
        self.attrs["uncertainty"] = {"long_name": UNCERTAINTIES[self.way] + note} | self._of_clip()
        return found

    def _of_clip(self) -> dict[str, str]:
        """What the attributes of the uncertainty say of clips."""
        if not was_clipped(self.stack):
            return {}
        return {"clip": NOT_CORRECTED if self.clip is None else "corrected for normal noise"}

    def common(self) -> End | None:
        """The end of the part of the uncertainty that all frames share; None if the uncertainty has no such part."""
        if self.way != "scatter" and uncertainty_of(self.stack, "common") is not None:
            return shared_end(self.end)
        if self.lenient:
            return None
        raise ValueError(
            f"maps: 'common' needs the variable {map_name(self.stack.name, 'common')!r} and an uncertainty that is "
            "propagated: the scatter does not show what all frames share"
        )

    def weight(self) -> End | None:
        """The end of the total weight; without weights it is the count."""
        return Total("weights") if isinstance(self.end, Combine | Rescaled) else None

    def exposure(self) -> End | None:
        """The end of the exposure time; None if it is not known."""
        if self.times is not None:
            return Total("exposure")
        if self.lenient:
            return None
        raise ValueError("maps: 'exposure' needs EXPTIME of each frame, as assign_coords(EXPTIME=('frame', times))")

    def flags(self) -> End | None:
        """The end of the flags."""
        self.attrs["flags"] = attributes() | {"long_name": "why no sample of a pixel is in use"}
        return AllFlags()


def _count(maps: Maps) -> End | None:
    return None if maps.end == Combine("count") else count_end()


MAKERS: dict[str, Callable[[Maps], End | None]] = {
    "uncertainty": Maps.uncertainty,
    "common": Maps.common,
    "count": _count,
    "rejected_low": lambda maps: Flagged(int(Flag.REJECTED_LOW)),
    "rejected_high": lambda maps: Flagged(int(Flag.REJECTED_HIGH)),
    "weight": Maps.weight,
    "exposure": Maps.exposure,
    "flags": Maps.flags,
}


def check_maps(maps: Any, flagged: bool) -> None:
    """Raise for maps that are unknown, or need flags."""
    if maps is None:
        return
    if isinstance(maps, str):
        raise ValueError(f"maps={maps!r} is one text: give a list, as maps=[{maps!r}]")
    for name in maps:
        if name not in MAKERS:
            raise ValueError(f"maps: {name!r} is unknown: use {', '.join(MAKERS)}{did_you_mean(name, MAKERS)}")
        if name in OF_FLAGS and not flagged:
            raise ValueError(
                f"maps: {name!r} needs flags, which a stack with NaN has not: clip stack.ccd.to_dataset() instead"
            )


def check_uncertainty_way(way: Any, has_errors: bool) -> None:
    """Raise if the way to the uncertainty is unknown, or needs errors that are not there."""
    if way is None:
        return
    if way not in UNCERTAINTIES:
        near = did_you_mean(way, UNCERTAINTIES)
        raise ValueError(f"uncertainty={way!r} is unknown: use one of {', '.join(UNCERTAINTIES)}{near}")
    if way != "scatter" and not has_errors:
        raise ValueError(
            f"uncertainty={way!r} needs uncertainties, the variable data_uncertainty of a flagged Dataset: see "
            "open_dataset, or stack.ccd.to_dataset(uncertainty=...)"
        )
