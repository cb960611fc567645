"""`Recipe`: its values are checked, and its TOML is read and written."""

import copy
import dataclasses
import importlib.util
import inspect
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xccd
from xccd import Recipe
from xccd.kernels.table import METHODS
from xccd.night.recipe.recipe_section import default_of, keys_of
from xccd.verbs import reject_text

DOCS = Path(__file__).parents[1] / "docs"
KEYS = {".".join(filter(None, (where, f.name))): f for where, f in keys_of(Recipe)}

TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
SOME = st.lists(TEXTS, unique=True, max_size=3)
CAMERA = st.sampled_from(["auto", "off", "EGAIN"]) | st.floats(1e-3, 1e6)
REJECT = st.sampled_from(["", "sigma 3 3", "winsorized 4 3 floor=0.5", "esd", "auto", "sigma off 3 preset=astropy"])
METHOD = st.sampled_from(["mean", "median", "sum", "biweight"])
REGION = st.sampled_from(["auto", "off", "BIASSEC", "[1:20,*]", "[2049:2080,1:2048]"])
VALUES = {
    "exposure_tolerance": st.floats(0, 0.9),
    "temperature_tolerance": st.floats(0, 1e3),
    **{f"kinds.{name}": SOME for name in ("bias", "dark", "flat", "light", "ignore")},
    "detector.overscan": REGION,
    "detector.trim": REGION,
    **{f"detector.{name}": CAMERA for name in ("saturation", "gain", "readnoise")},
    "detector.master_scale": st.floats(1e-6, 1e9),
    **{f"{kind}.reject": REJECT for kind in ("bias", "dark", "flat", "light")},
    **{f"{kind}.method": METHOD for kind in ("bias", "dark", "flat", "light")},
    "dark.scale": st.booleans(),
    "flat.normalize": st.sampled_from(["off", "mean", "median", "mode"]),
    "flat.norm": st.sampled_from(["auto", "cfa", "mean", "median"]),
    "flat.min_value": st.floats(0, 10),
    "light.by": SOME,
    "light.keep": st.sampled_from(["", "fwhm<80%", "stars>20%, noise<=12.5"]),
    "light.debayer": st.sampled_from(["auto", "off", "vng"]),
    "light.register": st.sampled_from(["auto", "off", "wcs", "stars"]),
    "light.normalize": st.sampled_from(["auto", "off"]),
    "light.weights": st.sampled_from(["", "EXPTIME"]),
    **{f"output.{name}": st.booleans() for name in ("maps", "picture", "frames", "report")},
}


def nested(values):
    """{"light.method": ...} as the arguments of a recipe."""
    found = {}
    for name, value in values.items():
        where, _, key = name.rpartition(".")
        (found.setdefault(where, {}) if where else found)[key] = value
    return found


def test_every_key_is_tried():
    assert VALUES.keys() == KEYS.keys()


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_written_is_read_as_the_same_recipe(values):
    if "light.method" in values and METHODS[values["light.method"]].weighted is None:
        values.pop("light.weights", None)
    recipe = Recipe(**nested(values))
    again = Recipe.from_text(recipe.to_toml())
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert dataclasses.asdict(again) == dataclasses.asdict(recipe)


def test_the_toml_tells_what_each_key_is_and_where_its_value_is_from(tmp_path):
    path = tmp_path / "night.toml"
    path.write_text('[light]\nmethod = "median"\n')
    recipe = Recipe.from_file(path).with_text("dark.scale=false", source="--set")
    recipe = recipe.replace(flat={"min_value": 0.1})
    text = recipe.to_toml()
    assert f'method = "median"  # {path}' in text
    assert "scale = false  # --set" in text
    assert "min_value = 0.1  # given" in text
    assert 'normalize = "median"  # default' in text
    assert recipe.light.method == "median"
    plain = " ".join(line.lstrip("# ") for line in text.splitlines())
    for field in KEYS.values():
        assert " ".join(field.metadata["text"].split()) in plain
    assert max(map(len, text.splitlines())) <= 120 + len(str(path))


