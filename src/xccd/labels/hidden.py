"""Header texts stay out of the titles of plots, and out of tables.

xarray puts every scalar coordinate into the title of a plot, and makes a column of every coordinate in
``to_dataframe``. It has no option for it. So the two methods that do so are called on an object without labels that are
`Texts`; objects without such labels, those of other packages too, are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import xarray as xr

from xccd.headers.texts import Texts
from xccd.labels.lazy import held

METHODS = (
    (xr.DataArray, "_title_for_slice"),
    (xr.Dataset, "_to_dataframe"),
)  # private; if one is gone, texts are shown


def hide_texts() -> None:
    """Let these methods of xarray pass over labels that are `Texts`."""
    for kind, name in METHODS:
        method = getattr(kind, name, None)
        if method is not None and not hasattr(method, "__wrapped__"):
            setattr(kind, name, _without_texts(method))


def _without_texts(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        hidden = [name for name, label in self.coords.items() if isinstance(held(label.variable), Texts)]
        return method(self.drop_vars(hidden) if hidden else self, *args, **kwargs)

    return called
