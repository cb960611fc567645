"""The words of messages: options in place of Python's arguments, and no control characters."""

from __future__ import annotations

import re

import click

# Python arguments whose option has another name.
ARGUMENTS = {"files": "FILES", "path": "--output", "where": "WHERE", "rule": "--keep"}
# Advice for Python, and the same for a shell. Where the command has no option, the text names Python's function.
PHRASES = (
    (r"--q=None with (--method='quantile'): .*", r"\1 needs --q, from 0 to 1, as --q 0.25"),
    (r"clip_extrema\(nlow=(\d+), nhigh=(\d+)\)", r"--clip-extrema \1 \2"),
    (r"FILES=", "FILES "),
    (r"; an image of one file that is in memory, after \.load\(\), may go back there", ""),
    (r", or nkeep=1", ""),
    (r"\(None switches a side off\)", "(inf switches a side off)"),
    (r": a limit cannot be NaN, leave it out for none", ": a limit cannot be NaN, give inf or -inf for none"),
    (r", or use xccd\.open_tree.*", ""),
    (r": (mask|uncertainty)_hdu=None leaves it", r": only Python's open_stack can leave its \1"),
    (r": (mask|uncertainty)_hdu= takes a number.*", r": only Python's open_stack takes the number of its \1"),
    (r" \(mask_hdu=None: no mask is looked for\)", ""),
    (r": (--)?hdu='all' (opens|lists) all", r": --hdu all \2 all"),
    (r", (--)?hdu= names others|, --hdu names others", ", --hdu NAME another"),
    (r"mask_hdu=('[^']*'|\d+)", r"its mask \1"),
    (r", 'auto', a function of \(values, axis\), or register_rejection", " or auto"),
    (r", or a function( of \(values, axis\))?", ""),
    (r": they may not belong together, open_tree tells them apart", ""),
    (r"reference=\d+: (.*): choose another frame", r"\1: give another reference with --to"),
    (r": if its header is wrong, use \w+\.assign_attrs\(IMAGETYP=.*", ": --any-kind takes it as it is"),
    (r": cut both alike, with trim\(\) or .*", ": cut both alike, with --trim"),
    (r"; without a WCS: stack\.ccd\.align\(transforms=.*", ": --stars finds their places by their stars"),
    (r"gain_correct\(\) makes electrons", "--electrons makes electrons"),
    (r"; a wrong unit is mended by assign_attrs\(units=\.\.\.\)", ""),
    (r"region=('[^']*'|None)", r"\1"),
    (r"give region=, as", "give a section, as"),
    (r"; recursive=True looks into its folders, too", ": name a folder in it"),
    (r"cfa, a number above 0, or None", "cfa, or a number above 0"),
    (r": select frames by filter, as stack.*", ": give the flats of all filters, and each frame gets its own"),
    (r"bad and the stack differ in their coordinate .*", "the map is of other pixels: give one of the whole frame"),
    (
        r"\. Leave it out, as stack\.drop_isel\(.*?\), or take another reference=( |$)",
        ": leave it out, or give another with --to ",
    ),
    (r": pass (--)?overwrite(=True)? to replace it, or name an empty folder", ": name an empty folder"),
    (r"(--output='[^']*': there is no folder .*)", r"\1: make it first"),
    (r": say which one holds the frames, dim=.*", ": a frame has two dimensions or more"),
)


def in_options(message: str) -> str:
    """A function's message in the command's words: ``overwrite=True`` becomes ``--overwrite``."""
    context = click.get_current_context(silent=True)
    known = {p.name: p for p in context.command.params if isinstance(p, click.Option)} if context else {}

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"] or ""
        called = ARGUMENTS.get(name) or (max(known[name].opts, key=len) if name in known else name)
        if name in known and known[name].is_flag and value in ("True", "False"):
            return called
        if value.startswith(("(", "[")) and name in known:  # several values in one, such as 'SCI,2'
            value = repr(re.sub(r"[()\[\]' ]", "", value))
        return f"{called}={value}" if value or called == name else called

    said = re.sub(
        r"(?<![\w/.-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|\"[^\"]*\"|\([^)]*\)|\[[^\]]*\]|[\w.+-]*)", option, message
    )
    for pattern, way in PHRASES:
        said = re.sub(pattern, way, said)
    return said


def visible(text: object) -> str:
    """The text with everything unprintable escaped as in Python, also in file names."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
