"""Draw the star of docs/alignment.md, by its own code block: python docs/make_drizzle.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import xccd

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the first block of the section on drizzle, and show both means and the weights."""
    section = (HERE / "alignment.md").read_text("utf-8").partition("\n## Drizzle\n")[2]
    block = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    names: dict[str, Any] = {"np": np, "xccd": xccd}
    exec("\n".join(line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))), names)
    aligned = names["dithered"].ccd.align(names["fine"], method="drizzle", pixfrac=0.5)
    top = float(names["drizzled"].max())
    pictures = {
        f"bilinear, width {names['width'](names['interpolated'])}": (names["interpolated"], top),
        f"drizzled, width {names['width'](names['drizzled'])}": (names["drizzled"], top),
        "weights": (aligned.drizzle_weight.sum("frame"), None),
    }
    figure = Figure(figsize=(10, 3.4), facecolor="white", layout="constrained")
    for axes, (title, (image, most)) in zip(figure.subplots(1, 3), pictures.items(), strict=True):
        axes.imshow(image[9:40, 9:40], origin="lower", cmap="gray", vmin=0, vmax=most)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / "_static/drizzle.png", dpi=110)


if __name__ == "__main__":
    main()
