"""Names of products: what -o may be, and templates such as 'out/{FILTER}.fits'."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from xccd.cli.shell import NO_OUTPUT, USAGE, Stop, stage
from xccd.messages import did_you_mean

SUFFIXES = (".fits", ".fit", ".fts")  # of a product, or these with .fz
STEM = "file"  # in a template: the name of the frame's file
USUAL = (STEM, "FILTER", "EXPTIME", "OBJECT", "IMAGETYP")
LONGEST = 60  # characters of one value
# Names that Windows keeps for devices, with any suffix.
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
Value = str | int | float | None


def check_output(output: Path) -> None:
    """Raise for a name that is not a FITS file's. `check_target` says what cannot be written there."""
    name = Path(output.stem) if output.suffix.lower() == ".fz" else output
    known = name.suffix.lower() in SUFFIXES or (name.suffix == "" and name is not output)
    if known or output.is_dir() or output.suffix.lower() in (".gz", ".bz2", ".xz"):
        return
    stem = output.stem if re.fullmatch(r"\.[A-Za-z]\w{0,4}", output.suffix) else output.name
    better = str(output.with_name(f"{stem}.fits"))
    raise Stop(USAGE, f"--output={str(output)!r} is not the name of a FITS file, write to {better!r}")


def is_folder(text: str) -> bool:
    """Whether -o names a folder: one that is there, or a name that ends in a slash."""
    return text.endswith("/") or Path(text).expanduser().is_dir()


class Template:
    """The text given to -o, with the names in braces of which each product gets its own values."""

    def __init__(self, text: str) -> None:
        self.text = text
        if not text.strip():
            raise Stop(USAGE, "--output is empty: name a file")
        try:
            self.parts = list(Formatter().parse(text))
        except ValueError as error:
            raise Stop(USAGE, f"--output={text!r}: {error}; a brace that is meant is doubled, '{{{{'") from None
        self.names = [name for _, name, _, _ in self.parts if name is not None]
        for _, name, form, conversion in self.parts:
            if form or conversion:
                raise Stop(USAGE, f"--output={text!r}: a name in braces takes no format: write {{{name}}}")
            if name is not None and not name.strip():
                raise Stop(USAGE, f"--output={text!r}: braces without a name: write {{{'}, {'.join(USUAL)}}}")
        if self.names:
            check_output(Path(re.sub(r"\{[^{}]*\}", "x", text)))

    @property
    def plain(self) -> str:
        """The text without names in braces, as a name: a doubled brace is one."""
        return "".join(literal for literal, _, _, _ in self.parts)

    def path(self, values: dict[str, Value]) -> Path:
        """The path with a value for each name. No value leads out of the folder that the text names."""
        filled = "".join(
            literal + ("" if name is None else safe(values[name], name)) for literal, name, _, _ in self.parts
        )
        folder, _, name = filled.rpartition("/")
        if DEVICES.fullmatch(name):
            name = f"_{name}"
        return Path(f"{folder}/{name}" if folder or filled.startswith("/") else name).expanduser()


def safe(value: Value, name: str) -> str:
    """A value as part of a file's name: no separator, no control character, no hidden file, nothing reserved."""
    if value is None:
        return f"no_{name}"
    if isinstance(value, (int, float)):
        whole = abs(value) < 1e15 and value == int(value)
        return ("minus" if value < 0 else "") + (str(int(abs(value))) if whole else f"{abs(value):.12g}")
    text = re.sub(r"^[\W_]+|[^\w.+-]+", "_", unicodedata.normalize("NFC", value.strip()))[:LONGEST].rstrip(".")
    return f"_{text}" if not text or DEVICES.fullmatch(text) else text


def values_of(stack: Any, names: Iterable[str]) -> dict[str, list[Value]]:
    """For each name of a template the value of each frame, None for a frame without one."""
    from xccd.headers import cards, common
    from xccd.headers.coords import coordinate_name, number

    texts = common.texts(stack, "frame")
    headers = [cards.values(text) for text in texts]
    found: dict[str, list[Value]] = {}
    for name in names:
        keyword = coordinate_name(name.strip().upper())
        if name.strip().lower() == STEM:
            found[name] = stems(stack)
        elif keyword in ("FILTER", "IMAGETYP"):
            found[name] = _kind_or_filter(stack, keyword)
        elif keyword == "EXPTIME":
            times = [number(keyword, header) for header in headers]
            found[name] = [None if t != t else t for t in times]
        else:
            found[name] = [_plain(header.get(keyword, header.get(name.strip().upper()))) for header in headers]
    return found


