"""What conf.py adds to Sphinx: colours for indented examples, links in docstrings on two pages, a gallery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def colour_examples(app: Sphinx, doctree: nodes.document) -> None:
    """Python sessions in colours, also indented ones, which Markdown gives no language; no empty line at their end."""
    for block in doctree.findall(nodes.literal_block):
        text = block.astext()
        if not text.lstrip().startswith(">>> "):
            continue
        block["language"] = "pycon"
        text = text.strip("\n")
        block.rawsource = text
        block.children = []
        block += nodes.Text(text)


def pages_from_the_root(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """:doc:`rejections` in a docstring is a page of docs/, also where a page in a folder below shows it."""
    lines[:] = [re.sub(r":doc:`(\w)", r":doc:`/\1", line) for line in lines]


def names_of_xccd(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.Element | None:
    """`open_stack` in a docstring is xccd.open_stack, also on the page of a method, which is one of xarray's."""
    if node.get("refdomain") != "py" or node["reftarget"].startswith("xccd."):
        return None
    name = f"xccd.{node['reftarget']}"
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, shown)


class Gallery(SphinxDirective):
    """A list of notebooks, one name a line: each becomes its title and its last picture."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Places for the pictures; these are made by the notebooks, and known when all pages are read."""
        return [nodes.container(classes=["gallery"], notebooks=[line.strip() for line in self.content if line.strip()])]


class Picture(SphinxDirective):
    """The last picture of one notebook, as wide as the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A place for it."""
        return [nodes.container(classes=["gallery", "wide"], notebooks=[self.arguments[0]])]


def fill_galleries(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Title and last picture of each notebook, with a link to it."""
    for place in list(doctree.findall(lambda node: isinstance(node, nodes.container) and "notebooks" in node)):
        for notebook in place["notebooks"]:
            address = app.builder.get_relative_uri(page, notebook)
            title = app.env.titles[notebook].astext()
            link = nodes.reference("", "", internal=True, refuri=address)
            pictures = list(app.env.get_doctree(notebook).findall(nodes.image))
            if not pictures and app.config.nb_execution_mode != "off":
                raise ValueError(f"{notebook} has no picture for the gallery of {page}")
            for picture in pictures[-1:]:
                link += picture.deepcopy()
                link[-1]["alt"] = title
            link += nodes.inline("", title)
            place += nodes.paragraph("", "", link)


def connect(app: Sphinx) -> None:
    """All of them."""
    app.add_directive("notebook-gallery", Gallery)
    app.add_directive("notebook-picture", Picture)
    app.connect("doctree-resolved", fill_galleries)
    app.connect("doctree-read", colour_examples)
    app.connect("autodoc-process-docstring", pages_from_the_root)
    app.connect("missing-reference", names_of_xccd, priority=400)
