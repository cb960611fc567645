"""Alignment of every kind of WCS beside reproject and astropy: positions, values and masks.

python benchmarks/wcs_kinds.py [--size 256]

A noise image of each kind is aligned to a TAN grid at its centre, turned by 20 degrees, with pixels 1.1 times as large,
or to the grid that is named. "position" is the largest distance in pixels from the positions of astropy's WCS of the
whole header, over all pixels of the grid; "values" the largest difference from reproject_interp (noise 10, range about
80); "missing" and "more" count pixels that only reproject has, or only this package. What is refused is listed with its
message.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_interp
from timing import machine, machine_text, parser

import xccd

Cards = dict[str, Any]
SIDE = 1e-3  # degrees
TURN = {"1_1": 0.8, "1_2": 0.6, "2_1": -0.6, "2_2": 0.8}
PV = {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 2e-2, "PV1_7": 0.3, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_4": 1e-2, "PV2_7": -0.2}


def types(name: str, longitude: str = "RA--", latitude: str = "DEC-") -> Cards:
    return {"CTYPE1": f"{longitude}-{name}", "CTYPE2": f"{latitude}-{name}"}


def sip(size: int, pixels: float) -> Cards:
    """A distortion of some pixels in the corner."""
    factor = pixels / (size / 2) ** 2
    return {**types("TAN-SIP"), "A_ORDER": 2, "B_ORDER": 2, "A_2_0": factor, "B_0_2": -factor, "A_1_1": factor / 2}


def plain(size: int) -> Cards:
    return {
        **types("TAN"), "CRVAL1": 150.0, "CRVAL2": 20.0, "CRPIX1": size / 2 + 0.3, "CRPIX2": size / 2,
        "CDELT1": -SIDE, "CDELT2": SIDE, "NAXIS": 2, "NAXIS1": size, "NAXIS2": size,
    }  # fmt: skip


def without(cards: Cards, *keywords: str) -> Cards:
    return {k: v for k, v in cards.items() if k not in keywords}


def sky(name: str, size: int) -> Cards:
    """A grid of the whole sky."""
    side = 360 / size
    return {
        **types(name), "CRVAL1": 150.0, "CRVAL2": 0.0, "CRPIX1": size / 2 + 0.5, "CRPIX2": size / 4 + 0.5,
        "CDELT1": -side, "CDELT2": side, "NAXIS": 2, "NAXIS1": size, "NAXIS2": size // 2,
    }  # fmt: skip


def kinds(size: int) -> dict[str, tuple[Cards, Cards | None]]:
    """The cards of a frame, and of the grid if it is not made for the frame."""
    tan, wide = plain(size), {"CDELT1": -0.05, "CDELT2": 0.05}
    turned = {f"PC{k}": v for k, v in TURN.items()}
    frames: dict[str, Cards] = {
        "TAN": tan,
        "TAN turned": tan | turned,
        "TAN flipped": tan | {"CDELT1": SIDE},
        "CROTA2": tan | {"CROTA2": 33.0},
        "PC with a skew": tan | turned | {"PC1_2": 0.3},
        "CD": without(tan, "CDELT1", "CDELT2") | {f"CD{k}": v * SIDE for k, v in TURN.items()},
        "Dec first": tan | types("TAN", "DEC-", "RA--") | {"CRVAL1": 20.0, "CRVAL2": 150.0},
        "arcsec": tan | {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CRVAL1": 540000.0, "CRVAL2": 72000.0}
        | {"CDELT1": -3600 * SIDE, "CDELT2": 3600 * SIDE},
        "CRPIX 1e5 away": tan | {"CRPIX1": 1e5, "CDELT1": -1e-5, "CDELT2": 1e-5},
        "across RA 0": tan | {"CRVAL1": 359.99},
        "at the pole": tan | {"CRVAL2": 89.99},
        "pixels 5 times smaller": tan | {"CDELT1": -SIDE / 5, "CDELT2": SIDE / 5},
        "LONPOLE": tan | {"LONPOLE": 150.0},
        "FK5": tan | {"RADESYS": "FK5"},
        "FK5 J1975": tan | {"EQUINOX": 1975.0},
        "FK4 B1950": tan | {"EQUINOX": 1950.0},
        "galactic": tan | types("TAN", "GLON", "GLAT"),
        "EPOCH = 1950": tan | {"EPOCH": 1950.0},
        "PC001001": tan | {f"PC00{k[0]}00{k[2]}": v for k, v in TURN.items()},
        "PC01_01": tan | {f"PC0{k[0]}_0{k[2]}": v for k, v in TURN.items()},
        "CD001001": without(tan, "CDELT1", "CDELT2") | {f"CD00{k[0]}00{k[2]}": v * SIDE for k, v in TURN.items()},
        "CD01_01": without(tan, "CDELT1", "CDELT2") | {f"CD0{k[0]}_0{k[2]}": v * SIDE for k, v in TURN.items()},
        "PROJPn": tan | types("ZPN") | {"PROJP1": 1.0, "PROJP3": 40.0},
        "SIP 0.1 px": tan | sip(size, 0.1),
        "SIP 15 px": tan | sip(size, 15.0),
        "SIP without its name": tan | sip(size, 5.0) | types("TAN"),
        "TPV": tan | types("TPV") | PV,
        "SCAMP's TAN with PV": tan | PV,
        "PTF: TAN-SIP with PV": tan | sip(size, 5.0) | PV,
        "ZTF: TPV with SIP": tan | sip(size, 5.0) | types("TPV") | PV,
        "ZPN": tan | types("ZPN") | {"PV2_1": 1.0, "PV2_3": 40.0},
        "SIN with slant": tan | types("SIN") | {"PV2_1": 0.1, "PV2_2": -0.05},
        "COE": tan | wide | types("COE") | {"PV2_1": 25.0, "PV2_2": 10.0},
        "COP": tan | wide | types("COP") | {"PV2_1": 25.0, "PV2_2": 10.0},
        "CAR, oblique": tan | types("CAR"),
        "CAR, CRPIX far": tan | types("CAR") | {"CRVAL2": 0.0, "CRPIX2": -15000.0},
        "LATPOLE": tan | types("CAR") | {"CRVAL2": 30.0, "LATPOLE": -60.0},
        "100 degrees of TAN": tan | {"CDELT1": -100 / size, "CDELT2": 100 / size},
        "fisheye (ARC)": tan | types("ARC") | {"CDELT1": -170 / size, "CDELT2": 170 / size, "CRVAL2": 80.0},
    }  # fmt: skip
    frames |= {name: tan | types(name) for name in ("SIN", "ZEA", "ARC", "STG", "AIR")}
    frames |= {name: tan | wide | types(name) | {"CRVAL2": 0.0} for name in ("SFL", "MER", "AIT", "MOL", "CEA", "PAR")}
    found: dict[str, tuple[Cards, Cards | None]] = {name: (cards, None) for name, cards in frames.items()}
    wide_tan = tan | {"CDELT1": -30 / size, "CDELT2": 30 / size}
    found |= {f"TAN to {name} of the sky": (wide_tan, sky(name, size)) for name in ("AIT", "MOL", "HPX", "QSC", "TSC")}
    found |= {f"{name} of the sky to TAN": (sky(name, size), wide_tan | {"CRVAL1": 330.0}) for name in ("CAR", "AIT")}
    return found


REFUSED: dict[str, Cards] = {
    "ecliptic": types("TAN", "ELON", "ELAT"),
    "a plate of the DSS": {"AMDX1": 67.2, "AMDY1": 67.2},
    "a third axis mixed in": {"NAXIS": 3, "NAXIS3": 2, "PC1_3": 0.1},
    "two spellings that differ": {"PC1_1": 0.7, "PC001001": 0.9},
    "singular": {"PC1_1": 0.0},
    "no celestial axes": types("", "WAVE", "FREQ"),
    "tables without their file": {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1"},
}


def header_of(cards: Cards) -> fits.Header:
    return fits.Header(cards)


def target_of(cards: Cards) -> xccd.Grid:
    """A turned TAN grid at the centre of a frame, with its celestial system in ICRS."""
    own = xccd.Grid.of(cards)
    centre, side, size = SkyCoord(*own.center, unit="deg", frame=own.frame).icrs, own.pixel_size * 1.1, own.shape[1]
    cosine, sine = np.cos(np.radians(20)), np.sin(np.radians(20))
    matrix = {"CD1_1": -side * cosine, "CD1_2": side * sine, "CD2_1": side * sine, "CD2_2": side * cosine}
    at = {"CRVAL1": centre.ra.deg, "CRVAL2": centre.dec.deg, "CRPIX1": size / 2, "CRPIX2": size / 2}
    return xccd.Grid.of(types("TAN") | at | matrix, shape=(size, size))


def compared(cards: Cards, to: xccd.Grid, values: np.ndarray) -> tuple[float, float, int, int]:
    """Largest distance, largest difference, pixels missing and pixels more."""
    from xccd.sky.pixel_map import pixel_map

    whole, rows, columns = WCS(fits.Header(cards)), *to.shape
    y, x = np.mgrid[:rows, :columns]
    with np.errstate(all="ignore"):
        true = np.stack(whole.world_to_pixel(to.wcs.pixel_to_world(x, y)))
    inside = (true[0] > 0) & (true[0] < values.shape[1] - 1) & (true[1] > 0) & (true[1] < values.shape[0] - 1)
    one = pixel_map(xccd.Grid.of(cards), to)
    top, bottom, left, right = one.box
    found = np.full((2, rows, columns), np.nan)
    if one.shift is None and top < bottom:
        found[:, top:bottom, left:right] = one.positions(top, bottom)
    off = np.hypot(*(found - true))[inside]
    stack = xccd.open_stack([(values, {k: v for k, v in cards.items() if not k.startswith("NAXIS")})])
    ours = stack.ccd.align(to)[0].values
    theirs, share = reproject_interp((values, whole), to.wcs, shape_out=to.shape, roundtrip_coords=False)
    theirs[share < 0.5] = np.nan
    both = np.isfinite(ours) & np.isfinite(theirs) & inside
    return (
        float(np.nanmax(off)) if off.size and np.isfinite(off).all() else np.inf,
        float(np.abs(ours - theirs)[both].max()),
        int((np.isfinite(theirs) & ~np.isfinite(ours) & inside).sum()),
        int((np.isfinite(ours) & ~np.isfinite(theirs) & inside).sum()),
    )  # fmt: skip


def main() -> None:
    options = parser(__doc__).parse_args()
    size = options.size if options.size < 2048 else 256
    print(machine_text(machine()))
    print(f"\n| {'kind':<30} | position | values | missing | more |\n| --- | ---: | ---: | ---: | ---: |")
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (cards, to) in kinds(size).items():
            values = rng.normal(100, 10, (cards["NAXIS2"], cards["NAXIS1"]))
            grid = target_of(cards) if to is None else xccd.Grid.of(to)
            off, differ, missing, more = compared(cards, grid, values)
            print(f"| {name:<30} | {off:8.1e} | {differ:.1e} | {missing:7d} | {more:4d} |")
        print("\n| refused | message |\n| --- | --- |")
        for name, more_cards in REFUSED.items():
            try:
                xccd.Grid.of(plain(size) | more_cards)
            except ValueError as error:
                print(f"| {name} | {error} |")
            else:
                print(f"| {name} | NOT REFUSED |")


if __name__ == "__main__":
    main()