def check_known(stacks: Sequence[Any], template: Template) -> None:
    """Raise for a name in braces that no frame of any stack has."""
    from xccd.headers import cards, common

    texts = [text for stack in stacks for text in common.texts(stack, "frame")]
    keywords = dict.fromkeys(k for text in texts for k in cards.values(text))
    for name in template.names:
        if not any(value is not None for stack in stacks for value in values_of(stack, [name])[name]):
            near = did_you_mean(name if name.islower() else name.upper(), [*USUAL, *keywords])
            way = f"usual are {{{'}, {'.join(USUAL)}}}"
            raise Stop(USAGE, f"--output={template.text!r}: no frame has a {{{name}}}{near}; {way}")


def _kind_or_filter(stack: Any, keyword: str) -> list[Value]:
    """The kind of each frame, or its filter where that counts for the kind, as in `open_tree`."""
    from xccd.headers import kinds
    from xccd.labels.mixed import kind_labels

    rows = list(zip(*kind_labels(stack, "frame"), strict=True))
    made = [kinds.made_of(kinds.kind_of(imagetyp, obstype), count) for imagetyp, obstype, _, count in rows]
    if keyword == "IMAGETYP":
        return list(made)
    return [row[2] if row[2] and kinds.filter_counts(kind) else None for row, kind in zip(rows, made, strict=True)]


def _plain(value: Any) -> Value:
    """A card's value as text or number; None without one."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return None if value != value or abs(value) == float("inf") else value
    return None if value is None or not str(value).strip() else str(value).strip()


def stems(stack: Any) -> list[Value]:
    """The name of each frame's file without folder and suffixes, and with its chip if it has one."""
    from xccd.labels.frames import file_names

    files = file_names(stack, "frame", chips=False) or [f"frame-{i + 1}" for i in range(stack.sizes["frame"])]
    chips = stack.coords["chip"].values.tolist() if "chip" in stack.coords else []
    found = [stem_of(file) for file in files]
    return [f"{stem}-{chip}" for stem, chip in zip(found, chips, strict=True)] if chips else [*found]


def stem_of(file: str) -> str:
    """The name of a file without folder and suffixes: raw/a.fits.gz is a."""
    name = file.rpartition("/")[2]
    return re.sub(r"(?i)(\.(fits|fit|fts))?(\.(gz|bz2|xz|fz))?$", "", name) or name


def one_value(stack: Any, template: Template, group: str) -> dict[str, Value]:
    """The values of a template for a group of frames; raises if its frames differ in one."""
    found = values_of(stack, template.names)
    for name, values in found.items():
        several = list(dict.fromkeys(values))
        if len(several) > 1:
            some = ", ".join(safe(v, name) for v in several[:4]) + (", ..." if several[4:] else "")
            where = f" of {group}" if group else ""
            by = "" if name.strip().lower() == STEM else f", or add it to --by, as --by {name.strip().upper()}"
            raise Stop(USAGE, f"--output={template.text!r}: the frames{where} differ in {{{name}}} ({some}): leave it "
                       f"out of the name{by}")  # fmt: skip
    return {name: values[0] for name, values in found.items()}


def places_of_frames(
    template: Template, stacks: Sequence[Any], files: Sequence[str], inputs: Sequence[str], overwrite: bool
) -> list[Path]:
    """Where the file of each frame goes, checked before any work: a folder, a template, or one name for one frame.

    A name without a suffix is a folder, which is made if it is missing.
    """
    if is_folder(template.text) or not (template.names or Path(template.text).suffix):
        template = Template(f"{template.text.rstrip('/')}/{{{STEM}}}.fits")
    check_known(stacks, template)
    paths = [template.path({k: v[0] for k, v in values_of(stack, template.names).items()}) for stack in stacks]
    check_distinct(paths, files, template.text)
    check_places(paths, overwrite, make=True, inputs=inputs)
    return paths


def check_distinct(paths: Sequence[Path], of: Sequence[str], text: str) -> None:
    """Raise if two products would have one name."""
    first: dict[Path, str] = {}
    for path, name in zip(paths, of, strict=True):
        other = first.setdefault(path, name)
        if other is not name:
            raise Stop(USAGE, f"--output={text!r}: {str(path)!r} would be the product of {other} and of {name}: put "
                       "what differs into the name, as {file} or a keyword in braces")  # fmt: skip


def check_places(paths: Sequence[Path], overwrite: bool, *, make: bool, inputs: Sequence[str] = ()) -> None:
    """Raise if a product cannot be written, before any work. With ``make`` a folder that is missing will be made."""
    from xccd.write.fits import check_target
    from xccd.write.input_files import check_inputs

    for path in paths:
        check_output(path)
        with stage(NO_OUTPUT, OSError):
            check_inputs(path, inputs)
            if make and not path.parent.exists() and path.parent.parent.is_dir():
                continue
            check_target(path, overwrite)


def make_folders(paths: Iterable[Path]) -> None:
    """Make the folders of products that are missing."""
    for folder in dict.fromkeys(path.parent for path in paths):
        with stage(NO_OUTPUT, OSError, of=f"--output: {str(folder)!r}"):
            folder.mkdir(exist_ok=True)
