"""The page of a live stack: the mean so far, its frames and its noise, written again as frames come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xccd.labels.warn import warn
from xccd.messages import shown
from xccd.night.live.frame import Added
from xccd.pictures import report_product
from xccd.pictures.page import (
    Cell,
    Html,
    Section,
    code,
    facts,
    is_page,
    joined,
    page,
    paragraph,
    table,
    tag,
    untold,
    write_page,
)
from xccd.pictures.product_look import ProductLook
from xccd.pictures.report_part import UntoldError, counted, percent
from xccd.pictures.report_steps import versions

if TYPE_CHECKING:
    from xccd.night.live.live import LiveStack

BY = "xccd live"
PAUSE = 3.0  # seconds between two writings of the page: of a fast camera not each frame is worth one
REFRESH = 5  # seconds after which a browser loads it again
MAPS = ("count", "rejected_low", "rejected_high")
MOST = 1000  # frames in the table


@dataclass
class LivePage:
    """The page at ``path``; a failure to write it is a warning, and costs no frame."""

    path: Path
    product: Path
    command: str = ""
    clock: Callable[[], float] = time.monotonic
    added: list[Added] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # names of files, and why
    _last: float = float("-inf")
    _waits: bool = False

    def update(self, stack: LiveStack, *, now: bool = False, ended: bool = False) -> bool:
        """Write the page if the last writing is some seconds ago, or ``now``; whether it was written."""
        self._waits = True
        if not len(stack) or not (now or ended or self.clock() - self._last >= PAUSE):
            return False
        self._waits = False
        try:
            write_page(self.path, self._page(stack, ended), overwrite=True)
        except Exception as error:  # whatever it is, the stack goes on
            warn(f"LiveStack: {shown(str(self.path))} could not be written: {error or type(error).__name__}")
        self._last = self.clock()  # also after a failure: it is not tried at once again
        return True

    @property
    def waits(self) -> bool:
        """Whether the page is not current, as it was written a moment before."""
        return self._waits

    def catch_up(self, stack: LiveStack) -> None:
        """Write what was put off, once it is time."""
        if self._waits:
            self.update(stack)

    def _page(self, stack: LiveStack, ended: bool) -> bytes:
        ds = stack.snapshot()
        look = ProductLook.of(self.product.name, ds, ds["data"])
        state = "Ended" if ended else f"A browser loads this page again every {REFRESH} s"
        lead = [
            f"{counted(len(stack), 'frame')} in the mean, the last {stack.names[-1]}.",
            f"Written by xccd live, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}. {state}.",
        ]
        sections = [
            Section("image", "The mean so far", _image(look)),
            Section("frames", "Frames", self._frames(stack)),
            Section("noise", "Noise", _noise(look)),
            Section("left-out", "Left out", self._left_out(stack)),
            Section("made", "How it is made", self._made(stack)),
            Section("versions", "Versions", versions()),
        ]
        return page(f"Live: {self.product.name}", lead, sections, refresh=None if ended else REFRESH, by=BY)

    def _frames(self, stack: LiveStack) -> Html:
        """The frames, the last on top. What was rejected is known of those since this start."""
        known = {one.number: one for one in self.added}
        shares = {n: one.rejected / max(1, one.samples) for n, one in known.items()}
        most = max(shares.values(), default=0.0)
        rows = []
        for number, name in list(enumerate(stack.names, 1))[::-1][:MOST]:
            share = shares.get(number)
            bar = tag("span", css="bar", style=f"width:{6 * share / most:.2f}rem") if share and most else ""
            samples = str(known[number].samples) if number in known else ""
            rows.append(
                (number, Cell(name, "long"), Cell(samples, "number"), Cell(percent(share), "number"), Cell(bar))
            )
        before = len(stack) - len(known)
        text = f"Of {counted(before, 'frame')} from the state, the shares are not known."
        said = [paragraph(text)] if before else []
        left = [paragraph(f"The first {len(stack) - MOST} are not listed.")] if len(stack) > MOST else []
        return joined([*said, table(["number", "frame", "samples", "rejected %", ""], rows), *left])

    def _left_out(self, stack: LiveStack) -> Html:
        rows = [(Cell(name, "long"), Cell(why, "long")) for name, why in self.refused]
        named = {name for name, _ in self.refused}
        rows += [(Cell(name, "long"), Cell("not brought onto the first frame", "long")) for name in stack.left_out
                 if name not in named]  # fmt: skip
        return table(["file", "why"], rows) if rows else paragraph("No file was left out.")

    def _made(self, stack: LiveStack) -> Html:
        own = facts((name, value) for name, value in stack.options.items() if value not in (None, False))
        return joined([own, code([self.command])] if self.command else [own])


def check_page(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError for a file that is no page of a live stack."""
    if path.exists() and not overwrite and not is_page(path, BY):
        raise FileExistsError(
            f"path={str(path)!r} is there already, and is no report of xccd live: overwrite=True replaces it"
        )


def _image(look: ProductLook) -> Html:
    return joined([report_product.with_maps(look, MAPS), paragraph("In the grey levels of zscale.")])


def _noise(look: ProductLook) -> Html:
    try:
        return report_product.noise(look)
    except UntoldError as why:
        return untold(str(why))