def test_the_table_of_the_docs_is_that_of_the_fields():
    spec = importlib.util.spec_from_file_location("make_recipe", DOCS / "make_recipe.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    text = (DOCS / "recipe.md").read_text()
    assert make.page(text) == text, "run python docs/make_recipe.py"
    assert all(f"`{name}`" in text for name in KEYS)


def test_the_defaults_are_valid():
    for name, field in KEYS.items():
        value = default_of(field)
        assert field.metadata["check"](value) == value, name
        assert field.metadata["text"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"light": {"metod": "x"}},
            ValueError,
            r"light has no key 'metod'; did you mean 'method'\? There are by, keep",
        ),
        ({"light": {"method": "medain"}}, ValueError, r"light.method='medain' is unknown: .* did you mean 'median'\?"),
        ({"light": {"method": "quantile"}}, ValueError, r"method='quantile' takes more than a recipe has"),
        ({"light": {"method": 5}}, TypeError, r"light.method=5 is an int, not a text: write it as \"mean\""),
        ({"light": 5}, TypeError, r"light=5 is an int: give its keys as a dict"),
        ({"light": {"reject": "sigm 3 3"}}, ValueError, r"light.reject='sigm 3 3' cannot .* did you mean 'sigma'\?"),
        ({"bias": {"reject": "sigma 3"}}, ValueError, r"bias.reject='sigma 3' .* name and two thresholds"),
        ({"bias": {"reject": "sigma 3 3 center=medain"}}, ValueError, r"center='medain' .* did you mean 'median'\?"),
        ({"bias": {"reject": "sigma 3 3 ddof=1 ddof=2"}}, ValueError, r"has ddof= twice: give it once"),
        ({"bias": {"reject": "sigma -3 3"}}, ValueError, r"low=-3: thresholds are 0 or more"),
        ({"bias": {"reject": "sigma 3 3 preset=irav"}}, ValueError, r"preset='irav' is unknown"),
        ({"bias": {"reject": "esd 3 3"}}, ValueError, r"low=3 is no option of 'esd'"),
        ({"bias": {"reject": "auto foo=2"}}, ValueError, r"foo=2 is no option of 'auto'"),
        ({"bias": {"reject": "auto spare_cores=-1"}}, ValueError, r"spare_cores=-1 is not a finite number"),
        ({"bias": {"reject": "sigma 3 3\n"}}, ValueError, r"characters that cannot be printed"),
        ({"light": {"by": "object"}}, TypeError, r"light.by='object' is a str, not a list of texts"),
        ({"light": {"by": ["object", "object"]}}, ValueError, r"has 'object' twice: give it once"),
        ({"light": {"by": ["object", " "]}}, ValueError, r"has an empty text"),
        ({"light": {"keep": "fwhm80"}}, ValueError, r"light.keep='fwhm80' "),
        (
            {"light": {"keep": "noise<9, fhwm<80%"}},
            ValueError,
            r"has 'fhwm': use .* keyword in capitals; did .* 'fwhm'",
        ),
        ({"light": {"keep": "exptime<80%"}}, ValueError, r"has 'exptime': use \"mean\", .*, or a keyword in capitals"),
        ({"light": {"keep": "rejected<5%"}}, ValueError, r"has 'rejected': frames are chosen before .* it is 0 in all"),
        ({"light": {"weights": "drizzle"}}, ValueError, r"light.weights='drizzle' has 'drizzle': use \"noise\""),
        ({"bias": {"method": "ivar"}}, ValueError, r"bias.method='ivar' needs uncertainties, which frames with their"),
        (
            {"flat": {"method": "ivar"}, "detector": {"readnoise": "off"}},
            ValueError,
            r"flat.method='ivar' needs uncertainties, and detector.readnoise is 'off': give a number",
        ),
        (
            {"light": {"weights": "ivar*GAIN"}, "detector": {"gain": "off"}},
            ValueError,
            r"light.weights='ivar\*GAIN' needs uncertainties, and detector.gain is 'off'",
        ),
        (
            {"lite": {}},
            ValueError,
            r"the recipe has no key 'lite'; did you mean 'light'\? There are exposure_tolerance",
        ),
        ({"sources": {}}, ValueError, r"the recipe has no key 'sources': there are exposure_tolerance"),
        ({"light": {"weights": "nois"}}, ValueError, r"light.weights='nois' has 'nois': .* did you mean 'noise'\?"),
        (
            {"light": {"weights": "noise", "method": "max"}},
            ValueError,
            r"method='max' with light.weights='noise'",
        ),
        ({"light": {"method": "ivar"}, "detector": {"gain": "off"}}, ValueError, r"'ivar' needs uncertainties"),
        ({"detector": {"overscan": "[1:20]"}}, ValueError, r"overscan='\[1:20\]' cannot be used: .* is no section"),
        ({"detector": {"trim": "[20:1,1:3]"}}, ValueError, r"does not run from 1 or more upwards"),
        ({"detector": {"overscan": "of"}}, ValueError, r"overscan='of' is unknown: .* did you mean 'off'\?"),
        ({"detector": {"gain": -1}}, ValueError, r"detector.gain=-1 is no finite number above 0"),
        ({"detector": {"gain": float("nan")}}, ValueError, r"detector.gain=nan is no finite number"),
        (
            {"detector": {"gain": True}},
            TypeError,
            r"detector.gain=True is a bool: use one of \"auto\", \"off\"",
        ),
        ({"detector": {"saturation": "satura"}}, ValueError, r"saturation='satura' is unknown"),
        ({"exposure_tolerance": "5%"}, TypeError, r"exposure_tolerance='5%' is a str, not a number: give .*0.05"),
        ({"exposure_tolerance": 5}, ValueError, r"exposure_tolerance=5 is not a number from 0 to below 1"),
        ({"dark": {"scale": "no"}}, TypeError, r"dark.scale='no' is a str: it is true or false"),
        ({"kinds": {"flat": "Dome*"}}, TypeError, r"kinds.flat='Dome\*' is a str, not a list of texts"),
    ],
)
def test_a_value_that_cannot_be(given, error, message):
    with pytest.raises(error, match=message):
        Recipe(**given)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[lights]", ValueError, r"there is no section \[lights\]; did you mean 'light'\? There are kinds, detector"),
        ("[zebra]", ValueError, r"there is no section \[zebra\]: there are kinds, detector"),
        ("method = 'x'", ValueError, r"method stands outside of all sections: write it below \[bias\] or \[dark\]"),
        ("exposure_tolerence = 0.1", ValueError, r"no key 'exposure_tolerence'; did you mean 'exposure_tolerance'\?"),
        ("[light]\nmetod = 'x'", ValueError, r"\[light\] has no key 'metod'; did you mean 'method'\?"),
        ("[light]\nmethod = 'medain'", ValueError, r"\[light\] method = \"medain\" is unknown: .*'median'\?"),
        ("[light]\nby = 3", TypeError, r"\[light\] by = 3 is an int, not a list of texts"),
        ("light = 3", TypeError, r"light is a section: write \[light\], and its keys in the lines below"),
        ("[[light]]\nmethod = 'mean'", TypeError, r"light is a section"),
        ("[light]\nmethod = 2024-01-01", TypeError, r"method = datetime.date\(2024, 1, 1\) is a date, not a text"),
        ("exposure_tolerance = inf", ValueError, r"exposure_tolerance = inf is not a number from 0"),
        ("[light]\nmethod = median", OSError, r"is no TOML: .*line 2, column 10.*texts stand in quotes"),
        ("[light\n", OSError, r"is no TOML: .*line 1"),
        ("[light]\nmethod='mean'\nmethod='mean'", OSError, r"is no TOML"),
        ("\ufffe\x00", OSError, r"is no TOML"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path, text, error, message):
    path = tmp_path / "night.toml"
    path.write_text(text)
    with pytest.raises(error, match=f"^{re.escape(str(path))}.*{message}"):
        Recipe.from_file(path)
    with pytest.raises(ValueError if error is OSError else error, match=f"^the text.*{message}"):
        Recipe.from_text(text)


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the recipe .*no\.toml does not exist: .* --print-recipe > "):
        Recipe.from_file(tmp_path / "no.toml")
    with pytest.raises(IsADirectoryError, match=r"is a folder, not a recipe"):
        Recipe.from_file(tmp_path)
    with pytest.raises(TypeError, match=r"path=5 is an int, not a path"):
        Recipe.from_file(5)
    with pytest.raises(TypeError, match=r"text is an int, not a text"):
        Recipe.from_text(5)
    with pytest.raises(OSError, match=r"is no path"):
        Recipe.from_file("a\0b")
    path = tmp_path / "x.toml"
    path.write_bytes(b"[light]\n\xff")
    with pytest.raises(OSError, match=r"is no recipe: its byte 8 is no text in UTF-8"):
        Recipe.from_file(path)
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(OSError, match=r"more than 1 MiB"):
        Recipe.from_file(path)
    path.write_text("[light]\nmethod = 'sum'\n", encoding="utf-8-sig")
    assert Recipe.from_file(path).light.method == "sum"
    path.write_text("")
    assert Recipe.from_file(path) == Recipe()


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("light.method=median", "light.method", "median"),
        (" light.method = 'median' ", "light.method", "median"),
        ("light.by=object, night", "light.by", ("object", "night")),
        ('light.by=["object"]', "light.by", ("object",)),
        ("light.by=", "light.by", ()),
        ("dark.scale=False", "dark.scale", False),
        ("exposure_tolerance=0.1", "exposure_tolerance", 0.1),
        ("detector.gain=1.5", "detector.gain", 1.5),
        ("detector.gain=EGAIN", "detector.gain", "EGAIN"),
        ("light.reject=sigma 3 3 center=median", "light.reject", "sigma 3 3 center=median"),
        ("light.keep=fwhm<=80%", "light.keep", "fwhm<=80%"),
        ("light.keep=", "light.keep", ""),
        ("detector.trim=[1:20,1:30]", "detector.trim", "[1:20,1:30]"),
    ],
)
def test_a_setting_of_the_command_line(assignment, name, value):
    recipe = Recipe(light={"method": "sum"}).with_text(assignment, source="--set")
    where, _, key = name.rpartition(".")
    assert getattr(getattr(recipe, where) if where else recipe, key) == value
    assert recipe.sources == {name: "--set"}
    assert recipe.light.method == (value if name == "light.method" else "sum")


