"""Which masters frames get, and whether a dark is scaled."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

from xccd.night.detectors import Detector
from xccd.night.drafts import Asked, Draft
from xccd.night.exposures import alike
from xccd.night.nights import UNKNOWN, name_of
from xccd.night.recipe import Recipe

FAR = 1 << 62  # between two nights of which one is not known


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
        self.fit: dict[tuple[str, int], list[tuple[int, Draft]]] = {}
        self.kept: dict[Asked, Choice] = {}

    def add(self, drafts: list[Draft]) -> None:
        """Take masters, in an order that their values tell: it decides between equals."""
        for draft in drafts:
            self.all[draft.kind].append(draft)
        self.fit.clear()
        self.kept.clear()

    def choice(self, asked: Asked) -> Choice:
        """The masters that frames get."""
        if asked not in self.kept:
            self.kept[asked] = self._choice(asked)
        return self.kept[asked]

    def _choice(self, asked: Asked) -> Choice:
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

    def _fitting(self, kind: str, detector: int) -> list[tuple[int, Draft]]:
        """The masters of a kind that are of this detector, each with the count of settings that are not known."""
        key = (kind, detector)
        if key not in self.fit:
            own = self.detectors[detector]
            pairs = [(own.unknown_beside(self.detectors[d.group.detector]), d) for d in self.all[kind]]
            self.fit[key] = [(n, d) for n, d in pairs if n is not None]
        return self.fit[key]

    def _nearest(self, kind: str, asked: Asked) -> Draft | None:
        found = self._fitting(kind, asked.detector)
        return min(found, key=lambda pair: self._rank(pair, asked), default=(0, None))[1]

    def _rank(self, pair: tuple[int, Draft], asked: Asked) -> tuple[float, ...]:
        """The smaller, the better: known settings, temperature, raw frames rather than a ready master, the night."""
        unknown, draft = pair
        degrees = 0.0 if draft.kind == "flat" else self._degrees(draft, asked)
        own = draft.group.night
        apart = FAR if UNKNOWN in (own, asked.night) else abs(own - asked.night)
        return (unknown, degrees, bool(draft.ready), apart, own)

    def _degrees(self, draft: Draft, asked: Asked) -> float:
        """The difference in temperature if it is above the tolerance, else 0."""
        gap = abs(draft.group.temperature - asked.temperature)
        return gap if gap > self.recipe.temperature_tolerance else 0.0

    def _dark(self, asked: Asked, bias: Draft | None) -> tuple[Draft | None, bool, list[str]]:
        """The dark, whether it is scaled, and what is to be said."""
        found = self._fitting("dark", asked.detector)
        if not found:
            return None, True, [self._none("dark", asked) + "no dark is subtracted"]
        if math.isnan(asked.exposure):
            return None, True, ["no dark is subtracted: the exposure time of the frames is not known"]
        ranked = sorted(found, key=lambda pair: self._rank_of_dark(pair, asked))
        why = ""
        for _, dark in ranked:
            own = dark.group.exposure
            same = alike(own, asked.exposure, self.recipe.exposure_tolerance)
            refused = self._refused(dark, same, asked, bias)
            if refused:
                why = why or refused
                continue
            if dark.holds_bias:
                return dark, False, ["the dark holds the bias, which is subtracted with it"]
            said = [] if same else [f"the dark of {own:g} s is scaled to {asked.exposure:g} s"]
            return dark, self.recipe.dark.scale, said
        return None, True, [f"no dark of {asked.exposure:g} s: {why}"]

    def _rank_of_dark(self, pair: tuple[int, Draft], asked: Asked) -> tuple[float, ...]:
        """As `_rank`; darks of the exposure come first, then the nearest in exposure."""
        own = pair[1].group.exposure
        same = alike(own, asked.exposure, self.recipe.exposure_tolerance)
        far = 0.0 if same else abs(math.log(own / asked.exposure)) if own > 0 < asked.exposure else math.inf
        first, degrees, ready, *rest = self._rank(pair, asked)
        return (first, degrees, not same, ready if same else 0, far, ready, *rest)

    def _refused(self, dark: Draft, same: bool, asked: Asked, bias: Draft | None) -> str:
        """Why a dark cannot be subtracted from these frames; "" if it can."""
        own = dark.group.exposure
        if not same and asked.kind == "flat":
            return "the bias alone is subtracted" if bias is not None else f"that of {own:g} s holds its bias"
        if not same and not self.recipe.dark.scale:
            return f"that of {own:g} s is not scaled, as the recipe says [dark] scale = false"
        if not same and not own > 0:
            return "the exposure time of the darks is not known"
        if not same and dark.holds_bias:
            return f"that of {own:g} s holds its bias, so it cannot be scaled: bias frames are needed"
        if bias is None and not dark.holds_bias:
            return f"the bias of that of {own:g} s is subtracted, and there is none for the frames"
        return ""

    def _flat(self, asked: Asked) -> tuple[Draft | None, list[str]]:
        found = self._fitting("flat", asked.detector)
        if not found:
            return None, [self._none("flat", asked) + "the frames are not divided by one"]
        same = [pair for pair in found if pair[1].group.filter == asked.filter]
        said: list[str] = []
        if not same:  # a filter that is not told fits any, if there is but one
            same = [pair for pair in found if not (pair[1].group.filter and asked.filter)]
            filters = sorted({pair[1].group.filter for pair in found})
            if not same or len({pair[1].group.filter for pair in same}) > 1:
                wanted = f"filter {asked.filter!r}" if asked.filter else "no filter"
                of = ", ".join(repr(f) for f in filters)
                return None, [f"no flat of {wanted}, those there are of {of}: the frames are not divided by one"]
            said = ["the filter of the frames or of the flat is not told: they are taken to be of one"]
        return min(same, key=lambda pair: self._rank(pair, asked))[1], said

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
            if draft.ready:
                found.append(f"the {kind} is the ready master {draft.ready}")
            if kind != "flat" and self._degrees(draft, asked):
                found.append(f"the {kind} is of {own.temperature:g} degrees, the frames of {asked.temperature:g}")
            if own.night != asked.night and UNKNOWN not in (own.night, asked.night):
                found.append(f"the {kind} is of the night {name_of(own.night)}, frames of {name_of(asked.night)}")
        return found
