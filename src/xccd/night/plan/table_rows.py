"""The rows of a table of frames, as a user may have edited it: checked, in one order, with their kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import kinds
from xccd.messages import a_type, did_you_mean
from xccd.read.images.sources import natural

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NEEDED = ("file", "kind", "filter", "exposure", "date", "object", "shape")  # columns of `scan` that a plan is made of
TEXTS = ("file", "kind", "filter", "object", "shape", "words", "binning", "unit", "problem")
# Cards of steps that were done. A user asks `scan` for them: scan(..., keywords=["BIASCOR", "FLATCOR"]).
DONE = ("BIASCOR", "ZEROCOR", "DARKCOR", "FLATCOR", "GAINCOR", "CALSTAT")
NOT_DONE = ("", "F", "False", "0", "0.0", "nan")
NUMBERS = ("exposure", "gain", "temperature", "hdu", "size")


def ordered(table: Any) -> DataFrame:
    """The user's rows by date, file and HDU, whatever their order was; raises for what is no table of frames."""
    if not hasattr(table, "columns") or not hasattr(table, "itertuples"):
        raise TypeError(f"table is {a_type(table)}, not a table of frames: give that of xccd.scan(folder)")
    lacking = [name for name in NEEDED if name not in table.columns]
    if lacking:
        raise ValueError(
            f"the table has no column {', '.join(map(repr, lacking))}: take that of xccd.scan, and keep its columns"
        )
    if twice := [str(name) for name, again in zip(table.columns, table.columns.duplicated(), strict=True) if again]:
        raise ValueError(f"the table has the column {twice[0]!r} twice: keep one")
    names = [_file(name) for name in table["file"]]
    places = {name: i for i, name in enumerate(sorted(set(names), key=lambda name: (natural(name), name)))}
    keys = [np.array([places[name] for name in names], np.int64), _dates(table["date"])]
    if "hdu" in table.columns:
        keys.insert(0, _numbers(table["hdu"], "hdu"))
    keys = [texts_of(table[name]).to_numpy(object).astype(str) for name in ("object", "filter", "kind")] + keys
    return table.iloc[np.lexsort(keys)]


def facts_of(table: DataFrame) -> DataFrame:
    """What the rows tell, with one type for each column; "" and NaN for what they do not."""
    import pandas as pd

    n = len(table)
    columns: dict[str, Any] = {
        name: texts_of(table[name]).to_numpy() if name in table.columns else np.full(n, "", object) for name in TEXTS
    }
    columns |= {name: _numbers(table[name], name) if name in table.columns else np.full(n, np.nan) for name in NUMBERS}
    columns["date"] = _dates(table["date"])
    columns["done"] = np.full(n, "", object)  # the first step that was done
    columns["tells_bias"] = np.full(n, "BIASCOR" in table.columns)
    for name in reversed([name for name in DONE if name in table.columns]):
        columns["done"][~texts_of(table[name]).isin(NOT_DONE).to_numpy()] = name
    facts = pd.DataFrame(columns)
    facts["kind"] = _each(facts["kind"], lambda text: kinds.known(text) or text.lower())
    return facts


def _each(values: Series[Any], function: Callable[[Any], Any]) -> Series[Any]:
    """A function of every value, called once for each that is there."""
    return values.map({value: function(value) for value in values.unique()})


def _file(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"the table has {name!r} in its column 'file', {a_type(name)}: give paths as texts")
    return name


def texts_of(column: Series[Any]) -> Series[Any]:
    """A column as texts without blanks around; "" for what is missing."""
    filled = column.astype(object).where(column.notna(), "")
    return _each(filled, lambda value: str(value).strip())


def _numbers(column: Series[Any], name: str) -> Any:
    """A column as float64; raises for a text that is no number."""
    import pandas as pd

    filled = (
        column if column.dtype.kind in "fiu" else column.astype(object).where(column.notna() & (column != ""), np.nan)
    )
    try:
        return pd.to_numeric(filled).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        text = next(value for value in filled if not _is_number(value))
        raise ValueError(f"the table has {text!r} in its column {name!r}: give a number, or NaN") from error


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _dates(column: Series[Any]) -> Any:
    """A column as datetime64[ns] of UTC; raises for a text that is no date."""
    import pandas as pd

    form = None if column.dtype.kind == "M" else "ISO8601"
    dates = pd.to_datetime(column if form is None else column.astype(object), utc=True, format=form, errors="coerce")
    for value in column[dates.isna() & column.notna()].unique():
        if str(value).strip() not in ("", "NaT"):
            raise ValueError(
                f"the table has {value!r} in its column 'date', which is no date: give it as '2024-03-09T21:00:00'"
            )
    return dates.dt.tz_localize(None).to_numpy("datetime64[ns]")


def check_columns(by: tuple[str, ...], table: DataFrame) -> None:
    """Raise for a name in ``light.by`` that is no column of the table."""
    known = [str(name) for name in table.columns]
    for name in by:
        if name not in known and name != "night":
            raise ValueError(
                f"light.by: the table has no column {name!r}, it has {', '.join(known)}; "
                f"xccd.scan(..., keywords=[...]) makes columns of header keywords{did_you_mean(name, known)}"
            )
