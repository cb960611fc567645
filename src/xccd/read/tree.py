"""`open_tree`: files of many kinds as a tree, with one stack at the node of each kind."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.coords import EVERY, Values, asked, column, core
from xccd.headers.detector import binning
from xccd.headers.kinds import filter_counts, kind_of, made_of, short
from xccd.headers.settings import given_unit, units_of
from xccd.labels.choices import RowOrder
from xccd.labels.nodes import at_node
from xccd.labels.problems import SKIPPED
from xccd.messages import did_you_mean, shown
from xccd.read.images.chips import Frame, HDUNames, Wanted
from xccd.read.images.sources import frames, natural
from xccd.read.images.table import COLUMNS, told
from xccd.read.settled import Errors
from xccd.read.stack import stack_of
from xccd.read.tree_nodes import of_nodes

By = str | Callable[[dict[str, Any]], Any]
Value = str | int | float | None

KINDS = ("IMAGETYP", "FILTER", "EXPTIME")
CHIP = "chip"  # the label; CHIP in capitals is a keyword of some headers
KEYWORDS = {column: keyword for keyword, column in COLUMNS.items()}  # for the columns of a table
LONGEST = 60  # characters of a node's name; as UTF-8 a file system still takes them
LISTED = 60  # keywords in an error


@dataclass(frozen=True)
class Level:
    """One level of the tree: the value of each frame, ``None`` for a frame without one."""

    name: str
    values: list[Value]
    where_it_differs: bool = False

    def splits(self, numbers: list[int]) -> bool:
        """Whether these frames get nodes at this level."""
        found: set[Value] = {self.values[i] for i in numbers} - {None}
        return len(found) > 1 if self.where_it_differs else bool(found)

    def where(self, counts: list[bool]) -> Level:
        """The level with the value None for frames whose entry in ``counts`` is False."""
        return replace(self, values=[v if c else None for v, c in zip(self.values, counts, strict=True)])


def open_tree(
    files: Any,
    *,
    by: By | Sequence[By] = KINDS,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | str | None = None,
    keep_headers: bool = True,
    dtype: Any = None,
    units: Any = None,
    flip: RowOrder = False,
    errors: Errors = "raise",
) -> xr.DataTree:
    """Open FITS images of many kinds as a tree, one lazy stack for each kind.

    Only headers are read now, each once. Verbs of ``.ccd`` work on a tree as on a stack, at each node.

    Parameters
    ----------
    files : path, glob, folder, ImageFileCollection, CCDData, HDUList, (array, header), or a list of them
        As for `open_stack`. Each stack keeps their order.
    by : str, callable, or list of them, default: ("IMAGETYP", "FILTER", "EXPTIME")
        Header keywords, one for each level of the tree. Other spellings count as for coordinates (EXPOSURE for
        EXPTIME), and OBSTYPE for a frame without IMAGETYP. "chip" is the label of frames with ``hdu="all"`` or a
        list. A column of a table of frames counts before the headers: "kind" for IMAGETYP, "filter" for FILTER,
        "exposure" for EXPTIME, and any other by its name. A function takes a header (a dict, keywords in upper case)
        and returns a text, a number, or None.
        Keywords of the default that no frame has are left out.
    hdu, mask_hdu, bits, chunks, memory, keep_headers, dtype
        As for `open_stack`, applied to each stack by itself.
    units, flip
        As for `open_stack`. Different units go to different nodes; ROWORDER must be the same in the whole tree.
    keywords : list of str or "all", optional
        As for `open_stack`; each must be in some frame of the tree.
    errors : "raise", "skip" or "nan", default: "raise"
        As for `open_stack`. What a file is for is read in its header, if that is sound, or in the table: so its node
        says what was skipped, or has a frame of NaN. If neither tells, it is skipped with "nan", too, and the root has
        the attribute ``skipped``.

    Returns
    -------
    DataTree
        ``tree["flat/r/2"]`` holds the variable ``data``: the stack that `open_stack` gives. Nodes are in natural order.
        If no frame has a keyword of the default and all have one shape, the root is the only node.

    Raises
    ------
    OSError
        As `open_stack`.
    ValueError, TypeError
        A keyword that no frame has, an unusable argument; a note names the node, if there is one.

    Notes
    -----
    Names of nodes are made from the values:

    - 30.0 is "30", and -10 is "minus10".
    - Frames of one kind are at one node, whatever their word for it: "Flat Field", "DOMEFLAT" and "sky flat" are all
      "flat". Other kinds are "bias", "dark", "light", "arc", "master-bias" and so on; the user guide lists the words.
      An unknown word is a kind of its own, in lower case: a "Focus Frame" is at "focus". If both IMAGETYP and OBSTYPE
      are levels, OBSTYPE keeps its own words.
    - FILTER is ignored for bias frames and darks if the kind is a level too: they carry whatever filter was in. If
      FILTER is missing or means no filter, the contents of the wheels are joined: FILTER1 = CLEAR and FILTER2 = g give
      "g".
    - Characters other than letters, digits and ``. + - _`` become "_", and 60 characters are kept, so that the tree can
      be written to netCDF and Zarr. Different values with the same name get "-2", "-3" and so on.
    - Frames without the keyword are at "no_FILTER", for example. A level is left out where its keyword has no value,
      such as FILTER for bias frames: ``tree["bias/0"]``.
    - If shapes differ within a kind, there is one more level for them, as "1024x2048" (y, x). Below it there are levels
      for the binning, as "bin2x2" (y, x; 1 for a frame without it), and for the unit, if these differ.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> def frame(level, **cards):
    ...     return np.full((2, 3), level), cards
    >>> tree = xccd.open_tree([
    ...     frame(1.0, IMAGETYP="Bias Frame"), frame(3.0, IMAGETYP="Bias Frame"),
    ...     frame(7.0, IMAGETYP="Flat Field", FILTER="r", EXPTIME=2.0),
    ...     frame(8.0, IMAGETYP="Flat Field", FILTER="g", EXPTIME=2.5)])
    >>> [node.path for node in tree.leaves]
    ['/bias', '/flat/g/2.5', '/flat/r/2']
    >>> tree["bias"]["data"].sizes["frame"]
    2
    >>> masters = tree.ccd.combine("mean")
    >>> masters["bias"]["data"].values[0].tolist()
    [2.0, 2.0, 2.0]
    """
    wanted, unit = _checked_by(by, getattr(files, "columns", ())), given_unit(units)
    found = frames(files, hdu, mask_hdu, bits=bits, flip=flip, errors=errors)
    known = told(files, len(found), hdu)
    headers = [cards.values(frame.header) for frame in found]
    names = asked(keywords, headers)
    levels = _levels_of_tree(wanted, found, headers, known, default=by is KINDS)
    if unit is None:
        levels.append(Level("unit", [*units_of(h.get("BUNIT") for h in headers)], where_it_differs=True))
    groups = list(_groups([i for i, frame in enumerate(found) if not frame.problem], levels))
    tree = of_nodes(found, groups, [level.values for level in levels[: len(wanted)]], errors)
    nodes: dict[str, xr.Dataset] = {"": xr.Dataset(attrs={SKIPPED: tree.skipped} if tree.skipped else {})}
    for node in tree.nodes:
        for depth in range(1, len(node.path)):  # parents first: xarray sorts by depth, a sibling's node would be before
            nodes.setdefault("/".join(node.path[:depth]), xr.Dataset())
        with at_node("/".join(node.path)):
            stack = stack_of(
                node.frames,
                chunks=chunks,
                memory=memory,
                keywords=keywords
                if keywords == EVERY
                else [name for name in names if any(name in headers[i] for i in node.numbers)],
                keep_headers=keep_headers,
                dtype=dtype,
                units=unit,
                told=node.told,
            )
        path = "/".join(node.path)
        nodes[path] = stack.to_dataset(name="data").assign_attrs(nodes[path].attrs if path in nodes else {})
    return xr.DataTree.from_dict(nodes)


def _checked_by(by: Any, columns: Iterable[Any]) -> list[By]:
    wanted = list(by) if isinstance(by, (list, tuple)) else [by]
    if not wanted or not all(callable(one) or (isinstance(one, str) and one.strip()) for one in wanted):
        raise TypeError(f"by={by!r} is not a header keyword, a function of a header, or a list of them")
    kept = {CHIP, *columns}
    return [
        one if callable(one) or one in kept else CHIP if one.strip() == CHIP else one.strip().upper() for one in wanted
    ]


def _levels_of_tree(
    wanted: list[By], found: list[Frame], headers: list[Values], table: Mapping[str, list[Any]], *, default: bool
) -> list[Level]:  # fmt: skip
    """The levels of the tree, with shape and binning at the end; raises for a keyword that no frame has."""
    known = core(headers)
    if "DATE-OBS" in known and np.isnat(known["DATE-OBS"]).all():  # only days without a time: use them as written
        del known["DATE-OBS"]
    levels = [
        _of_function(one, found, headers)
        if callable(one)
        else Level(one, _of_table(one, table[one], found, headers, known, wanted))
        if one in table
        else Level(one, _of_chips(found, headers) if one == CHIP else _of_keyword(one, headers, known, wanted))
        for one in wanted
    ]
    absent = [level.name for level in levels if set(level.values) == {None}]
    if absent and not default:
        chips = ", and hdu='all' gives frames a chip" if CHIP in absent else ""
        near = did_you_mean(absent[0], dict.fromkeys(k for h in headers for k in h))
        first = f"{near[2:]} " if near else ""  # before the list, which may be long
        raise ValueError(f"{first}by={absent}: no frame has a value for it; {_keywords_of(headers)}{chips}")
    if ("IMAGETYP" in wanted or "OBSTYPE" in wanted) and "FILTER" not in table:
        counts = [filter_counts(kind) for kind in _kinds(("IMAGETYP", "OBSTYPE"), known, headers)]
        levels = [level.where(counts) if level.name == "FILTER" else level for level in levels]
    return [
        *levels,
        Level("shape", ["x".join(map(str, frame.pixels.shape)) for frame in found], where_it_differs=True),
        Level("binning", [f"bin{binning(h) or '1x1'}" for h in headers], where_it_differs=True),
    ]


def _keywords_of(headers: list[Values]) -> str:
    keywords = sorted({k for header in headers for k in header if not cards.describes_data(k)})
    more = f" and {len(keywords) - LISTED} more" if len(keywords) > LISTED else ""
    if not keywords:
        return "their headers have keywords of pixels and WCS only" if any(headers) else "their headers are empty"
    return f"their headers have {', '.join(keywords[:LISTED])}{more}"


def _of_keyword(keyword: str, headers: list[Values], known: Mapping[str, Any], wanted: list[By]) -> list[Value]:
    """Each frame's value of a keyword: its kind for IMAGETYP, else the value of the core or the header."""
    if keyword == "IMAGETYP":
        return [*_kinds(("IMAGETYP", "OBSTYPE"), known, headers)]
    if keyword == "OBSTYPE" and "IMAGETYP" not in wanted:
        return [*_kinds(("OBSTYPE",), known, headers)]
    values = [_text_or_number(value) for value in known.get(keyword, column(headers, keyword))]
    if keyword == "OBSTYPE":  # below the kind, its own words are kept
        values = [short(value) if isinstance(value, str) else value for value in values]
    return values


