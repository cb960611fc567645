"""Labels that xarray prints in short: long texts as their number, files by their names.

They are subclasses of NumPy's array. That is the form that cannot break anything: xarray keeps it where it keeps its
data, ``.values`` is a plain array of plain texts, and where NumPy or xarray make a plain array, the only loss is that
it is printed in full. A class of texts would not do: xarray passes new labels through pandas, which makes plain texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class Short(np.ndarray[Any, Any]):
    """An object array of texts that prints in short in a list of labels."""

    __array_priority__ = 1.0  # above plain arrays, so that `concat` with them keeps the class

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)  # results of comparisons are no texts
        return plain[()] if return_scalar else plain

    def __repr__(self) -> str:
        return repr(np.asarray(self))


class Texts(Short):
    """Long texts, as headers: they print as their number."""

    def __repr__(self) -> str:
        return _number(self) if self.dtype == object else super().__repr__()

    def __str__(self) -> str:
        return repr(self) if self.dtype == object else str(np.asarray(self))

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"


class Files(Short):
    """Paths of files: in a list of labels they print without the folders that all share."""

    def _repr_inline_(self, max_width: int) -> str:
        names = [repr(name) for name in short_names(self.ravel().tolist())]
        shown = len(names)
        while shown > 1 and len(_some(names, shown)) > max_width:
            shown -= 1
        text = _some(names, shown)
        return text if len(text) <= max_width else f"{text[: max_width - 3]}..."


def _some(names: list[str], shown: int) -> str:
    """The first names, and the last one."""
    return " ".join(names if shown >= len(names) else [*names[: shown - 1], "...", names[-1]])


def short_names(paths: Iterable[Any]) -> list[str]:
    """Paths without the folders that are not needed to tell them apart."""
    parts = [str(path).replace("\\", "/").split("/") for path in paths]
    different = len({*map(tuple, parts)})
    deepest = max(map(len, parts), default=0)
    tails = (["/".join(own[-depth:]) for own in parts] for depth in range(1, deepest + 1))
    return next((some for some in tails if len(set(some)) == different), [])


def as_texts(given: str | Iterable[str]) -> Texts:
    """A text, or some, as an array that prints their number."""
    made = np.array(given if isinstance(given, str) else list(given), object)
    return made.view(Texts)


def _number(held: Texts) -> str:
    """As "<12 texts of 73 lines>"."""
    lines = sorted({text.count("\n") + 1 for text in held.ravel().tolist() if isinstance(text, str) and text})
    of = f" of {' to '.join(map(str, dict.fromkeys((lines[0], lines[-1]))))} lines" if lines else ""
    return f"<{'a text' if held.ndim == 0 else f'{held.size} texts'}{of}>"
