"""Sphinx: MyST pages, numpydoc's docstrings; nothing is fetched from the network."""

from importlib.metadata import version as version_of

project = "xccd"
author = "The xccd developers"
project_copyright = author
version = release = version_of("xccd")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
default_role = "py:obj"
highlight_language = "python3"
trim_doctest_flags = True

autodoc_typehints = "none"  # the docstrings say what a parameter takes, in words
autosummary_generate = False
numpydoc_show_class_members = False
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

nitpicky = True
# Types of other packages, as docstrings spell them.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|xarray|dask|astropy|pathlib)\..*"),
    (r"py:.*", r"[A-Z]\w*(Error|Warning)"),
]

nitpick_ignore = [("py:obj", "folder"), ("py:obj", "overwrite")]  # arguments, in a docstring that names them as code

html_theme = "furo"
html_title = f"xccd {release}"
html_static_path = ["_static"]
html_show_copyright = False
