"""What an extension of uncertainties holds, standard deviations or variances: never guessed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, UnknownUncertainty, VarianceUncertainty
from hypothesis import given
from hypothesis import strategies as st

import xccd
from fits_files import head, line, raw, structure
from xccd.headers.uncertainties import BY_NAME, NAMES, type_of, unit_of

SHAPE = (2, 3)
TYPES = {
    "std": ["UNCERT", "UNCERTAINTY", "ERR", "ERROR", "ERRORS", "SIGMA", "STD", "STDEV", "STDDEV", "STD_DEV"],
    "var": ["VAR", "VARIANCE"],
    "ivar": ["IVAR", "INVVAR", "INV_VAR", "INVVARIANCE", "INVERSE_VARIANCE", "INVERSEVARIANCE"],
}
KIND_OF = {name: kind for kind, names in TYPES.items() for name in names}
CLASSES = {"std": StdDevUncertainty, "var": VarianceUncertainty, "ivar": InverseVariance}


def written(path: Path, name: str, kind: Any = fits.ImageHDU, unit: str = "", **cards: Any) -> Path:
    """A file with an extension of this name."""
    first = fits.PrimaryHDU(np.ones(SHAPE, "f4"))
    if unit:
        first.header["BUNIT"] = unit
    beside = kind(np.full(SHAPE, 9.0, "f4"), name=name)
    beside.header.update(cards)
    fits.HDUList([first, beside]).writeto(path, overwrite=True)
    return path


@contextmanager
def opened_as(form: str, path: Path) -> Iterator[Any]:
    if form == "file":
        yield path
    else:
        with fits.open(path, memmap=False) as hdus:
            yield hdus


def kind_of(files: Any, **options: Any) -> str:
    return str(xccd.open_dataset(files, **options).data_uncertainty.attrs["uncertainty_type"])


@pytest.mark.parametrize("form", ["file", "HDUList"])
@pytest.mark.parametrize("compressed", [fits.ImageHDU, fits.CompImageHDU], ids=["plain", "fz"])
def test_a_name_tells_however_it_is_asked_for(tmp_path: Path, form: str, compressed: Any) -> None:
    for name in KIND_OF if form == "file" and compressed is fits.ImageHDU else ("ERR", "VARIANCE", "INV_VAR"):
        with opened_as(form, written(tmp_path / "a.fits", name.lower(), compressed)) as source:
            for asked in (name.title(), (name, 1), 1, ["NONE", name], "UNCERT"):
                assert kind_of(source, uncertainty_hdu=asked) == KIND_OF[name], (name, asked)


def test_the_table_is_that_of_the_tests() -> None:
    assert set(NAMES) == set(KIND_OF)
    assert set(BY_NAME) == {name.replace("_", "") for name in KIND_OF}


@pytest.mark.parametrize("name", ["ERR_2", "ERR2", "Inverse Variance", "std-dev", "IVAR 3"])
def test_marks_and_numbers_in_a_name_do_not_matter(tmp_path: Path, name: str) -> None:
    kind = {"E": "std", "I": "ivar", "s": "std"}[name[0]]
    assert kind_of(written(tmp_path / "a.fits", name), uncertainty_hdu=name) == kind


@pytest.mark.parametrize("form", ["file", "HDUList"])
@pytest.mark.parametrize("name", ["WHT", "WEIGHT", "VAR_POISSON", "NOISE", "LOGVAR", "STDFLUX", ""])
def test_other_names_do_not(tmp_path: Path, form: str, name: str) -> None:
    with opened_as(form, written(tmp_path / "a.fits", name)) as source:
        says = rf"its name '{name}' does" if name else "its header does"
        for asked in [1, *([name, (name, 1), name.lower()] if name else [])]:
            message = rf"a\.fits: the extension 1 .*: {says} not say what it holds: uncertainty_type= says which of"
            with pytest.raises(ValueError, match=message):
                xccd.open_dataset(source, uncertainty_hdu=asked)
            for kind in TYPES:
                assert kind_of(source, uncertainty_hdu=asked, uncertainty_type=kind) == kind
        assert "data_uncertainty" not in xccd.open_dataset(source)


@pytest.mark.parametrize("form", ["file", "HDUList"])
@pytest.mark.parametrize("kind", TYPES)
def test_utype_wins_over_the_name_and_is_not_contradicted(tmp_path: Path, form: str, kind: str) -> None:
    for name in ("ERR", "VAR", "IVAR", "WHT", "FOO"):
        for utype in (CLASSES[kind].__name__, CLASSES[kind].__name__.upper(), f" {kind} "):
            with opened_as(form, written(tmp_path / "a.fits", name, UTYPE=utype)) as source:
                assert kind_of(source, uncertainty_hdu=name) == kind
                assert kind_of(source, uncertainty_hdu=1, uncertainty_type=kind) == kind
                for other in TYPES.keys() - {kind}:
                    message = rf"a\.fits: .*UTYPE = .* says '{kind}', not uncertainty_type='{other}'"
                    with pytest.raises(ValueError, match=message):
                        xccd.open_dataset(source, uncertainty_hdu=1, uncertainty_type=other)


def test_utypes_that_do_not_tell(tmp_path: Path) -> None:
    unknown = written(tmp_path / "a.fits", "UNCERT", UTYPE="UnknownUncertainty")
    with pytest.raises(ValueError, match=r"a\.fits: .*its UTYPE = 'UnknownUncertainty' does not say what it holds"):
        xccd.open_dataset(unknown)
    assert kind_of(unknown, uncertainty_type="var") == "var"
    assert kind_of(written(tmp_path / "b.fits", "VAR", UTYPE="spec:Data.FluxAxis.Accuracy")) == "var"


def test_the_user_knows_better_than_a_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fits", "ERR")
    assert kind_of(path, uncertainty_type="var") == "var"
    ds = xr.open_dataset(path, engine="xccd", uncertainty_type="ivar")
    assert ds.data_uncertainty.attrs["uncertainty_type"] == "ivar"


@pytest.mark.parametrize("told", ["variance", "STD", 2, ["var"]])
def test_types_that_are_none(tmp_path: Path, told: Any) -> None:
    with pytest.raises(ValueError, match=r"uncertainty_type=.* is unknown: use one of std, var, ivar"):
        xccd.open_dataset(written(tmp_path / "a.fits", "ERR"), uncertainty_type=told)
    with pytest.raises(ValueError, match=r"uncertainty_type='var' goes with an extension: uncertainty_hdu=None"):
        xccd.open_dataset(written(tmp_path / "a.fits", "ERR"), uncertainty_hdu=None, uncertainty_type="var")


def test_ccddata_knows_its_type() -> None:
    for kind, of in CLASSES.items():
        ccd = CCDData(np.ones(SHAPE), unit="adu", uncertainty=of(np.ones(SHAPE)))
        ds = xccd.open_dataset(ccd)
        assert ds.data_uncertainty.attrs["uncertainty_type"] == kind
        assert u.Unit(ds.data_uncertainty.attrs["units"]) == u.adu ** {"std": 1, "var": 2, "ivar": -2}[kind]
        assert kind_of(ccd, uncertainty_type=kind) == kind
        other = "var" if kind == "std" else "std"
        with pytest.raises(ValueError, match=rf"CCDData whose uncertainty is '{kind}', not uncertainty_type='{other}'"):
            xccd.open_dataset(ccd, uncertainty_type=other)
    unknown = CCDData(np.ones(SHAPE), unit="adu", uncertainty=UnknownUncertainty(np.ones(SHAPE)))
    assert kind_of(unknown, uncertainty_type="std") == "std"
    scaled = CCDData(np.ones(SHAPE), unit="Jy", uncertainty=StdDevUncertainty(np.ones(SHAPE), unit="mJy"))
    with pytest.raises(ValueError, match=r"CCDData: its uncertainty: it is in 'mJy', the image in 'Jy'"):
        xccd.open_dataset(scaled)


@pytest.mark.parametrize("form", ["file", "HDUList"])
@pytest.mark.parametrize(
    ("name", "data", "own", "units"),
    [
        ("ERR", "adu", "", "adu"),
        ("ERR", "adu", "adu", "adu"),
        ("ERR", "ADU", "adu", "adu"),
        ("ERR", "counts", "counts", "counts"),
        ("ERR", "", "adu", "adu"),
        ("VAR", "adu", "", None),
        ("IVAR", "adu", "", None),
        ("VAR", "", "adu**2", "adu**2"),
        ("VAR", "adu", "adu2", "adu2"),
        ("VAR", "adu", "ADU^2", "ADU^2"),
        ("VAR", "electron", "electron*electron", "electron*electron"),
        ("VAR", "counts", "counts^2", "counts^2"),
        ("IVAR", "adu", "1/adu2", "1/adu2"),
        ("IVAR", "nJy", "nJy**(-2)", "nJy**(-2)"),
        ("ERR", "counts", "weird", "weird"),  # of which nothing is known
    ],
)
def test_the_unit_is_its_own_or_that_of_the_data(
    tmp_path: Path, form: str, name: str, data: str, own: str, units: str | None
) -> None:
    path = written(tmp_path / "a.fits", name, unit=data, **({"BUNIT": own} if own else {}))
    with opened_as(form, path) as source:
        assert xccd.open_dataset(source).data_uncertainty.attrs.get("units") == units


@pytest.mark.parametrize(
    ("name", "data", "own"),
    [
        ("ERR", "adu", "adu2"),
        ("ERR", "counts", "counts**2"),
        ("VAR", "adu", "adu"),
        ("VAR", "counts", "COUNTS"),
        ("VARIANCE", "nJy", "1/nJy2"),
        ("IVAR", "adu", "adu2"),
        ("ERR", "adu", "electron"),
    ],
)
def test_a_unit_that_contradicts_the_type(tmp_path: Path, name: str, data: str, own: str) -> None:
    path = written(tmp_path / "a.fits", name, unit=data, BUNIT=own)
    message = rf"a\.fits: .*BUNIT = '.*' contradicts that it holds '{KIND_OF[name]}' of an image in '{data}'"
    with pytest.raises(ValueError, match=message):
        xccd.open_dataset(path)
    ds = xccd.open_dataset(path, uncertainty_type=KIND_OF[name])  # the word of the user; then the unit is no good
    assert "units" not in ds.data_uncertainty.attrs
    assert "data_uncertainty" not in xccd.open_dataset(path, uncertainty_hdu=None)


def test_a_unit_of_another_scale(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fits", "ERR", unit="Jy", BUNIT="mJy")
    for told in (None, "std"):
        with pytest.raises(ValueError, match=r"it is in 'mJy', the image in 'Jy', and 'std' would be in 'Jy': bring"):
            xccd.open_dataset(path, uncertainty_type=told)


def test_frames_that_differ_in_the_unit(tmp_path: Path) -> None:
    units = [("adu", ""), ("", ""), ("adu", "adu")]
    files = [
        written(tmp_path / f"{i}.fits", "ERR", unit=a, **({"BUNIT": b} if b else {})) for i, (a, b) in enumerate(units)
    ]
    assert "units" not in xccd.open_dataset(files).data_uncertainty.attrs
    assert xccd.open_dataset(files[::2]).data_uncertainty.attrs["units"] == "adu"


def test_errors_of_one_number(tmp_path: Path) -> None:
    beside = head([*structure(-32, first="XTENSION= 'IMAGE   '"), line("PCOUNT", 0), line("GCOUNT", 1),
                   "EXTNAME = 'ERR     '", line("NPIX1", 3), line("NPIX2", 2), line("PIXVALUE", 2.5)])  # fmt: skip
    path = raw(tmp_path / "a.fits", np.ones(SHAPE, "f4"))
    with open(path, "ab") as file:
        file.write(beside)
    with fits.open(path) as lazy, fits.HDUList.fromstring(path.read_bytes()) as loaded:
        for source in (path, lazy, loaded):
            assert (xccd.open_dataset(source).data_uncertainty == 2.5).all()


NAME = st.text("ERSTDVAIUNC_ -WH0123", max_size=12) | st.sampled_from(sorted(KIND_OF)).map(lambda name: f"{name}_1")


@given(NAME, st.sampled_from([None, "std", "var", "ivar"]))
def test_no_name_is_guessed(name: str, told: str | None) -> None:
    """Of any name the type is that of the table, or what the user said, or an error."""
    known = {k.replace("_", ""): v for k, v in KIND_OF.items()}
    plain = "".join(c for c in name.rstrip("0123456789_ -").upper() if c not in "_ -")
    expected = told or known.get(plain)
    if expected:
        assert type_of("a.fits", name, None, told) == expected
    else:
        with pytest.raises(ValueError, match=r"a\.fits: its (name .*|header) does not say what it holds"):
            type_of("a.fits", name, None, told)


@given(st.sampled_from(["adu", "Jy", "counts", "DN/s"]), st.integers(-3, 3), st.sampled_from(["std", "var", "ivar"]))
def test_a_power_of_the_unit_is_that_of_the_type_or_refused(unit: str, power: int, kind: str) -> None:
    own = f"({unit})**{power}"
    if power == {"std": 1, "var": 2, "ivar": -2}[kind]:
        assert unit_of("a.fits", own, unit, kind, None) == own
    else:
        with pytest.raises(ValueError, match="contradicts"):
            unit_of("a.fits", own, unit, kind, None)
