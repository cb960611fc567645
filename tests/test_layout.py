"""The house: imports point down, files are short, and importing the package is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "xccd"
# A module may import from its own floor and those below, inside functions too.
FLOORS = {
    "kernels": 0, "_suggest": 0, "_options": 0, "_pool": 0, "_notes": 0, "_nodes": 0, "_flags": 0,
    "_deferred": 1, "_chain": 1, "_clip_blocks": 1, "_reasons": 1, "_scatter": 1, "_partials": 1, "_stack": 1,
    "fits.temporary": 0, "fits.place": 1, "fits.encode": 0,
    "fits.cards": 1, "fits.unpack": 1, "fits.files": 1, "fits.structure": 1, "fits.not_fits": 1,
    "fits.kinds": 1, "fits.together": 2, "fits.rows": 4, "_mixed": 4,
    "fits.pixels": 2, "fits.times": 2, "fits.units": 2, "fits.coords": 2, "fits.shared": 2, "_labels": 2,
    "fits.pixel_grid": 2, "fits.bands": 2, "fits.stream": 2,
    "fits.remote": 2, "fits.tiled": 3, "fits.constant": 3, "fits.hdus": 3, "fits.reader": 3,
    "fits.uncertainties": 1, "fits.quality": 3, "fits.chips": 4, "fits.memory": 4, "fits.sources": 4,
    "fits.distortion": 4, "_inputs": 4, "_made": 4,
    "_footprint": 4, "_overlap": 3, "weights": 4, "fits.header": 3,
    "grid": 4, "_pixel_map": 4, "_reprojected": 4, "_gather": 4, "grids": 4, "_offsets": 4, "align": 5,
    "sky": 5, "offsets": 5,
    "warm": 5, "product": 4, "stage": 5, "fits.write": 4, "fits.extensions": 4, "fits.finish": 4,
    "fits.inputs": 4, "fits.planes": 4,
    "fits.open": 5, "fits.image": 6, "fits.shapes": 6, "fits.tree": 6, "fits.dataset": 6, "fits.backend": 7,
    "clip": 5, "masks": 5, "combine": 5, "normalize": 5, "lossless": 5, "simulate": 5,
    "ccdproc.functions": 0, "ccdproc.splines": 0, "ccdproc.logged": 0, "ccdproc.twins": 0,
    "ccdproc.values": 6, "ccdproc.files": 6, "ccdproc.combiner": 7, "ccdproc.combine": 8,
    "ccdproc.project": 7, "ccdproc": 9,
    "interop": 6, "accessor": 6, "__init__": 7, "demo": 8, "_shell": 8, "cli": 9,
    "fits": 1,
}  # fmt: skip
FILES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def floor(module: str) -> int:
    while module not in FLOORS:
        assert "." in module, f"{module} has no floor"
        module = module.rpartition(".")[0]
    return FLOORS[module]


def imported(tree: ast.AST) -> set[str]:
    """Modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {"__init__" for a in node.names if a.name == "xccd"}
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "xccd":
            base = node.module.removeprefix("xccd").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                found.add(full if (SRC / f"{full.replace('.', '/')}.py").exists() or full == "kernels" else base)
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = floor(name_of(path))
    above = {m for m in imported(ast.parse(path.read_text())) if floor(m) > own}
    assert not above


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "kernels"], ids=name_of)
def test_kernels_know_numba_and_numpy_only(path: Path) -> None:
    tree = ast.parse(path.read_text())
    roots = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    standard = {"__future__", "collections", "functools", "hashlib", "logging", "math", "pathlib", "typing"}
    assert {r.split(".")[0] for r in roots} <= {
        "llvmlite",
        "numba",
        "numpy",
        "xccd",
    } | standard  # llvmlite comes with numba
    assert all(r.startswith("xccd.kernels") for r in roots if r.startswith("xccd"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= (300 if path.parent.name == "kernels" else 400)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False)
            length = node.end_lineno - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            assert length <= 50, f"{node.name} has {length} lines"


def test_every_file_says_what_it_is() -> None:
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


HEAVY = ("dask", "numba", "astropy", "matplotlib", "reproject", "click", "ccdproc", "skimage", "astroalign")


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
    assert text.count("\n") < 40
    names = {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    assert not names
