"""What `explain` tells of a pixel: a value that prints as a table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from xccd.kernels.flags import Flag
from xccd.labels.flags import attributes
from xccd.messages import shown

Array = np.ndarray[Any, Any]
MOST = 30  # frames that are printed
REASONS = {  # in words, where no rule says more
    Flag.MASKED_ON_INPUT: "masked on input",
    Flag.NOT_FINITE: "not a number",
    Flag.BELOW_MINIMUM: "below the minimum",
    Flag.ABOVE_MAXIMUM: "above the maximum, or saturated",
    Flag.REJECTED_LOW: "rejected as low",
    Flag.REJECTED_HIGH: "rejected as high",
    Flag.GROWN: "beside a rejected sample",
    Flag.OUTSIDE_FOOTPRINT: "outside the frame",
}
OF_CLIPS = Flag.BELOW_MINIMUM | Flag.ABOVE_MAXIMUM | Flag.REJECTED_LOW | Flag.REJECTED_HIGH | Flag.GROWN


@dataclass(frozen=True, eq=False)
class Told:
    """One rejection: its call, how many samples it rejected, and with what it compared them.

    ``center``, ``low`` and ``high`` have a number for each frame: those of the last pass. They are NaN where there are
    none, and infinite where a side is off.
    """

    call: str
    rejected_low: int
    rejected_high: int
    center: Array
    low: Array
    high: Array
    why_not: str = ""  # why there are no limits
    rejected_beside: int = 0  # for their neighbours, by `grow` and the like

    def __str__(self) -> str:
        return f"{self.call}: {self.numbers()}"

    def numbers(self) -> str:
        """What it rejected, and by which limits, in words."""
        counts = f"rejected {self.rejected_low} low and {self.rejected_high} high"
        if self.rejected_beside:
            counts = f"rejected {self.rejected_beside}"
        if self.why_not:
            return f"{counts}; {self.why_not}"
        said = [f"centre {_span(self.center)}"] if np.isfinite(self.center).any() else []
        low, high = (_span(values) if np.isfinite(values).any() else "" for values in (self.low, self.high))
        bounds = f"bounds {low} to {high}" if low and high else ""
        one = (
            f"lower bound {low}"
            if low
            else f"upper bound {high}"
            if high
            else "no bounds: too few samples, or no scatter"
        )
        return f"{counts}; {', '.join([*said, bounds or one])}"


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """All samples of a pixel, and what became of each; see `explain`."""

    place: Mapping[Hashable, Any]  # the pixel, as {"y": 30, "x": 40}
    name: tuple[str, ...]  # of each frame
    sample: Array  # the samples; NaN if they are missing, or no longer known
    flags: Array  # uint8 for each frame, 0 if the sample is in use
    why: tuple[str, ...]  # why it is not, "" if it is
    rules: tuple[Told, ...]
    unit: str
    origins: Mapping[str, str]  # where unit, WCS and mask came from
    notes: tuple[str, ...] = ()
    dim: Hashable = "frame"

    def __post_init__(self) -> None:
        for values in (
            self.sample,
            self.flags,
            *(v for rule in self.rules for v in (rule.center, rule.low, rule.high)),
        ):
            values.flags.writeable = False

    @property
    def kept(self) -> Array:
        """Which samples are in use, bool for each frame."""
        return np.asarray(self.flags == 0)

    @property
    def rejected(self) -> Array:
        """Which samples a clip rejected, bool for each frame."""
        return np.asarray((self.flags & np.uint8(OF_CLIPS)) != 0)

    def to_dataset(self) -> xr.Dataset:
        """The same as a Dataset on ``frame``: samples, flags, reasons, and the limits of the last rejection."""
        numbers = [rule for rule in self.rules if not rule.why_not]
        limits = {k: getattr(numbers[-1], k).copy() for k in ("center", "low", "high")} if numbers else {}
        units = {"units": self.unit} if self.unit else {}
        made: dict[Hashable, Any] = {
            "name": (self.dim, np.array(self.name)),
            "sample": (self.dim, self.sample.copy(), units),
            "kept": (self.dim, self.kept),
            "flags": (self.dim, self.flags.copy(), attributes()),
            "why": (self.dim, np.array(self.why)),
        }
        made |= {k: (self.dim, values, units) for k, values in limits.items()}
        attrs = {"calls": "\n".join(rule.call for rule in self.rules), **self.origins}
        return xr.Dataset(made, coords={str(k): v for k, v in self.place.items()}, attrs=attrs)

    def __repr__(self) -> str:
        rules = [f"  {i}. {rule.call}\n     {rule.numbers()}" for i, rule in enumerate(self.rules, 1)]
        rows = self._rows()
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        said = [f"{name}: {text}" for name, text in self.origins.items()]
        return "\n".join([self._headline(), *rules, *lines, *self._left_out(), *said, *self.notes])

    def _repr_html_(self) -> str:
        head, *rows = self._rows()
        cells = "".join(f"<th>{escape(text)}</th>" for text in head)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{'<b>' if row[3] else ''}{escape(text)}{'</b>' if row[3] else ''}</td>" for text in row)
            + "</tr>"
            for row in rows
        )
        rules = "".join(f"<li>{escape(str(rule))}</li>" for rule in self.rules)
        said = [*self._left_out(), *(f"{name}: {text}" for name, text in self.origins.items()), *self.notes]
        rest = "<br>".join(map(escape, said))
        return (
            f"<div><p><b>{escape(self._headline())}</b></p><ol>{rules}</ol>"
            f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table><p>{rest}</p></div>"
        )

    def _headline(self) -> str:
        where = ", ".join(f"{k}={v}" for k, v in self.place.items())
        out, kept = int(self.rejected.sum()), int(self.kept.sum())
        counts = f"{kept} kept, {out} rejected, {len(self.name) - kept - out} missing"
        unit = f", in {self.unit}" if self.unit else ""
        return f"pixel {where or 'alone'} of {len(self.name)} frames{unit}: {counts}"

    def _printed(self) -> list[int]:
        """The frames that are printed: all if they are few, else first those that are out."""
        if len(self.name) <= MOST:
            return list(range(len(self.name)))
        out = np.flatnonzero(self.flags != 0).tolist()
        return sorted([*out, *np.flatnonzero(self.flags == 0).tolist()][:MOST])

    def _rows(self) -> list[tuple[str, str, str, str]]:
        values = [_number(v) if np.isfinite(v) else "-" for v in self.sample.tolist()]
        rows = [(str(i), shown(self.name[i]), values[i], self.why[i]) for i in self._printed()]
        return [(str(self.dim), "name", "sample", ""), *rows]

    def _left_out(self) -> list[str]:
        rest = sorted(set(range(len(self.name))) - set(self._printed()))
        if not rest:
            return []
        kept, own = int(self.kept[rest].sum()), self.sample[rest]
        span = f", {_span(own)}" if np.isfinite(own).any() else ""
        return [f"  and {len(rest)} more, {kept} of them kept{span}"]


def _number(value: float) -> str:
    return f"{value:.7g}"


def _span(values: Array) -> str:
    """One number, or the least and the greatest of several."""
    good = values[np.isfinite(values)]
    least, most = f"{good.min():.6g}", f"{good.max():.6g}"
    return least if least == most else f"{least} ... {most}"
