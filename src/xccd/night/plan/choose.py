"""Which masters frames get, and whether a dark is scaled."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

from xccd.night.plan.detectors import Detector
from xccd.night.plan.drafts import Asked, Draft
from xccd.night.plan.nights import UNKNOWN, name_of
from xccd.night.plan.shelf import Shelf
from xccd.night.recipe.recipe import Recipe


class Choice(NamedTuple):
    """The masters of some frames, whether the dark is scaled, and sentences of what is missing or was chosen."""

    masters: dict[str, Draft]
    scale_dark: bool
    notes: list[str]


class Chooser:
    """The masters of a night, and the choice among them."""

    def __init__(self, detectors: list[Detector], recipe: Recipe) -> None:
        self.detectors, self.recipe = detectors, recipe
        self.all: dict[str, list[Draft]] = defaultdict(list)
        self.shelves: dict[tuple[str, int, str | None], Shelf] = {}

    def add(self, drafts: list[Draft]) -> None:
        """Take masters, in an order that their values tell: it decides between equals."""
        for draft in drafts:
            self.all[draft.kind].append(draft)
        self.shelves.clear()

    def choice(self, asked: Asked) -> Choice:
        """The masters that frames get."""
        masters: dict[str, Draft] = {}
        notes: list[str] = []
        scale = self.recipe.dark.scale
        if asked.kind == "bias":
            return Choice({}, scale, [])
        bias = self._nearest("bias", asked)
        if bias is not None:
            masters["bias"] = bias
        if asked.kind != "dark":
            dark, scale, said = self._dark(asked, bias)
            notes += said
            if dark is not None:
                masters["dark"] = dark
                if dark.holds_bias:
                    masters.pop("bias", None)
        if "bias" not in masters and "dark" not in masters:
            notes.insert(0, self._none("bias", asked) + "no bias is subtracted")
        if asked.kind == "light":
            flat, said = self._flat(asked)
            notes += said
            if flat is not None:
                masters["flat"] = flat
        return Choice(masters, scale, [*notes, *self._far(masters, asked)])

    def _shelf(self, kind: str, detector: int, colour: str | None = None) -> Shelf:
        """The masters of a kind that fit a detector, and are of a filter if one is given."""
        key = (kind, detector, colour)
        if key not in self.shelves:
            own = self.detectors[detector]
            pairs = [(own.unknown_beside(self.detectors[d.group.detector]), d) for d in self.all[kind]]
            self.shelves[key] = Shelf(
                [(n, d) for n, d in pairs if n is not None and (colour is None or d.group.filter == colour)]
            )
        return self.shelves[key]

    def _nearest(self, kind: str, asked: Asked) -> Draft | None:
        shelf = self._shelf(kind, asked.detector)
        return shelf.ranked(asked, self.recipe.temperature_tolerance)[0] if shelf.drafts else None

    def _degrees(self, draft: Draft, asked: Asked) -> float:
        """The difference in temperature if it is above the tolerance, else 0."""
        gap = abs(draft.group.temperature - asked.temperature)
        return gap if gap > self.recipe.temperature_tolerance else 0.0

    def _dark(self, asked: Asked, bias: Draft | None) -> tuple[Draft | None, bool, list[str]]:
        """The dark, whether it is scaled, and what is to be said."""
        shelf, tolerance = self._shelf("dark", asked.detector), self.recipe.exposure_tolerance
        if not shelf.drafts:
            return None, True, [self._none("dark", asked) + "no dark is subtracted"]
        if math.isnan(asked.exposure):
            return None, True, ["no dark is subtracted: the exposure time of the frames is not known"]
        why = ""
        ranked = shelf.ranked_darks(asked, self.recipe.temperature_tolerance, tolerance)
        if asked.kind == "flat":  # it gets none of another exposure: one tells why
            ranked = [pair for pair in ranked if pair[1]] or ranked[:1]
        for dark, same in ranked:
            own = dark.group.exposure
            if refused := self._refused(dark, same, asked, bias):
                why = why or refused
                continue
            if dark.holds_bias:
                return dark, False, ["the dark holds the bias, which is subtracted with it"]
            said = [] if same else [f"the dark of {own:g} s is scaled to {asked.exposure:g} s"]
            return dark, self.recipe.dark.scale, said
        return None, True, [f"no dark of {asked.exposure:g} s: {why}"]

    def _refused(self, dark: Draft, same: bool, asked: Asked, bias: Draft | None) -> str:
        """Why a dark cannot be subtracted from these frames; "" if it can."""
        own = dark.group.exposure
        if not same and asked.kind == "flat":
            return "the bias alone is subtracted" if bias is not None else f"that of {own:g} s holds its bias"
        if not same and not own > 0:
            return "the exposure time of the darks is not known"
        if not same and not self.recipe.dark.scale:
            return f"that of {own:g} s is not scaled, as the recipe says [dark] scale = false"
        if not same and dark.holds_bias:
            return f"that of {own:g} s holds its bias, so it cannot be scaled: bias frames are needed"
        if bias is None and not dark.holds_bias:
            return f"the bias of that of {own:g} s is subtracted, and there is none for the frames"
        return ""

    def _flat(self, asked: Asked) -> tuple[Draft | None, list[str]]:
        shelf = self._shelf("flat", asked.detector)
        if not shelf.drafts:
            return None, [self._none("flat", asked) + "the frames are not divided by one"]
        colour, said = asked.filter, []
        if colour not in shelf.filters:  # a filter that is not told fits any, if there is but one
            others = [name for name in shelf.filters if not (name and colour)]
            if len(others) != 1:
                wanted = f"filter {colour!r}" if colour else "no filter"
                of = ", ".join(map(repr, shelf.filters))
                return None, [f"no flat of {wanted}, those there are of {of}: the frames are not divided by one"]
            colour = others[0]
            said = ["the filter of the frames or of the flat is not told: they are taken to be of one"]
        shelf = self._shelf("flat", asked.detector, colour)
        return shelf.ranked(asked, math.inf)[0], said

    def _none(self, kind: str, asked: Asked) -> str:
        """The beginning of a sentence for frames without a master of a kind."""
        words = {"bias": "no bias frames", "dark": "no darks", "flat": "no flats"}[kind]
        others = self.all[kind]
        if not others:
            return f"{words}: "
        own = self.detectors[asked.detector]
        return f"{words} that fit ({own.differs_from(self.detectors[others[0].group.detector])}): "

    def _far(self, masters: dict[str, Draft], asked: Asked) -> list[str]:
        """Sentences about masters of another night or temperature."""
        found = []
        for kind, draft in masters.items():
            own = draft.group
            fit = self._shelf(kind, asked.detector)
            if fit.several and own.detector != asked.detector:
                untold = self.detectors[asked.detector].untold_beside(self.detectors[own.detector])
                found.append(f"the {kind} is one of several that may fit: {untold} is not told of it or of the frames")
            if draft.ready:
                found.append(f"the {kind} is the ready master {draft.ready}")
            if kind != "flat" and self._degrees(draft, asked):
                found.append(f"the {kind} is of {own.temperature:g} degrees, the frames of {asked.temperature:g}")
            if own.night != asked.night and UNKNOWN not in (own.night, asked.night):
                found.append(f"the {kind} is of the night {name_of(own.night)}, frames of {name_of(asked.night)}")
        return found
