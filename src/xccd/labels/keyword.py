"""`keyword`: a keyword of the headers by name, a value for each frame."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.coords import column, coordinate_name, core, keyword_value
from xccd.labels import calibration
from xccd.labels.flags import image_names, not_taken
from xccd.messages import a_type, did_you_mean

SHOWN = 12  # names in a message
HEADERS = ("header", common.COMBINED)


def keyword(obj: xr.DataArray | xr.Dataset, name: str, *, dim: Hashable = "frame") -> xr.DataArray:
    """Return a header keyword of the frames, or of an image, as labels.

    Not all keywords are coordinates of a stack. This finds them all, and what it returns can be made a coordinate:
    ``stack.assign_coords(SEEING=stack.ccd.keyword("SEEING"))``.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack, one frame of it, or an image.
    name : str
        The keyword, in upper or lower case; "ESO DET NAME" for ``HIERARCH ESO DET NAME``.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray
        A value for each frame, named as the keyword; for an image a single value. It is looked up in the coordinates,
        then in the header texts, then in the attributes, as verbs do with a keyword. From the header texts: integers,
        floats, or texts, as the cards have it; booleans are 1 and 0. A frame without the keyword has NaN, or "" among
        texts. Cards of the pixels (CRPIX1) are those of the file, before a crop: `header` has them as they are now.

    Raises
    ------
    TypeError
        ``name`` is not a text; ``obj`` is a DataTree, or no xarray object.
    ValueError
        No frame has the keyword; its cards have no value, as HISTORY; there is no dimension ``dim``.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stack = xccd.open_stack([(np.zeros((2, 3)), {"DOMETEMP": t, "DOME": "open"}) for t in (11.5, 12.0)])
    >>> stack.ccd.keyword("DOMETEMP").values.tolist(), stack.ccd.keyword("dome").values.tolist()
    ([11.5, 12.0], ['open', 'open'])
    >>> stack.groupby(stack.ccd.keyword("DOME")).groups
    {'open': [0, 1]}
    """
    written = _checked(obj, name)
    own = written.upper()
    if isinstance(obj, xr.Dataset):  # keywords that are equal are attributes of its images
        obj = next((obj[k] for k in image_names(obj)), obj)
    if dim != "frame" and dim not in obj.dims:
        near = did_you_mean(dim, obj.dims)
        raise ValueError(f"dim={dim!r}: the dimensions are {', '.join(map(str, obj.dims))}{near}")
    for label in dict.fromkeys((written, own, coordinate_name(own))):
        coord = obj.coords.get(label)
        if coord is not None and coord.dims in ((), (dim,)):
            return xr.DataArray(_every_frame(coord.variable, obj, dim), name=label)
        if coord is not None and coord.ndim == 1 and label not in obj.dims:
            way = f"if that holds the frames, say dim={coord.dims[0]!r}"
            raise ValueError(f"name={name!r}: this label is along {coord.dims[0]!r}: {way}")
    found = _of_cards(obj, own, dim)
    if found is None:
        value = next((obj.attrs[k] for k in (own, coordinate_name(own), written) if k in obj.attrs), None)
        if not isinstance(value, str | int | float | np.generic):
            raise ValueError(_unknown(obj, name, own, dim))
        one = np.array(value, object if isinstance(value, str) else None)
        found = _every_frame(xr.Variable((), one), obj, dim).data
    return xr.DataArray(found, dims=(dim,) if np.ndim(found) else (), name=own)


def _checked(obj: Any, name: Any) -> str:
    """The name as it was written, with single blanks; raises if it can be no keyword, or if ``obj`` has none."""
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise not_taken("keyword(name)", obj, "a keyword belongs to a DataArray or a Dataset, not to")
    if not isinstance(name, str):
        raise TypeError(f"keyword(name) takes the name of a keyword, as 'AIRMASS', not {a_type(name)}: name={name!r}")
    written = " ".join(name.split()).removeprefix("HIERARCH ")
    if written in HEADERS:
        raise ValueError(f"name={name!r} is no keyword: header(i) gives the header of a frame")
    if not written:
        raise ValueError(f"name={name!r} is empty: keyword(name) takes the name of a keyword, as 'AIRMASS'")
    if written.upper() in cards.COMMENTARY:
        raise ValueError(f"name={name!r}: such cards have no value; header() has them")
    return written


def _every_frame(value: xr.Variable, obj: xr.DataArray | xr.Dataset, dim: Hashable) -> xr.Variable:
    """One value for all frames as a value for each."""
    return value.set_dims({dim: obj.sizes[dim]}).copy() if dim in obj.sizes and not value.dims else value


def _texts(obj: Any, dim: Hashable) -> list[str]:
    """The header text of each frame, or that of an image; [] without headers."""
    if found := common.texts(obj, dim):
        return found
    one = common.text_of(obj) if dim not in obj.sizes else None
    return [] if one is None else [one]


def _of_cards(obj: Any, name: str, dim: Hashable) -> Any:
    """The values of a keyword in the header texts, as an array; None if no frame has it."""
    texts = _texts(obj, dim)
    values = [keyword_value(text, name) for text in texts]
    for step, keywords in calibration.GONE.items():  # such cards are true of the file, and no longer of the samples
        label = obj.coords.get(step)
        if name in keywords and label is not None and label.dims in ((), (dim,)):
            done = np.broadcast_to(label.values, len(values)).tolist()
            values = [None if d not in ("", None) and d == d else v for v, d in zip(values, done, strict=True)]
    if all(value is None for value in values):
        array = core([cards.values(text) for text in texts]).get(name) if texts else None  # by another spelling
        if array is None:
            return None
    else:
        array = column([{} if value is None else {name: value} for value in values], name)
    return array if dim in obj.sizes else array[0]


def _unknown(obj: Any, name: str, own: str, dim: Hashable) -> str:
    """The message for a keyword that no frame has."""
    texts = _texts(obj, dim)
    in_cards = list(dict.fromkeys(k for text in texts for k in cards.values(text)))
    labels = [str(k) for k, c in obj.coords.items() if c.dims in ((), (dim,)) and k not in HEADERS]
    gone = next((step for step, keywords in calibration.GONE.items() if own in keywords and step in obj.coords), None)
    if gone and own in in_cards:
        return f"name={name!r}: the files have it, and it no longer holds after the step that {gone} notes"
    near = did_you_mean(own, [*in_cards, *labels, *map(str, obj.attrs)]) or "."
    if not texts:
        why = "keep_headers=False leaves them out, and so does arithmetic with other frames"
        return (
            f"name={name!r} is no label and no attribute{near} There are no header texts ({why}); the labels are "
            f"{_some(labels)}"
        )
    return f"name={name!r} is in no header, no label and no attribute{near} The headers have {_some(in_cards)}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
    return ", ".join(sorted(names)[:SHOWN]) + more if names else "none"
