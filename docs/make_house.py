"""Draw the folders of the package, and who imports whom: python docs/make_house.py.

It writes docs/_static/house.svg, and the list of files in docs/design.md. Both come from the sources alone, and a test
asks for them to be those of today.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
SRC = HERE.parent / "src" / "xccd"
# from the ground up
FOLDERS = ("kernels", "headers", "compute", "labels", "read", "write", "sky", "verbs", "pictures", "night")
BEGIN, END = "<!-- files, by docs/make_house.py -->", "<!-- end of the files -->"
WIDTH, LEFT, BOX, LINE = 760, 20, 470, 15  # pixels: of the picture, its margin, a box, a line of text
THICKNESS = ((30, 4), (10, 2), (0, 0.8))  # pixels of a line that stands for at least so many imports


def modules() -> dict[str, Path]:
    """The files of the package, by dotted name."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    return {name: path for name, path in found.items() if name}


def folder_of(name: str) -> str:
    """The folder of a module; "" for those on top and for `messages`."""
    first = name.partition(".")[0]
    return first if first in FOLDERS else ""


def imports(files: dict[str, Path]) -> Counter[tuple[str, str]]:
    """How many imports lead from one folder to another."""
    found: Counter[tuple[str, str]] = Counter()
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xccd."):
                pair = folder_of(name), folder_of(node.module.removeprefix("xccd."))
                found[pair] += all(pair) and pair[0] != pair[1]
    return +found


def picture() -> str:
    """The folders as boxes, from night down to kernels; the more imports, the thicker the line."""
    files, parts, middle, y = modules(), [], {}, 46
    for folder in reversed(FOLDERS):
        names = [n.partition(".")[2] for n in files if folder_of(n) == folder and "." in n]
        lines = textwrap.wrap(", ".join(n for n in names if not (SRC / folder / n / "__init__.py").exists()), 78)
        height = 30 + LINE * len(lines)
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{BOX}" height="{height}" fill="#dbe7f5" stroke="#8a9bb0"/>')
        parts.append(f'<text x="{LEFT + 10}" y="{y + 19}" font-weight="bold">{folder}/</text>')
        for number, line in enumerate(lines):
            parts.append(f'<text x="{LEFT + 10}" y="{y + 36 + LINE * number}" font-size="11">{line}</text>')
        middle[folder], y = y + height / 2, y + height + 12
    for (above, below), count in sorted(imports(files).items()):
        start, end = middle[above] + 3, middle[below] - 3
        reach = LEFT + BOX + 20 + 320 * (end - start) / y  # a curve goes three quarters of that far
        path = f"M {LEFT + BOX} {start:.0f} C {reach:.0f} {start:.0f} {reach:.0f} {end:.0f} {LEFT + BOX + 7} {end:.0f}"
        width = next(width for least, width in THICKNESS if count >= least)
        parts.append(f'<path d="{path}" fill="none" stroke="#1f5fa8" stroke-opacity="0.55" stroke-width="{width}"/>')
        parts.append(f'<path d="M {LEFT + BOX} {end:.0f} l 8 -4 v 8 z" fill="#1f5fa8"/>')
    top = f'<text x="{LEFT}" y="28">Imports point down. The thicker a line, the more of them.</text>'
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    style = 'font-family="DejaVu Sans, sans-serif" font-size="13" fill="#222222"'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', white, top, *parts, "</svg>", ""])


def listing() -> str:
    """Each file with the first sentence of its docstring."""
    files, lines = modules(), []
    for folder in (*FOLDERS, ""):
        lines += ["", f"### `{folder}/`" if folder else "### On top, and `messages` below all", ""]
        for name, path in files.items():
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            if folder_of(name) == folder and name not in FOLDERS:
                short = name.partition(".")[2] if folder else name
                lines.append(f"- `{short}`: {' '.join(text.split(chr(10) * 2)[0].split())}")
    return "\n".join([BEGIN, *lines, "", END])


def page(text: str) -> str:
    """docs/design.md with the list of today."""
    before, _, rest = text.partition(BEGIN)
    return before + listing() + rest.partition(END)[2]


def main() -> None:
    """Write the picture and the list."""
    (HERE / "_static" / "house.svg").write_text(picture())
    design = HERE / "design.md"
    design.write_text(page(design.read_text()))


if __name__ == "__main__":
    main()
