"""All maps of a flagged stack beside its image alone, on dask, in processor time.

python benchmarks/maps.py [--frames 25] [--size 1024] [--repeats 9]

checks each image, then times both in alternation, with dask's single-threaded scheduler.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import dask
import numpy as np
import xarray as xr
from timing import Goal, parser

import xccd  # noqa: F401  (the accessor)

GOAL = Goal("at most", 1.5)
TILE = 256  # pixels along a side of a chunk, where there are several
DIMS = ("frame", "y", "x")
CLIPS: dict[str, dict[str, Any]] = {"until stable": {"center": "median", "maxiters": None}, "one pass": {}}


def flagged(frames: int, size: int, dtype: str, errors: bool, chunk: int) -> xr.Dataset:
    """Noise with one outlier in a thousand samples."""
    rng = np.random.default_rng(0)
    x = 1000 + 10 * rng.standard_normal((frames, size, size), np.float32)
    x.reshape(-1)[rng.integers(0, x.size, x.size // 1000)] += 5000
    chunks = {"frame": -1, "y": chunk, "x": chunk}
    stack = xr.DataArray(x.astype(dtype), dims=DIMS).chunk(chunks)
    stack = stack.assign_coords(EXPTIME=("frame", np.full(frames, 30.0)))
    sigma = xr.DataArray(10 + rng.random(x.shape, np.float32), dims=DIMS).chunk(chunks) if errors else None
    return stack.ccd.to_dataset(uncertainty=sigma)


def processor_seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    args = parser(__doc__).parse_args()
    warnings.simplefilter("ignore")
    dask.config.set(scheduler="single-threaded")
    print(f"{args.frames} x {args.size} x {args.size}, image alone and with all maps, goal {GOAL.text(GOAL.number)}")
    for dtype, errors, chunk in itertools.product(("float32", "uint16"), (False, True), (-1, TILE)):
        ds = flagged(args.frames, args.size, dtype, errors, chunk)
        for (clip, how), method in itertools.product(CLIPS.items(), ("mean", "median")):

            def image(ds: Any = ds, how: Any = how, method: str = method) -> Any:
                return ds.ccd.sigma_clip(3, 3, **how).ccd.combine(method, maps=[]).compute()

            def with_maps(ds: Any = ds, how: Any = how, method: str = method) -> Any:
                return ds.ccd.sigma_clip(3, 3, **how).ccd.combine_with_maps(method).compute()

            np.testing.assert_array_equal(image()["data"], with_maps()["data"])
            times = [(processor_seconds(image), processor_seconds(with_maps)) for _ in range(args.repeats)]
            ours, alone = median(t[1] for t in times), median(t[0] for t in times)
            value = GOAL.value(ours, alone, 1)
            name = f"{dtype}{', errors' if errors else ''}, {'one chunk' if chunk < 0 else 'chunks'}, {clip}, {method}"
            verdict = "reached" if GOAL.reached(value) else "missed"
            print(f"  {name:<52}{1e3 * alone:8.1f} ms{1e3 * ours:8.1f} ms {GOAL.text(value)} {verdict}", flush=True)


if __name__ == "__main__":
    main()
