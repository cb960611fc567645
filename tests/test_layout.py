"""The house: folders in order, no circle between files, short files, and an import that is cheap."""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "xccd"
DOCS = Path(__file__).parents[1] / "docs"
# From the ground up. A file may import from its own folder and from those before it.
FOLDERS = (
    "errors",
    "messages",
    "kernels",
    "headers",
    "compute",
    "labels",
    "read",
    "write",
    "sky",
    "verbs",
    "pictures",
    "night",
)
TOP = (
    "versions",
    "simulate",
    "simulate_colour",
    "simulate_files",
    "interop",
    "warm",
    "accessor",
    "ccdproc",
    "__init__",
    "demo",
    "cli",
)  # on top, in any order
FILES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def floor(module: str) -> int:
    folder = module.partition(".")[0]
    return len(FOLDERS) if folder in TOP else FOLDERS.index(folder)


def nodes(tree: ast.AST, *, typing: bool = True):
    """All nodes of a file; those under `if TYPE_CHECKING` too if asked."""
    for node in ast.iter_child_nodes(tree):
        if typing or not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from nodes(node, typing=typing)


def imported(path: Path, *, typing: bool = True) -> set[str]:
    """Modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in nodes(ast.parse(path.read_text()), typing=typing):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "xccd"]
            found |= {name.removeprefix("xccd").lstrip(".") or "__init__" for name in names}
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "xccd":
            base = node.module.removeprefix("xccd").lstrip(".")
            full = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
            found |= {name if name in MODULES else base or "__init__" for name in full}
    return found


def roots(path: Path) -> set[str]:
    """Packages that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def inside(*folders: str) -> list[Path]:
    return [path for name, path in MODULES.items() if name.partition(".")[0] in folders]


@pytest.mark.parametrize("name", MODULES)
def test_folders_import_from_those_below(name: str) -> None:
    assert not {other for other in imported(MODULES[name]) if floor(other) > floor(name)}


def test_no_files_import_each_other() -> None:
    """No circle between any two files, of one folder or several; types alone may."""
    graph = {name: imported(path, typing=False) - {name} for name, path in MODULES.items()}
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"files import each other: {' <- '.join(error.args[1])}")


STANDARD = {
    "__future__",
    "collections",
    "enum",
    "functools",
    "gc",
    "hashlib",
    "itertools",
    "logging",
    "math",
    "pathlib",
    "types",
    "typing",
}


@pytest.mark.parametrize("path", inside("kernels"), ids=name_of)
def test_kernels_know_numba_and_numpy_only(path: Path) -> None:
    allowed = {"llvmlite", "numba", "numpy", "xccd"} | STANDARD  # llvmlite comes with numba
    assert {root.partition(".")[0] for root in roots(path)} <= allowed
    assert all(root.startswith("xccd.kernels") for root in roots(path) if root.startswith("xccd"))


def test_kernels_are_twins() -> None:
    """Each file of the NumPy engine has one of the same name among the compiled ones."""
    compiled, plain = ({p.name for p in (SRC / "kernels" / folder).glob("*.py")} for folder in ("compiled", "plain"))
    assert plain < compiled


@pytest.mark.parametrize("path", inside("headers", "compute", "labels", "verbs", "night"), ids=name_of)
def test_folders_that_open_no_file(path: Path) -> None:
    """FITS files are opened by `read` and written by `write`; `headers` has astropy's cards and headers alone."""
    called = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)}
    assert not called & {"fits.open", "fits.getheader", "fits.getdata", "fits.writeto"}
    if name_of(path).startswith("compute"):
        assert not {root for root in roots(path) if root.startswith("astropy")}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_xarrays_internals_are_used_in_one_file(path: Path) -> None:
    internal = {root for root in roots(path) if root.startswith(("xarray.core", "xarray.namedarray"))}
    private = {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)} & {"_data"}
    assert not internal | private or name_of(path) == "labels.lazy"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= (300 if name_of(path).startswith("kernels") else 400)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False)
            length = node.end_lineno - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            assert length <= 50, f"{node.name} has {length} lines"


def test_every_file_says_what_it_is() -> None:
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_picture_and_the_list_of_files_are_those_of_today() -> None:
    spec = importlib.util.spec_from_file_location("make_house", DOCS / "make_house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    assert FOLDERS[2:] == house.FOLDERS
    page = (DOCS / "design.md").read_text()
    same = (DOCS / "_static" / "house.svg").read_text() == house.picture() and page == house.page(page)
    assert same, "run python docs/make_house.py"


HEAVY = ("dask", "numba", "astropy", "matplotlib", "reproject", "click", "ccdproc", "skimage", "astroalign", "sep")


def loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh process has loaded after ``code``."""
    report = f"import sys\n{code}\nprint(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_import_is_light() -> None:
    assert loaded_after("import xccd") == set()


def test_numpy_verbs_need_no_astropy() -> None:
    code = "import xarray, xccd\nxarray.DataArray([1.0, 2.0, 9.0], dims='frame').ccd.sigma_clip(1, 1).ccd.mask"
    assert not loaded_after(code) & {"astropy", "matplotlib", "reproject", "ccdproc", "click"}


def test_init_is_a_list_of_names() -> None:
    text = (SRC / "__init__.py").read_text()
    assert text.count("\n") < 90
    names = {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    assert not names
