"""Long texts as a label: an array of texts that xarray prints as their number, not as the texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class Texts(np.ndarray[Any, Any]):
    """An object array of long texts, as headers. It prints their number; ``.values`` are the texts, in a plain array.

    A subclass of NumPy's array is the form that cannot break anything: xarray keeps it where it keeps its data, and
    where NumPy or xarray make a plain array of it, the only loss is that the texts are printed again. A class of texts
    would not do: xarray passes new labels through pandas, which makes plain texts of them.
    """

    __array_priority__ = 1.0  # above plain arrays, so that `concat` with them gives `Texts`

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)  # results of comparisons are no texts
        return plain[()] if return_scalar else plain

    def __repr__(self) -> str:
        return _told(self) if self.dtype == object else repr(np.asarray(self))

    def __str__(self) -> str:
        return repr(self) if self.dtype == object else str(np.asarray(self))

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"


def as_texts(given: str | Iterable[str]) -> Texts:
    """A text, or some, as an array that prints their number."""
    made = np.array(given if isinstance(given, str) else list(given), object)
    return made.view(Texts)


def _told(held: Texts) -> str:
    """As "<12 texts of 73 lines>"."""
    lines = sorted({text.count("\n") + 1 for text in held.ravel().tolist() if isinstance(text, str) and text})
    of = f" of {' to '.join(map(str, dict.fromkeys((lines[0], lines[-1]))))} lines" if lines else ""
    return f"<{'a text' if held.ndim == 0 else f'{held.size} texts'}{of}>"
