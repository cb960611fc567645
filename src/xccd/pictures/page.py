"""An HTML page in one file: elements that escape what is put into them, and the page around them."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xccd.messages import shown
from xccd.pictures.page_style import STYLE
from xccd.write.place import new_file, replacing

# No script runs, and nothing is asked of any server, whatever a header says.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
EMPTY = ("img", "meta", "link", "br")  # elements without an end


class Html(str):
    """A text that is HTML. Any other text is escaped where it is put into an element."""

    __slots__ = ()


class Section(NamedTuple):
    """A part of a page: its place in the page, its heading, and what is in it."""

    anchor: str
    title: str
    body: Html
    level: int = 2


class Cell(NamedTuple):
    """A cell of a table that is not plain: its content, its class, and whether it names the row."""

    content: Any
    css: str = ""
    names: bool = False


def escaped(value: Any) -> Html:
    """A text as HTML: control letters and marks that change the direction of writing are spelled out."""
    return value if isinstance(value, Html) else Html(html.escape(shown(value), quote=True))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element. Attributes that are None are left out; ``css`` is the class."""
    own = "".join(
        f' {"class" if key == "css" else key.replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value not in (None, "")
    )
    if name in EMPTY:
        return Html(f"<{name}{own}>")
    return Html(f"<{name}{own}>{joined(children)}</{name}>")


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Parts one after another."""
    return Html(between.join(map(escaped, parts)))


def paragraph(*text: Any, css: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *text, css=css)


def untold(why: Any) -> Html:
    """The line of a part that cannot be told."""
    return paragraph(why, css="untold")


def items(lines: Iterable[Any]) -> Html:
    """A list; "" without lines."""
    every = [tag("li", line) for line in lines]
    return tag("ul", *every) if every else Html("")


def code(lines: Iterable[Any]) -> Html:
    """Lines that can be copied, in a box that scrolls."""
    return tag("pre", tag("code", joined(lines, "\n")), tabindex=0)


def facts(pairs: Iterable[tuple[Any, Any]]) -> Html:
    """Names and values, those without a value left out."""
    every = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value not in (None, "")]
    return tag("dl", *every) if every else Html("")


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, marked: Sequence[bool] = ()) -> Html:
    """A table in a box that scrolls. The first cell of a row names it; ``marked`` rows stand out."""
    lines, numbers = [], [False] * len(head)
    for number, row in enumerate(rows):
        numbers = [_is_number(value) for value in row]
        cells = [_cell(value, names=not k) for k, value in enumerate(row)]
        lines.append(tag("tr", *cells, css="marked" if marked and marked[number] else None))
    if not lines:
        return Html("")
    top = tag("thead", tag("tr", *(_heading(*pair) for pair in zip(head, numbers, strict=True))))
    return tag("div", tag("table", top, tag("tbody", *lines)), css="scroll", tabindex=0)


def _heading(name: Any, is_number: bool) -> Html:
    return tag("th", name, scope="col", css="number" if is_number else None)


def _is_number(value: Any) -> bool:
    return value.css == "number" if isinstance(value, Cell) else isinstance(value, int | float)


def _cell(value: Any, *, names: bool) -> Html:
    cell = value if isinstance(value, Cell) else Cell(value)
    css = cell.css or ("number" if _is_number(value) else "")
    if names or cell.names:
        return tag("th", cell.content, scope="row", css=css)
    return tag("td", cell.content, css=css)


def picture(
    data: bytes, alt: str, caption: Any = "", *, css: str = "plot", size: tuple[int, int] | None = None
) -> Html:
    """A PNG within the page; ``size`` is its width and height."""
    source = Html("data:image/png;base64," + b64encode(data).decode())
    width, height = size or (None, None)
    image = tag("img", src=source, alt=alt, width=width, height=height)
    return tag("figure", image, *([tag("figcaption", caption)] if caption else []), css=css)


def pictures(every: Iterable[Html], css: str = "thumbs") -> Html:
    """Pictures side by side, as many as there is room for."""
    return tag("div", *every, css=css)


def page(
    title: str, lead: Sequence[Any], sections: Sequence[Section], *, refresh: int | None = None, by: str = "xccd report"
) -> bytes:  # fmt: skip
    """The whole page, written ``by`` a command. With ``refresh`` a browser loads it again after so many seconds."""
    links = [tag("a", s.title, href=f"#{s.anchor}") for s in sections if s.level == 2]
    parts = [
        tag("section", tag(f"h{s.level}", s.title), s.body, id=s.anchor, css=None if s.level == 2 else "inner")
        for s in sections
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="generator", content=by),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        *([tag("meta", http_equiv="refresh", content=refresh)] if refresh else []),
        tag("link", rel="icon", href="data:,"),  # else a browser asks the server for one
        tag("title", title),
        tag("style", Html(STYLE)),
    ]
    top = tag("header", tag("h1", title), *(paragraph(line) for line in lead if line))
    links = links if len(links) > 1 else []
    body = [top, *([tag("nav", *links, aria_label="parts of this page")] if links else []), tag("main", *parts)]
    made = f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"
    return made.encode()


def is_page(path: Path, by: str) -> bool:
    """Whether a file is a page that was written by this command."""
    try:
        with open(path, "rb") as file:
            return f'<meta name="generator" content="{by}">'.encode() in file.read(1024)
    except OSError:
        return False


def write_page(path: Path, data: bytes, *, overwrite: bool) -> Path:
    """Write a page, whole or not at all."""
    with replacing(path, lambda folder: new_file(folder, overwrite=overwrite), lambda: len(data)) as file:
        file.write(data)
    return path


def anchor(*words: Any) -> str:
    """A place in a page, of letters and digits."""
    text = "-".join("".join(c if c.isascii() and c.isalnum() else "-" for c in str(word)) for word in words if word)
    return text.strip("-").lower() or "part"
