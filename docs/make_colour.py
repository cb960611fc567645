"""Draw the picture of docs/colour.md, by the example: python docs/make_colour.py."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
from astropy.visualization import make_lupton_rgb
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
PART = slice(40, 250)


def picture(image: Any) -> Any:
    """Red, green and blue above the sky, as Lupton et al. (2004) show them."""
    sky = np.nanmedian(image, axis=(1, 2))[:, None, None]
    red, green, blue = np.nan_to_num(image - sky)
    return make_lupton_rgb(red, green, blue, minimum=-15, stretch=150, Q=6)


def main() -> None:
    """A raw light beside the product."""
    names = runpy.run_path(str(HERE.parent / "examples/colour_night.py"))
    raw = names["lights"][0].values[PART, PART]
    image = names["image"].values[:, PART, PART]
    low, high = np.nanpercentile(raw, [1, 99.5])
    figure = Figure(figsize=(10, 5.2), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(raw, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    left.set_title("one light, calibrated")
    right.imshow(picture(image), origin="lower", interpolation="nearest")
    right.set_title("debayered, registered, clipped, combined")
    for axes in (left, right):
        axes.axis("off")
    figure.savefig(HERE / "_static/colour.png", dpi=90)


if __name__ == "__main__":
    main()
