"""The parts of a report that tell how things were made: steps, calls, versions, time and memory."""

from __future__ import annotations

import ast
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from xccd.headers import common
from xccd.pictures.page import Html, code, facts, joined, paragraph, table, untold
from xccd.pictures.report_look import Look
from xccd.pictures.report_part import Asked, Cost

PACKAGES = ("xccd", "xarray", "numpy", "dask", "numba", "astropy", "matplotlib", "scipy", "sep", "reproject")
# Verbs whose step in the history is the whole call. The others are given arrays, of which a step has the name alone.
WHOLE = frozenset((
    "sigma_clip", "clip_extrema", "minmax", "reject", "grow", "large_structures", "trim", "normalize", "debayer",
    "keep",
))  # fmt: skip
CALL = re.compile(r"xccd\.(\w+)\((.*)\)", re.DOTALL)


def parameters(look: Look, asked: Asked) -> Html:
    """The steps of the history with their arguments, and lines of Python that make the stack and the page again."""
    steps = common.history_steps(look.what.stack)
    known = paragraph("The steps since the files were opened, with their arguments:") if steps else None
    none = untold("The stack has no history: it is as it was opened, or its history was lost in arithmetic.")
    listed = joined([known, code(steps)]) if known else none
    lines, whole = again(look, steps, asked)
    said = "In Python again:" if whole else "In Python again; what begins with # has to be filled in:"
    return joined([listed, paragraph(said), code(lines)])


def again(look: Look, steps: Sequence[str], asked: Asked) -> tuple[list[str], bool]:
    """Lines of Python, and whether they are complete."""
    files, whole = look.files, True
    lines = ["import xccd", ""]
    if files and not any("[" in name for name in files):
        opener = "open_dataset" if look.what.stack.attrs.get("ancillary_variables") else "open_stack"
        lines += ["files = [", *(f"    {name!r}," for name in files), "]", f"stack = xccd.{opener}(files)"]
    else:
        lines.append("# stack = xccd.open_stack(...)  # the files are not known" if not files else
                     f"# stack = xccd.open_stack(...)  # images of {files[0]} and others")  # fmt: skip
        whole = False
    for step in steps:
        call = as_call(step)
        lines.append(f"stack = stack.ccd.{call}" if call else f"# {step}")
        whole &= bool(call)
    given = ", ".join(f"{k}={v!r}" for k, v in asked.keywords.items())
    lines.append(f"stack.ccd.report({asked.path!r}{', ' if given else ''}{given})")
    return lines, whole


def as_call(step: str) -> str:
    """A step of a history as a call of the accessor; "" if it is none, or has arguments that are not in the text."""
    found = CALL.fullmatch(step.strip())
    if found is None or found[1] not in WHOLE:
        return ""
    try:
        tree = ast.parse(f"{found[1]}({found[2]})", mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    if not isinstance(tree, ast.Call) or tree.args:
        return ""
    plain = all(_is_plain(word.value) for word in tree.keywords)
    return f"{found[1]}({found[2]})" if plain else ""


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def versions() -> Html:
    """The versions of Python, of the system, and of the packages that do the work."""
    found = [("Python", platform.python_version()), ("system", f"{platform.system()} {platform.machine()}")]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return facts(found)


def peak() -> int:
    """The most memory that this process had, in bytes; 0 if the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def costs(parts: Sequence[Cost], seconds: float, before: int, after: int) -> Html:
    """What the report took: seconds of its parts, and the memory of the process."""
    total = paragraph(f"The report took {seconds:.1f} s, of which parts of 0.05 s or more:")
    shown = table(["part", "seconds"], [(cost.part, f"{cost.seconds:.2f}") for cost in parts if cost.seconds >= 0.05])
    if not after:
        return joined([total, shown, untold("The memory is not known: this system does not tell it.")])
    more = f", {(after - before) / 1e6:.0f} MB more than before the report" if after > before else ""
    memory = f"The process had {after / 1e6:.0f} MB at most{more}, as its system counts."
    return joined([total, shown, paragraph(memory)])


def made_by_header(cards: dict[str, Any]) -> Html:
    """The program and the time that a header names."""
    return facts([("program", cards.get("CREATOR")), ("written", cards.get("DATE"))])
