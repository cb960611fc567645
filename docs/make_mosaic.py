"""Draw the picture of docs/alignment.md, by its own code blocks: python docs/make_mosaic.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

from xccd.sky import footprint

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the page up to the mosaic, and show a light, the mosaic and the weights."""
    page = (HERE / "alignment.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:3]
    names: dict[str, Any] = {}
    for block in blocks:
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        exec("\n".join(lines), names)
    weight = footprint.weights("feather", names["aligned"]).compute().sum(0)
    figure = Figure(figsize=(10, 3), facecolor="white", layout="constrained")
    pictures = {"a light": names["lights"][6].values, "the mosaic": names["mosaic"].values, "weights": weight}
    for axes, (title, image) in zip(figure.subplots(1, 3), pictures.items(), strict=True):
        least, most = (0, 12) if title == "weights" else ZScaleInterval().get_limits(image[np.isfinite(image)])
        axes.imshow(image, origin="lower", cmap="gray", vmin=least, vmax=most)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / "_static/mosaic.png", dpi=110)


if __name__ == "__main__":
    main()
