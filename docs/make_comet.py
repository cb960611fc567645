"""Draw the picture of docs/moving_objects.md, by the example: python docs/make_comet.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Show the product on the stars beside that on the comet."""
    names = runpy.run_path(str(HERE.parent / "examples/comet.py"))
    images = {"on the stars": names["on_stars"].values, "on the comet": names["on_comet"].values}
    values = images["on the stars"]
    least, most = ZScaleInterval().get_limits(values[np.isfinite(values)])
    figure = Figure(figsize=(10, 4.2), facecolor="white", layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, 2), images.items(), strict=True):
        axes.imshow(image, origin="lower", cmap="gray", vmin=least, vmax=least + 4 * (most - least))
        axes.plot(names["x"], names["y"], "o", mfc="none", mec="tab:orange", ms=26, mew=1.5)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / "_static/comet.png", dpi=100)


if __name__ == "__main__":
    main()