def _of_table(
    one: str, values: list[Any], found: list[Frame], headers: list[Values], known: Mapping[str, Any], wanted: list[By]
) -> list[Value]:
    """The values in a table; for a file that cannot be opened, and of which the table says nothing, its header's."""
    told = [_text_or_number(value) for value in values]
    if not any(frame.problem for frame in found):
        return told
    read = _of_keyword(KEYWORDS.get(one, one), headers, known, wanted)
    return [r if t is None and f.problem else t for t, r, f in zip(told, read, found, strict=True)]


def _of_chips(found: list[Frame], headers: list[Values]) -> list[Value]:
    """The chip of each frame; the keyword CHIP if frames have no such label."""
    return [f.chip for f in found] if found[0].chip is not None else _of_keyword(CHIP.upper(), headers, {}, [])


def _kinds(names: Iterable[str], known: Mapping[str, Any], headers: list[Values]) -> list[str | None]:
    """The kind of each frame from these labels; the master of that kind for a combined frame."""
    words = zip(*(known.get(name, [""] * len(headers)) for name in names), strict=True)
    return [made_of(kind_of(*texts), h.get("NCOMBINE")) for texts, h in zip(words, headers, strict=True)]


def _of_function(function: Callable[[dict[str, Any]], Any], found: list[Frame], headers: list[Values]) -> Level:
    """The level of a function in ``by``; raises if it returns neither text, number nor None."""
    values: list[Value] = []
    for frame, header in zip(found, headers, strict=True):
        if frame.problem and not header:
            values.append(None)
            continue
        try:
            value = function(dict(header))  # a copy, which the function may change
        except Exception as error:
            error.add_note(f"in the function by= for the header of {shown(frame.file)}")
            raise
        if not isinstance(value, (str, int, float, np.integer, np.floating, np.bool_, type(None))):
            raise TypeError(
                f"by= gave {value!r} for {shown(frame.file)}: a name is a text, a number, or None where there is none"
            )
        values.append(None if value is None else _text_or_number(value))
    name = getattr(function, "__name__", "<>")
    return Level("name" if name.startswith("<") else name, values)


