"""Colours of raw frames, beside colour-demosaicing and OpenCV where they are installed: times, and that results agree.

python benchmarks/debayer.py [--size 2048] [--repeats 5]

Processor time of one thread, the best of the runs, in ns for each sample of the frame; peers take turns with ours.
colour-demosaicing takes floats without missing samples. OpenCV takes integers: 16 bits for its bilinear, and 8 for VNG.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import machine, machine_text, parser

import xccd

INNER = (slice(None), slice(4, -4), slice(4, -4))  # at edges each does something else
ROW = "{:<34}{:>10}{:>16}{:>16}"


def ours(image: Any, method: str) -> Callable[[], Any]:
    stack = xccd.open_stack([(image, {"BAYERPAT": "RGGB"})]).load()
    return lambda: stack.ccd.debayer(method)[0].values


def peers(image: Any) -> dict[tuple[str, str], Callable[[], Any]]:
    """Functions by our method and their names; none for what is not installed."""
    found: dict[tuple[str, str], Callable[[], Any]] = {}
    try:
        import cv2

        cv2.setNumThreads(1)
        wide, narrow = image.astype(np.uint16), image.astype(np.uint8)
        found["bilinear", "OpenCV, 16 bits"] = lambda: cv2.cvtColor(wide, cv2.COLOR_BayerRGGB2RGB)
        found["vng", "OpenCV, 8 bits"] = lambda: cv2.cvtColor(narrow, cv2.COLOR_BayerRGGB2RGB_VNG)
    except ImportError:
        print("OpenCV is not installed: pip install opencv-python-headless")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from colour_demosaicing import demosaicing_CFA_Bayer_bilinear as bilinear
            from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007 as menon
        found["bilinear", "colour-demosaicing"] = lambda: bilinear(image, "RGGB")
        found["vng", "colour-demosaicing, Menon 2007"] = lambda: menon(image, "RGGB")
    except ImportError:
        print("colour-demosaicing is not installed: pip install colour-demosaicing")
    return found


def best(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """The least processor time of each call, in turns."""
    for call in calls:
        call()
    times = [[] for _ in calls]  # type: list[list[float]]
    for _ in range(repeats):
        for call, some in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            some.append(time.process_time() - start)
    return [min(some) for some in times]


def main() -> None:
    given = parser(__doc__, size=2048).parse_args()
    y, x = np.ogrid[: given.size, : given.size]  # smooth, so that all choose the same directions
    image = np.rint(120 + 60 * np.sin(x / 37) + 50 * np.cos(y / 29)).astype(np.float32)
    print(machine_text(machine()))
    print(ROW.format("", "ns each", "ours is", "largest diff."))
    others = peers(image)
    with xccd.set_options(threads=1):
        for method in ("superpixel", "bilinear", "vng"):
            call = ours(image, method)
            (alone,) = best([call], given.repeats)
            print(ROW.format(f"xccd, {method}", f"{1e9 * alone / image.size:.2f}", "", ""))
            for (of, name), peer in others.items():
                if of == method:
                    mine, theirs = best([call, peer], 2 if "Menon" in name else given.repeats)
                    off = np.abs(np.moveaxis(np.asarray(peer(), float), -1, 0)[INNER] - call()[INNER]).max()
                    shown = "another method" if "Menon" in name else f"{off:.2g}"
                    print(ROW.format(name, f"{1e9 * theirs / image.size:.2f}", f"{theirs / mine:.2f} x faster", shown))


if __name__ == "__main__":
    main()
