"""Keywords that a recipe names, looked for in headers before any work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from xccd.headers import cards
from xccd.headers.coords import keyword_value
from xccd.messages import did_you_mean, shown
from xccd.night.plan.ready_masters import header_text
from xccd.night.recipe.recipe_values import KEYWORD
from xccd.night.reduce.work import OFF
from xccd.sky.stars import needs_sep
from xccd.verbs.keep import parsed
from xccd.verbs.stats import MEASURED, STARS
from xccd.verbs.weights import NAMED, QUALITY

if TYPE_CHECKING:
    from xccd.night.plan.jobs import Job, Plan
    from xccd.night.recipe.recipe import Recipe

DETECTOR = ("overscan", "trim", "saturation", "gain", "readnoise")
COLUMNS = {"EXPTIME": "exposure", "GAIN": "gain", "FILTER": "filter", "OBJECT": "object"}  # a table may tell these


def check_keywords(plan: Plan, recipe: Recipe) -> None:
    """Raise for a keyword that no frame has, as far as the first frame of each product tells.

    And for stars that cannot be measured, since a package is missing.
    """
    jobs = [job for job in plan.jobs if not job.ready]
    lights = [job for job in jobs if job.kind == "light"]
    if lights and _of_stars(recipe):
        needs_sep()
    for key, keywords in (*_of_lights(recipe), *_of_all(recipe)):
        own = lights if key.startswith("light.") else jobs
        for keyword in keywords if own else ():
            _check(key, keyword, own)


def _of_lights(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """The keys that name keywords of lights, and these keywords."""
    light = recipe.light
    rules = parsed(light.keep) if light.keep else ()
    yield f"light.keep={light.keep!r}", [rule.name for rule in rules if rule.name not in MEASURED]
    names = [name.strip() for name in light.weights.split("*")] if light.weights else []
    yield f"light.weights={light.weights!r}", [name for name in names if name not in (*QUALITY, *NAMED)]


def _of_stars(recipe: Recipe) -> bool:
    """Whether lights are kept or weighted by their stars."""
    light = recipe.light
    names = {rule.name for rule in parsed(light.keep)} if light.keep else set()
    names |= {name.strip() for name in light.weights.split("*")} if light.weights else set()
    return not names.isdisjoint(STARS)


def _of_all(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    for name in DETECTOR:
        value = getattr(recipe.detector, name)
        if isinstance(value, str) and value not in (*OFF, "auto") and KEYWORD.fullmatch(value):
            yield f"detector.{name}={value!r}", [value]


def _check(key: str, keyword: str, jobs: Iterable[Job]) -> None:
    """Raise if the first frame of none of the products has the keyword, nor the table its value."""
    names: dict[str, None] = {}
    for job in jobs:
        first = job.frames.iloc[0]
        if keyword in COLUMNS and first[COLUMNS[keyword]] == first[COLUMNS[keyword]]:
            return
        hdu = first.get("hdu")
        text = header_text(first["file"], int(hdu) if hdu is not None and hdu == hdu else None)
        if not text or keyword_value(text, keyword) is not None:
            return  # what cannot be read is told of when its product is made
        names |= dict.fromkeys(cards.values(text))
    near = did_you_mean(keyword, [*names, *(MEASURED if "keep" in key else ())])
    raise ValueError(
        f"{key}: no frame has {keyword} in its header, as {shown(first['file'])}{near or ': check the name'}"
    )
