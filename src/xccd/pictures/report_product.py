"""The parts of a report on a product: image and maps, its frames, noise, header, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xccd.pictures.limits import limits_of
from xccd.pictures.page import Cell, Html, code, facts, joined, paragraph, pictures, table, tag, untold
from xccd.pictures.product_look import MAPS, ProductLook
from xccd.pictures.report_part import UntoldError, counted, number, percent, stands_out
from xccd.pictures.report_steps import made_by_header
from xccd.pictures.report_thumbs import LARGE, image_of
from xccd.verbs.stats import stats

Array = np.ndarray[Any, Any]
KEYS = ("OBJECT", "IMAGETYP", "FILTER", "EXPTIME", "EXPTOTAL", "NCOMBINE", "DATE-OBS", "DATE-END", "INSTRUME", "BUNIT")


class ProductPart(NamedTuple):
    """A part of a report on a product."""

    anchor: str
    title: str
    tell: Callable[[ProductLook, Any], Html]


def image_and_maps(look: ProductLook, asked: Any = None) -> Html:
    """Pictures of the image and of its maps, and what its header says first."""
    height, width = look.subject.size
    own = facts([("pixels", f"{height} x {width}"), *((k, _plain(look.cards.get(k))) for k in KEYS)])
    return joined([own, with_maps(look, tuple(MAPS)), _missing(look)])


def with_maps(look: ProductLook, kinds: tuple[str, ...]) -> Html:
    """The image, large, and its maps, small."""
    image, *maps = thumbs(look, LARGE, kinds)
    return joined([pictures([image], "big"), pictures(maps)])


def thumbs(look: ProductLook, side: int, kinds: tuple[str, ...] = tuple(MAPS)) -> list[Html]:
    """A picture of the image and of each map that it has."""
    made = [thumb(look, side)]
    for kind in kinds:
        rows = look.rows(kind)
        if rows is not None and rows.ndim == 2:
            values = _squared(look, rows, side)
            good = values[np.isfinite(values)]
            low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
            limits = [(low, high)] if kind in ("count", "rejected_low", "rejected_high") and low < high else None
            span = f" {number(low)} to {number(high)}" if good.size else ""
            caption = joined([tag("b", MAPS[kind]), span])
            made.append(image_of(values, limits or limits_of(values[None], None, None, False), MAPS[kind], caption))
    return made


def thumb(look: ProductLook, side: int, caption: Any = None) -> Html:
    """A picture of the image."""
    values = _squared(look, look.values, side)
    limits = limits_of(values[None], None, None, values.ndim == 3)
    return image_of(values, limits, look.name, tag("b", look.name) if caption is None else caption)


def _squared(look: ProductLook, rows: Array, side: int) -> Array:
    """Every n-th row and column of rows that were read, so that pixels are square."""
    step = look.step * max(1, -(-max(look.subject.size) // (side * look.step)))
    return rows[:: step // look.step, ::step]


def _missing(look: ProductLook) -> Html:
    share = float(np.mean(~np.isfinite(look.values if look.values.ndim == 2 else look.values.sum(-1))))
    return paragraph(f"{percent(share)} % of its pixels have no value (blue).") if share else Html("")


def _plain(value: Any) -> str | None:
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def statistics(look: ProductLook, asked: Any = None) -> Html:
    """Levels and noise of the whole image."""
    found = stats(look.image.expand_dims("frame")).compute()
    names = ("mean", "median", "background", "noise", "min", "max")
    values = [(name, number(float(found[name].values[0]))) for name in names]
    unit = look.image.attrs.get("units")
    missing = ("missing %", percent(float(found["missing"].values[0])))
    said = f"Levels are in {unit}." if unit else "The unit of the image is not known."
    return joined([facts([*values, missing]), paragraph(said)])


def inputs(look: ProductLook, asked: Any = None) -> Html:
    """The frames that the product was made of, with the share of each that was rejected."""
    if not look.frames:
        raise UntoldError("The header names no frames.")
    shares = [{side: _share(row, side) for side in ("LOW", "HIGH")} for row in look.frames]
    known = any(np.isfinite([*one.values()]).any() for one in shares)
    sums = [sum(one.values()) for one in shares]
    most = max((both for both in sums if np.isfinite(both)), default=0.0)
    skipped = any(row.get("SKIPPED") for row in look.frames)
    rows = []
    for row, one, both in zip(look.frames, shares, sums, strict=True):
        bar = tag("span", css="bar", style=f"width:{6 * both / most:.2f}rem") if most and np.isfinite(both) else ""
        cells = [Cell(percent(one["LOW"]), "number"), Cell(percent(one["HIGH"]), "number"), Cell(bar)] if known else []
        why = [Cell(str(row.get("SKIPPED", "")), "long")] if skipped else []
        rows.append((Cell(str(row.get("FILE", "")), "long"), *cells, *why))
    head = ["frame", *(["low %", "high %", ""] if known else []), *(["left out, as"] if skipped else [])]
    return joined([paragraph(f"{counted(len(rows), 'frame')}."), table(head, rows, marked=stands_out(sums)),
                   Html("") if known else _whole_share(look)])  # fmt: skip


def _share(row: dict[str, Any], side: str) -> float:
    try:
        return float(row.get(f"REJ_{side}", np.nan))
    except (TypeError, ValueError):
        return np.nan


def _whole_share(look: ProductLook) -> Html:
    """What of all frames was rejected, as far as the maps tell."""
    sides = [look.rows(kind) for kind in ("rejected_low", "rejected_high")]
    if any(side is None for side in sides) or not look.count:
        return untold("What was rejected of each frame is not known: the file has no columns REJ_LOW and REJ_HIGH.")
    low, high = (percent(float(np.nansum(side)) / (side.size * look.count)) for side in sides if side is not None)
    return paragraph(
        f"Rejected of all frames together: {low or 0} % as low, {high or 0} % as high, by the maps. "
        "The file has no table of the share of each frame."
    )


def noise(look: ProductLook, asked: Any = None) -> Html:
    """The noise of the image against that of a frame, as far as its maps tell."""
    found, count = look.noise, look.noise["count"]
    if not np.isfinite(found["frame"]):
        raise UntoldError("The noise of a frame is not known: that takes the maps of uncertainties and of counts.")
    own = found["told"] if look.is_master else found["measured"]
    gain = found["frame"] / own if own > 0 else np.nan
    told = facts([
        ("noise of a frame, by the maps", number(found["frame"])), ("expected of the image", number(found["told"])),
        ("measured in the image", number(found["measured"])), ("gained", f"{number(gain)} times"),
        ("sqrt(N)", number(count**0.5)),
    ])  # fmt: skip
    said = "Measured from differences along rows, where stars and slopes cancel; by the maps: their medians."
    if look.is_master:
        said += " What is measured in a master holds the pattern of the pixels, so the gain is that of the maps."
    if any("align" in step for step in look.steps):
        said += " The frames were resampled: neighbours then share noise, and less is measured than there is."
    return joined([told, paragraph(said)])


def header(look: ProductLook, asked: Any = None) -> Html:
    """The cards."""
    if not look.header:
        raise UntoldError("The image has no header.")
    return code(line for line in look.header.split("\n") if line.strip())


def made(look: ProductLook, asked: Any = None) -> Html:
    """The steps, the recipe, and the command that makes the product again."""
    parts = [code(look.steps) if look.steps else untold("The header has no step of xccd in its HISTORY.")]
    if look.recipe and look.file is not None:
        command = f"xccd run --from {shlex.quote(str(look.file))} -o {shlex.quote('again-' + look.file.name)}"
        parts += [paragraph("Made again with the same pixels by:"), code([command])]
    elif not look.recipe:
        parts.append(untold("There is no extension RECIPE, so no command makes the product again."))
    if look.recipe:
        parts += [paragraph("The extension RECIPE:"), code(look.recipe.split("\n"))]
    return joined([*parts, made_by_header(look.cards)])


PRODUCT_PARTS = (
    ProductPart("image", "Image and maps", image_and_maps),
    ProductPart("statistics", "Statistics", statistics),
    ProductPart("frames", "Frames", inputs),
    ProductPart("noise", "Noise", noise),
    ProductPart("made", "How it was made", made),
    ProductPart("header", "Header", header),
)
