"""Keywords of frames by name: from a coordinate, a card of the header texts, or an attribute."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.coords import keyword_value, number
from xccd.labels import lazy
from xccd.labels.frames import frame_names
from xccd.messages import LONGEST, did_you_mean


def keyword_of_frames(argument: str, name: str, stack: xr.DataArray, dim: Hashable, **others: Iterable[str]) -> Any:
    """The value of a keyword for each frame, as N float64: from a coordinate, else the header texts, else an attribute.

    A coordinate that is computed from lazy samples stays lazy. ``others`` has other names that the argument takes, for
    the message.
    """
    n = stack.sizes[dim]
    values: list[Any]
    if name in stack.coords and stack.coords[name].dims in ((dim,), ()):
        label = stack.coords[name]
        if label.dtype.kind not in "fiubOUST":
            raise TypeError(f"{argument}={name!r}: its dtype is {label.dtype}, not that of a number")
        if lazy.made_from(label, stack) and label.dims:
            return label.data.astype(np.float64)
        values = np.broadcast_to(label.values, n).tolist()
    else:
        values = [keyword_value(text, name) for text in common.texts(stack, dim)] or [None] * n
    if all(v is None for v in values):
        if name not in stack.attrs:
            known = sorted(str(k) for k, c in stack.coords.items() if c.dims == (dim,))
            more = "".join(f"; {what} are {', '.join(names)}" for what, names in others.items())
            near = [*(n for names in others.values() for n in names), *known, *keywords_of(stack, dim), *stack.attrs]
            raise ValueError(
                f"{argument}={name!r} is no coordinate on {dim!r} ({', '.join(known) or 'there are none'}), "
                f"no keyword of the headers and no attribute{more}"
                f"{did_you_mean(name, near)}"
            )
        values = [stack.attrs[name]] * n
    numbers = np.array([number(name, {name: v}) for v in values], np.float64)
    for i in np.flatnonzero(~np.isfinite(numbers)):
        raise ValueError(
            f"{argument}={name!r}: {frame_names(stack, dim)[i]} has {name} = {_short(values[i])}, not a number"
        )
    return numbers


def _short(value: Any) -> str:
    """A value in a message; a label may be a whole header."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def label_of(stack: xr.DataArray, name: str, dim: Hashable) -> xr.DataArray | None:
    """The coordinate with a value for each frame; None if there is none, or if computing it would compute samples."""
    found = stack.coords.get(name)
    return None if found is None or found.dims != (dim,) or lazy.made_from(found, stack) else found


def keywords_of(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The keywords in the header of the first frame."""
    header = stack.coords.get("header")
    if header is None or header.dims != (dim,):
        return []
    return [card.keyword for card in cards.split(str(header.values[0]))]
