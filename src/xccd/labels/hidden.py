"""Header texts stay out of the titles of plots, and out of tables; in titles a file has its name without folders.

xarray puts every scalar coordinate into the title of a plot, and cuts it after 50 characters. In ``to_dataframe`` it
makes a column of every coordinate. It has no option for it. So the two methods that do so are called on an object
without labels that are `Texts`; objects without such labels, those of other packages too, are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import xarray as xr

from xccd.headers.texts import Files, Texts, short_names
from xccd.labels.lazy import held

TITLE = "_title_for_slice"
METHODS = ((xr.DataArray, TITLE), (xr.Dataset, "_to_dataframe"))  # private: without one, texts are shown


def hide_texts() -> None:
    """Let these methods of xarray pass over labels that are `Texts`."""
    for kind, name in METHODS:
        method = getattr(kind, name, None)
        if method is not None and not hasattr(method, "of_xccd"):
            setattr(kind, name, _without_texts(method))


def _without_texts(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        arrays = {name: held(label.variable) for name, label in self.coords.items()}
        if texts := [name for name, array in arrays.items() if isinstance(array, Texts)]:
            self = self.drop_vars(texts)
        files = {name: array for name, array in arrays.items() if isinstance(array, Files) and array.ndim == 0}
        if files and method.__name__ == TITLE:
            self = self.assign_coords({name: short_names([array.item()])[0] for name, array in files.items()})
        return method(self, *args, **kwargs)

    called.of_xccd = True  # type: ignore[attr-defined]
    return called
