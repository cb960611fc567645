"""Plain dicts as TOML, in the order of their keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any


def toml_text(values: Mapping[str, Any]) -> str:
    """The text that `tomllib` reads as these values: numbers, texts, booleans, lists, dicts, lists of dicts.

    A value that is None is left out.
    """
    return "\n".join(_lines(values, ()))


def _lines(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    for name, value in values.items():
        if not isinstance(value, Mapping) and not _is_tables(value) and value is not None:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in values.items():
        path = (*above, name)
        if isinstance(value, Mapping):
            yield f"[{'.'.join(map(_key, path))}]"
            yield from _lines(value, path)
        elif _is_tables(value):
            for one in value:
                yield f"[[{'.'.join(map(_key, path))}]]"
                yield from _lines(one, path)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _key(name: str) -> str:
    return name if name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f") if "\\ud" not in json.dumps(value) else _long(value)
    return f"[{', '.join(map(_value, value))}]"


def _long(value: str) -> str:
    """A text with letters beyond 16 bits: JSON writes them as pairs, TOML does not know these."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
