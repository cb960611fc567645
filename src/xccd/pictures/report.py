"""`report`: a page on a stack, a product or a tree, in one HTML file that needs no server."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.headers import common
from xccd.headers.coords import keyword_value
from xccd.labels.flags import image_names, with_maps
from xccd.messages import a_type, is_whole, shown
from xccd.pictures import report_clips, report_frames, report_steps
from xccd.pictures.compared import original_of
from xccd.pictures.page import Html, Section, anchor, page, write_page
from xccd.pictures.plot_transforms import NEEDED
from xccd.pictures.product_look import ProductLook
from xccd.pictures.report_look import Look
from xccd.pictures.report_part import Asked, Cost, Part, counted, told
from xccd.pictures.report_product import PRODUCT_PARTS
from xccd.pictures.subject import Subject, subject
from xccd.pictures.target import checked_target
from xccd.sky.stars import needs_sep

ENDINGS = (".html", ".htm")
OTHER = "does not end in .html: a report is a page, name it as 'report.html'"
MOST, MOST_OF_ONE = 120, 50  # pictures of all parts, and of one: some 30 kB each
STACK_PARTS = (
    Part("inputs", "Frames", report_frames.inputs),
    Part("statistics", "Statistics", report_frames.statistics),
    Part("compare", "Before and after", report_clips.compare),
    Part("rejection", "Rejected samples", report_clips.rejection),
    Part("noise", "Noise", report_frames.noise),
    Part("registration", "Registration", report_frames.registration),
    Part("headers", "Headers that differ", report_frames.headers),
    Part("made", "How it was made", report_steps.parameters),
)


class Subpart(NamedTuple):
    """A stack or a product of what is reported on: its name, "" for the only one."""

    name: str
    look: Look | ProductLook


def report(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    original: xr.DataArray | xr.Dataset | None = None,
    transforms: xr.Dataset | None = None,
    title: str | None = None,
    n: int = 24,
    stars: bool = False,
    overwrite: bool = False,
    dim: Hashable = "frame",
) -> Path:
    """Write a page on a stack, a product or a tree: one HTML file, which needs no server and runs no script.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        A stack, before or after a clip; a flagged Dataset; a combined image, with its maps in a Dataset or in the file
        that `open_image` opened; or a tree of these, which has a part for each node.
    path : path
        The file to write; it ends in .html or .htm.
    original : DataArray or Dataset, optional
        The stack before the clip, as for `plot_rejection`. Needed for a stack in memory: a lazy stack and a flagged
        Dataset know it.
    transforms : Dataset, optional
        What `find_transforms` found, for the residuals of the registration.
    title : str, optional
        The heading. Default: from the names of the files.
    n : int, default: 24
        The most frames that are shown as pictures, up to 50; odd frames are shown, too, up to as many again. A tree of
        many nodes shows fewer of each.
    stars : bool, default: False
        Measure stars, as `stats` does.
    overwrite : bool, default: False
        Whether a file that is there is replaced.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    pathlib.Path
        The file. It is written whole or not at all.

    Raises
    ------
    TypeError
        ``obj`` or an argument has a wrong type, or samples are no real numbers.
    ValueError
        An argument is out of range, the path ends otherwise, ``original`` or ``transforms`` do not fit, or there is no
        image.
    OSError
        The file exists, or cannot be written; a file of the stack cannot be read.
    ImportError
        ``stars`` without sep.

    See Also
    --------
    preview, plot_rejection, plot_noise, plot_transforms : the diagrams
    stats : the table

    Notes
    -----
    Each file is read twice at most: once for the statistics of all samples, and once by every n-th row. Frames of up to
    1024 pixels along a side are looked at whole, larger ones by every n-th row and column, and the page says so. What
    it takes in memory follows `set_options`. A part that cannot be told says why. Without matplotlib there are no
    diagrams.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> frames = [(rng.normal(500, 5, (32, 32)), {"OBJECT": "M 51"}) for _ in range(6)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = xccd.open_stack(frames).ccd.report(f"{folder}/report.html")
    ...     text = path.read_text()
    >>> "M 51" in text, "http" in text.replace("http-equiv", "")
    (True, False)
    """
    began, before = time.perf_counter(), report_steps.peak()
    target = page_target(path, overwrite)
    _check_numbers(n, stars, title)
    every = list(_subparts(obj, dim, stars))
    _check_one(every, original, transforms)
    if original is not None and isinstance(every[0].look, Look):
        look = every[0].look
        look.original = original_of("report", original, look.what, one_for_all=False)
    words = {k: v for k, v, default in (("n", n, 24), ("stars", stars, False)) if v != default}
    asked = asked_of(len(every), int(n), transforms=transforms, path=str(path), keywords=words)
    return write_report(every, asked, target, began=began, before=before, title=title, overwrite=bool(overwrite))


def asked_of(parts: int, n: int, **more: Any) -> Asked:
    """What is asked of each of so many parts: pictures are shared among them, so that the page stays small."""
    return Asked(max(4, min(n, MOST // max(1, parts))), 3 if parts == 1 else 1, **more)


def write_report(
    every: Sequence[Subpart], asked: Asked, target: Path, *, began: float, before: int, title: str | None = None,
    overwrite: bool = False, first: Sequence[Section] = (),
) -> Path:  # fmt: skip
    """Write the page of these stacks and products, behind the sections ``first``.

    ``began`` and ``before`` are the time and the memory of the process when the work began.
    """
    sections, costs = _sections(every, asked)
    cost = report_steps.costs(costs, time.perf_counter() - began, before, report_steps.peak())
    sections += [Section("versions", "Versions", report_steps.versions()), Section("cost", "Time and memory", cost)]
    data = page(_title(title, every), [_lead(every)], [*first, *sections])
    return write_page(target, data, overwrite=overwrite)


def page_target(path: Any, overwrite: Any) -> Path:
    """The file of a page, or an error before any work."""
    return checked_target(path, overwrite, ENDINGS, OTHER, "report.html")


def _check_numbers(n: Any, stars: Any, title: Any) -> None:
    if not is_whole(n):
        raise TypeError(f"n={n!r} is no whole number: give how many frames to show, as 24")
    if not 1 <= n <= MOST_OF_ONE:
        raise ValueError(f"n={n!r} is not from 1 to {MOST_OF_ONE}: give how many frames to show, as 24")
    if not isinstance(stars, bool | np.bool_):
        raise TypeError(f"stars={stars!r} is not True or False")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title={title!r} is {a_type(title)}, not a text")
    if stars:
        needs_sep()


def _check_one(every: Sequence[Subpart], original: Any, transforms: Any) -> None:
    """Raise if ``original`` or ``transforms`` are given for what they do not go with."""
    for name, value in (("original", original), ("transforms", transforms)):
        if value is not None and (len(every) > 1 or not isinstance(every[0].look, Look)):
            what = f"{len(every)} parts" if len(every) > 1 else "one image"
            raise ValueError(f"{name}= goes with one stack, and there are {what}: report on each stack by itself")
    if transforms is None:
        return
    if not isinstance(transforms, xr.Dataset):
        raise TypeError(f"transforms= is {a_type(transforms)}: give what find_transforms returns")
    lacking = [name for name in NEEDED if name not in transforms]
    if lacking or "frame" not in transforms.matrix.dims:
        raise ValueError(
            f"transforms= has no {', '.join(lacking) or 'frames'}: give what find_transforms returns, a Dataset"
        )
    look = every[0].look
    if isinstance(look, Look) and transforms.sizes["frame"] != look.what.count:
        raise ValueError(
            f"transforms= has {transforms.sizes['frame']} frames, the stack {look.what.count}: give the same frames"
        )


def _subparts(obj: Any, dim: Hashable, stars: bool) -> Iterator[Subpart]:
    """All stacks and images of what was given, each checked."""
    if isinstance(obj, xr.DataTree):
        nodes = [(key, node.to_dataset(inherit=True)) for key, node in obj.subtree_with_keys]
        found = [(key, ds) for key, ds in nodes if image_names(ds)]
        if not found:
            raise ValueError(f"no node of this DataTree has an image: its nodes are {', '.join(k for k, _ in nodes)}")
        for key, ds in found:
            yield from _of_dataset("" if key == "." else key, ds, dim, stars)
    elif isinstance(obj, xr.Dataset):
        if not image_names(obj):
            raise ValueError("report shows images, and this Dataset has none")
        yield from _of_dataset("", obj, dim, stars)
    elif isinstance(obj, xr.DataArray):
        yield _one("", obj, None, dim, stars)
    else:
        raise TypeError(f"report takes a DataArray, a Dataset or a DataTree, not {a_type(obj)}")


def _of_dataset(name: str, ds: xr.Dataset, dim: Hashable, stars: bool) -> Iterator[Subpart]:
    names = image_names(ds)
    for own in names:
        whole = "/".join(filter(None, (name, str(own) if len(names) > 1 else "")))
        yield _one(whole, with_maps(ds, own), ds, dim, stars)


def _one(name: str, stack: xr.DataArray, ds: xr.Dataset | None, dim: Hashable, stars: bool) -> Subpart:
    what = subject("report", stack, dim)
    if what.has_frames and not (what.count == 1 and _is_product(what)):
        return Subpart(name, Look(what, stars=stars))
    image = stack.isel({dim: 0}) if what.has_frames else stack
    own = ds if ds is None or not what.has_frames else ds.isel({dim: 0})
    called = name or _file_name(what) or "image"
    return Subpart(name, ProductLook.of(called, own, image))


def _is_product(what: Subject) -> bool:
    texts = common.texts(what.stack, what.dim)
    return bool(texts) and keyword_value(texts[0], "NCOMBINE") is not None


def _file_name(what: Subject) -> str:
    source = what.stack.encoding.get("source")
    label = what.stack.coords.get("file")
    files = [str(source)] if source else [] if label is None else np.atleast_1d(label.values).tolist()
    return Path(str(files[0])).name if len(files) == 1 else ""


def _sections(every: Sequence[Subpart], asked: Asked) -> tuple[list[Section], list[Cost]]:
    """The sections of all parts, below a heading for each if there are several."""
    sections: list[Section] = []
    costs: list[Cost] = []
    several = len(every) > 1
    for number, one in enumerate(every):
        within = f"{number}-{one.name}" if several else ""
        if several:
            sections.append(Section(anchor(within), shown(one.name), Html("")))
        parts: Any = STACK_PARTS if isinstance(one.look, Look) else PRODUCT_PARTS
        made, took = told(parts, one.look, asked, level=3 if several else 2, within=within)  # type: ignore[arg-type]
        sections += made
        costs += [cost._replace(part=f"{one.name}: {cost.part}") for cost in took] if several else took
    return sections, costs


def _title(title: str | None, every: Sequence[Subpart]) -> str:
    if title is not None:
        return title
    if len(every) > 1:
        return f"Report on {counted(len(every), 'part')}"
    look = every[0].look
    if isinstance(look, ProductLook):
        return f"Report on {look.name}"
    return f"Report on {counted(look.what.count, 'frame')}"


def _lead(every: Sequence[Subpart]) -> str:
    written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    names = [f"{one.look.what.count} frames" for one in every if isinstance(one.look, Look)]
    whole = f"{', '.join(names[:6])}{' and others' if names[6:] else ''}. " if len(every) > 1 and names else ""
    return f"{whole}Written by xccd, {written}."
