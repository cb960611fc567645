"""The page of the accessor's methods, from the accessor itself: conf.py writes it before Sphinx looks for pages.

sphinx-autosummary-accessors makes a page for each method in it, with the call as a user writes it.
"""

from __future__ import annotations

from pathlib import Path

from xccd.accessor import CCDAccessor

TITLE = "The accessor .ccd, method by method"
INTRO = """Each method is the function of the same name, with the object before the dot as its first argument. The
methods are on :class:`xarray.DataArray`, :class:`xarray.Dataset` and :class:`xarray.DataTree`. :doc:`/api` has the
functions by task."""


def page() -> str:
    """The page as reStructuredText, with what Sphinx needs to make the pages below it."""
    public = [name for name in dir(CCDAccessor) if not name.startswith("_")]
    kinds = {
        "attribute": [name for name in public if isinstance(getattr(CCDAccessor, name), property)],
        "method": [name for name in public if callable(getattr(CCDAccessor, name))],
    }
    lines = [TITLE, "=" * len(TITLE), "", INTRO, "", ".. currentmodule:: xarray", ""]
    for kind, names in kinds.items():
        lines += [".. autosummary::", "   :toctree: methods", f"   :template: autosummary/accessor_{kind}.rst", ""]
        lines += [f"   DataArray.ccd.{name}" for name in names] + [""]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write the page where it is not there as it is now: a page that did not change is not built again."""
    folder.mkdir(exist_ok=True)
    path = folder / "accessor.rst"
    if not path.exists() or path.read_text("utf-8") != page():
        path.write_text(page(), "utf-8")