def _text_or_number(value: Any) -> Value:
    """A value as text or number; None if it is missing."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value).rstrip("0").rstrip(".")
    if isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, str):
        return value.strip() or None
    number = value.item() if hasattr(value, "item") else value
    return None if number != number else number


def _groups(numbers: list[int], levels: list[Level]) -> Iterator[tuple[tuple[str, ...], list[int]]]:
    """Each node with frames: the names on its path, and the indices of its frames."""
    if not levels:
        yield (), numbers
        return
    level, *below = levels
    if not level.splits(numbers):
        yield from _groups(numbers, below)
        return
    by_value: dict[Value, list[int]] = {}
    for i in numbers:
        by_value.setdefault(level.values[i], []).append(i)
    values = sorted(by_value, key=_order_of_values)
    for name, value in zip(_names_of_nodes(values, level.name), values, strict=True):
        yield from (((name, *path), some) for path, some in _groups(by_value[value], below))


def _order_of_values(value: Value) -> tuple[int, float, Any]:
    """A sorting key: numbers, then texts in natural order, then missing values."""
    if value is None:
        return 2, 0.0, natural("")
    return (1, 0.0, natural(value)) if isinstance(value, str) else (0, float(value), natural(""))


def _names_of_nodes(values: Iterable[Value], level: str) -> list[str]:
    """A unique name of a node for each value."""
    names: list[str] = []
    for value in values:
        name = stem = _name_of_node(value, level)
        again = 1
        while name in names:  # "a b" and "a_b" are both a_b
            again += 1
            name = f"{stem}-{again}"
        names.append(name)
    return names


def _name_of_node(value: Value, level: str) -> str:
    if isinstance(value, (int, float)):
        size = abs(value)
        whole = size < 1e15 and size == int(size)
        return ("minus" if value < 0 else "") + (str(int(size)) if whole else f"{size:.12g}")
    text = unicodedata.normalize("NFC", f"no_{level}" if value is None else value)
    return re.sub(r"^[\W_]+|[^\w.+-]+", "_", text)[:LONGEST]
