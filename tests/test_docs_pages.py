"""Pages of the docs that no doctest reads: the cheat sheet, tables, the gallery, and what is kept in several places."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

import xccd
from xccd.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHEAT_SHEET = (DOCS / "cheat_sheet.md").read_text("utf-8")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the cheat sheet calls by name."""
    folder = tmp_path_factory.mktemp("sheet")
    night = xccd.simulate_night(folder / "night", shape=(160, 200), nbias=3, ndark=2, nflat=3, nlight=6, dither=4.0)
    stack = xccd.open_stack(night / "light-r-*.fits")
    bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("median")
    bias.ccd.to_fits(night / "master.fits")
    section = {"BIASSEC": "[1:4,1:160]", "TRIMSEC": "[5:200,1:160]"}
    return {
        "xccd": xccd,
        "stack": stack,
        "files": sorted(night.glob("light-r-*.fits")),
        "raw": xccd.open_stack([(np.full((160, 200), 100.0), section)] * 2),
        "clip": stack.ccd.reject("winsorized"),
        "bias": bias,
        "dark": xccd.open_stack(night / "dark-120s-*.fits").ccd.subtract_bias(bias).ccd.combine("median").load(),
        "flat": xccd.open_stack(night / "flat-r-*.fits").ccd.subtract_bias(bias).ccd.combine("median").load(),
        "image": stack[:1].ccd.combine("mean"),
        "position": SkyCoord(150, 41, unit="deg"),
        "size": 20,
        "master": lambda frames: frames.ccd.combine("mean"),
        "night": night,
    }


BLOCKS = re.findall(r"```python\n(.*?)```", CHEAT_SHEET, re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_cheat_sheet_runs(number: int, names: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line in its order. Overscan has frames of its own, and the bias is not one of lights."""
    here = dict(names)
    if "subtract_overscan" in BLOCKS[number]:
        exec(BLOCKS[number].splitlines()[0], here)
        here["raw"] = here["stack"]
    monkeypatch.chdir(here["night"])
    for line in BLOCKS[number].replace("night/", "./").splitlines():
        if "subtract_overscan" not in line and not line.startswith("bias ="):
            exec(line, here)


def test_commands_of_the_cheat_sheet_have_these_options() -> None:
    text = CHEAT_SHEET.partition("At a shell")[2].partition("```\n")[2].partition("```")[0].replace("\\\n", " ")
    for line in text.strip().splitlines():
        _, verb, *rest = line.split()
        command = cli.get_command(click.Context(cli), verb)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known, line


def test_extras_of_the_install_page() -> None:
    rows = re.findall(r"^\| `xccd\[(\w+)\]` \| ([^|]+) \|", (DOCS / "install.md").read_text("utf-8"), re.M)
    extras = PROJECT["optional-dependencies"]
    assert [name for name, _ in rows] == [name for name in extras if name not in ("all", "test", "docs", "dev")]
    for name, packages in rows:
        brought = {re.match(r"[\w-]+", requirement)[0] for requirement in extras[name]}
        assert {package.lower() for package in packages.split(", ")} == brought


def test_inventories_are_those_of_their_table() -> None:
    make = script("make_inventories")
    for package in make.SITES:
        assert (DOCS / "inventories" / f"{package}.inv").read_bytes() == make.inventory(package), "run the script"


def test_every_notebook_is_in_the_gallery() -> None:
    index = (DOCS / "notebooks" / "index.md").read_text("utf-8")
    notebooks = sorted(path.stem for path in (DOCS / "notebooks").glob("*.md") if path.stem != "index")
    assert sorted(re.findall(r"^notebooks/(\w+)$", index, re.M)) == notebooks
    assert sorted(index.partition("```{toctree}")[2].split()[1:-1]) == notebooks
    for name in notebooks:
        last = (DOCS / "notebooks" / f"{name}.md").read_text("utf-8").rpartition("```{code-cell}")[2]
        assert "plt.subplots(" in last, name


def test_links_of_llms_txt_are_pages() -> None:
    for page in re.findall(r"\]\(([\w/]+)\.html\)", (DOCS / "llms.txt").read_text("utf-8")):
        assert (DOCS / f"{page}.md").exists() or page == "generated/accessor", page


@pytest.mark.parametrize("page", ["docs/features.md", "SECURITY.md"])
def test_tests_that_pages_name_are_there(page: str) -> None:
    for name in re.findall(r"\b(test_\w+\.py)", (ROOT / page).read_text("utf-8")):
        assert (ROOT / "tests" / name).exists(), name


def test_versions_are_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version = {{{version}}}" in " ".join((DOCS / "cite.md").read_text("utf-8").split())
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f'version: "{version}"' in (ROOT / "docs" / "release" / "recipe.yaml").read_text("utf-8")


def test_the_conda_recipe_has_the_requirements() -> None:
    recipe = (ROOT / "docs" / "release" / "recipe.yaml").read_text("utf-8")
    run = recipe.partition("\n  run:\n")[2].partition("\n\n")[0]
    for requirement in PROJECT["dependencies"]:
        name, bound = re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement).groups()
        assert re.search(rf"- {'dask-core' if name == 'dask' else name} >={re.escape(bound)}\n", run + "\n"), name