@pytest.mark.parametrize(
    ("assignment", "error", "message"),
    [
        ("light.method", ValueError, r"'light.method' is no setting: write it as light.method=median"),
        ("method=median", ValueError, r"no key 'method'; did you mean 'bias.method' or .* or 'light.method'\?"),
        ("light.metod=median", ValueError, r"no key 'light.metod'; did you mean 'light.method'\?"),
        ("zzz=1", ValueError, r"no key 'zzz': xccd reduce --print-recipe lists all"),
        ("light.method=medain", ValueError, r"light.method is unknown: .* did you mean 'median'\?"),
        ("dark.scale=nope", TypeError, r"'dark.scale=nope': dark.scale is a str: it is true or false"),
        ("light.by=[1", TypeError, r"light.by is a str, not a list"),
        (5, TypeError, r"5 is an int, not a text"),
    ],
)
def test_a_setting_that_cannot_be(assignment, error, message):
    with pytest.raises(error, match=message):
        Recipe().with_text(assignment)


def test_replace_keeps_the_other_values():
    recipe = Recipe(light={"method": "median"}, dark={"scale": False})
    other = recipe.replace(light={"keep": "fwhm<80%"}, exposure_tolerance=0.1, source="--keep")
    assert (other.light.method, other.light.keep, other.dark.scale) == ("median", "fwhm<80%", False)
    assert other.sources == {"light.keep": "--keep", "exposure_tolerance": "--keep"}
    assert other.replace(light={"keep": ""}).sources == {"exposure_tolerance": "--keep"}
    assert other.replace(light=recipe.light).light == recipe.light
    assert recipe.light.keep == ""
    assert recipe != other
    assert recipe == copy.deepcopy(recipe) == pickle.loads(pickle.dumps(recipe))
    with pytest.raises(ValueError, match=r"the recipe has no key 'lite'; did you mean 'light'\?"):
        recipe.replace(lite={})
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"light"):
        recipe.light = None


