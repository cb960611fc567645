"""Each combination and each clip with both engines, for pytest-benchmark to store and compare.

python -m pytest benchmarks/regressions.py --benchmark-json=out.json
python benchmarks/regressions.py [--frames 25] [--size 128] [--repeats 5] [options of pytest]

XCCD_BENCHMARK="FRAMES SIZE REPEATS" sets for the first call what the options set for the second.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from chains import CLIPS, COMBINATIONS, ENDS, clip, combination, samples, weights, with_holes
from timing import Job, parser

import xccd

VARIABLE = "XCCD_BENCHMARK"
FRAMES, SIZE, REPEATS = map(int, os.environ.get(VARIABLE, "25 128 5").split())
DATA: dict[str, Any] = {"float32": lambda x: x, "5 % NaN": with_holes, "uint16": lambda x: x.round().astype("u2")}


@pytest.fixture(scope="module", params=DATA)
def stack(request: Any) -> Any:
    return DATA[request.param](samples(FRAMES, SIZE))


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    with xccd.set_options(threads=1):
        yield


def keep(benchmark: Any, job: Job) -> None:
    """Check a job's result, then let pytest-benchmark time it."""
    job.check()
    benchmark.extra_info["samples"] = job.samples
    benchmark.pedantic(job.ours, rounds=REPEATS, warmup_rounds=1)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("name", COMBINATIONS)
def test_combination(benchmark: Any, stack: Any, name: str, engine: str) -> None:
    keep(benchmark, combination(name, stack, weights(FRAMES), engine=engine))


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", CLIPS)
def test_clip(benchmark: Any, stack: Any, name: str, end: str, engine: str) -> None:
    keep(benchmark, clip(name, end, stack, engine=engine))


if __name__ == "__main__":
    args, others = parser(__doc__, size=128).parse_known_args()
    os.environ[VARIABLE] = f"{args.frames} {args.size} {args.repeats}"
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider", *others]))
