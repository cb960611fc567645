"""Sphinx: MyST pages and notebooks, numpydoc's docstrings; nothing is fetched from the network."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import accessor_pages  # noqa: E402
import make_inventories  # noqa: E402
import numpydoc.xref  # noqa: E402
import sphinx_autosummary_accessors  # noqa: E402
import sphinx_events  # noqa: E402

accessor_pages.write(HERE / "generated")

project = "xccd"
author = "The xccd developers"
project_copyright = author
version = release = version_of("xccd")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_autosummary_accessors",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "inventories"]
templates_path = [sphinx_autosummary_accessors.templates_path]
default_role = "py:obj"
highlight_language = "python3"
trim_doctest_flags = True

autodoc_typehints = "none"  # the docstrings say what a parameter takes, in words
autosummary_generate = ["generated/accessor.rst"]
numpydoc_show_class_members = False
# Words of docstrings that are types of other packages become links; other words, also int and str, stay words.
numpydoc.xref.DEFAULT_LINKS.clear()
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {
    "DataArray": "xarray.DataArray",
    "Dataset": "xarray.Dataset",
    "DataTree": "xarray.DataTree",
    "CCDData": "astropy.nddata.CCDData",
    "Header": "astropy.io.fits.Header",
    "WCS": "astropy.wcs.WCS",
    "SkyCoord": "astropy.coordinates.SkyCoord",
    "Quantity": "astropy.units.Quantity",
    "DataFrame": "pandas.DataFrame",
    "ndarray": "numpy.ndarray",
    "Grid": "xccd.Grid",
    "Recipe": "xccd.Recipe",
}

# The names that are linked to, kept in the repository: docs/make_inventories.py.
intersphinx_mapping = {name: (site, f"inventories/{name}.inv") for name, site in make_inventories.SITES.items()}
intersphinx_disabled_reftypes = ["std:doc"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_block", "attrs_inline"]
myst_heading_anchors = 3

# Notebooks are run by the build; an error, a warning or a text on stderr fails it.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_output_stderr = "warn"
nb_merge_streams = True

copybutton_exclude = ".linenos, .gp, .go"  # prompts and output are not copied

nitpicky = True
nitpick_ignore = [("py:obj", "folder"), ("py:obj", "overwrite")]  # arguments, in a docstring that names them as code

html_theme = "furo"
html_title = f"xccd {release}"
html_static_path = ["_static"]
html_css_files = ["xccd.css"]
html_extra_path = ["llms.txt"]
html_show_copyright = False


def setup(app):
    """Called by Sphinx."""
    sphinx_events.connect(app)