def test_the_value_of_a_key_has_one_form():
    recipe = Recipe(detector={"gain": 2}, light={"by": ["object"]}, exposure_tolerance=0)
    assert (type(recipe.detector.gain), recipe.light.by, type(recipe.exposure_tolerance)) == (float, ("object",), float)


@pytest.mark.parametrize("text", ["sigma", "winsorized 4 3 floor=0.5", "sigma off 3 maxiters=stable", "auto"])
def test_a_rejection_as_a_text_is_what_reject_takes(text):
    (name, *sides), options = reject_text.parsed(text)
    reject_text.check(text)
    assert name == text.split()[0]
    assert all(side is None or isinstance(side, (int, float)) for side in sides)
    assert isinstance(options, dict)
    assert xccd.reject.__name__ == "reject"


def test_keys_are_given_by_name():
    with pytest.raises(TypeError, match=r"Recipe takes its keys by name, as light={'method': 'median'}"):
        Recipe({"light": {}})
    assert list(inspect.signature(Recipe).parameters)[:2] == ["exposure_tolerance", "temperature_tolerance"]
    with pytest.raises(
        ValueError, match=r"'light=median': light is a section: name one of its keys, light.by, light.k"
    ):
        Recipe().with_text("light=median")


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(FileNotFoundError, match="path='' names no recipe: give a TOML file"):
        Recipe.from_file("")
    with pytest.raises(OSError, match=r"the recipe x+ cannot be read: File name too long; check the path"):
        Recipe.from_file("x" * 300)
    (tmp_path / "wide.toml").write_bytes("[light]".encode("utf-16"))
    with pytest.raises(OSError, match=r"its byte 0 is no text in UTF-8; if it is one, save it in UTF-8"):
        Recipe.from_file(tmp_path / "wide.toml")
    (tmp_path / "bom.toml").write_bytes(b'\xef\xbb\xbf[light]\nmethod = "median"\n')
    assert Recipe.from_file(tmp_path / "bom.toml").light.method == "median"
