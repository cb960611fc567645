"""Time clips and combinations beside the peers: one run, the same arrays, alternating, medians of the repeats.

python benchmarks/compare.py [--frames 25] [--size 1024] [--repeats 5] [--threads 1] [--json FILE] [--plots FOLDER]

Every result is checked before it is timed. Jobs with another count of frames have the same count of samples; the
accessor gets frames of four times the pixels. ``--threads`` is for xccd only: the peers use one. Goals are judged by
the ratio of the medians. The ratio "of min" differs from it if other work disturbed the run.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from statistics import median
from typing import Any

from chains import COMBINATIONS, combination, samples, weights
from jobs import rows
from plots import curves, draw_curves, draw_ratios
from timing import Goal, Job, machine, machine_text, parser

import xccd

ROW = "{:<30}{:>9}{:>9}{:>9}  {:<32}{:>9}{:>17}{:>8}{:>8}  {:<4} {}"
ROW_HEAD = ("job, times in ms", "xccd", "min", "max", "beside", "median", "ratio", "of min", "goal", "", "bound by")
COMBINATION = "{:<30}{:>9}{:>9}{:>9}  {:<32}{:>9}{:>9}{:>9}{:>9}"
COMBINATION_HEAD = ("every combination, ms", "xccd", "min", "max", "beside", "median", "ns", "its ns", "ratio")


def measure(job: Job, repeats: int) -> dict[str, Any]:
    """The times of a job and their ratio, or what is wrong with its result."""
    found: dict[str, Any] = {"name": job.name, "peer": job.peer, "bound by": job.bound, "samples": job.samples}
    try:
        job.check()
    except Exception as error:  # the other rows still run
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return found | {"wrong": " ".join([type(error).__name__, *lines[:5]])}
    ours, theirs = job.time(repeats)
    found |= {"seconds": ours, "peer seconds": theirs, "ns a sample": 1e9 * median(ours) / job.samples}
    if theirs:
        found["peer ns a sample"] = 1e9 * median(theirs) / job.samples
    if job.goal:
        value, of_min = (job.goal.value(f(ours), f(theirs or [0.0]), job.samples) for f in (median, min))
        found |= {"goal": job.goal._asdict(), "value": value, "of min": of_min, "reached": job.goal.reached(value)}
    return found


def cells(found: dict[str, Any]) -> list[str]:
    """The first lines of both tables."""
    ours, theirs = (found[key] for key in ("seconds", "peer seconds"))
    times = [median(ours), min(ours), max(ours)]
    return [
        found["name"],
        *(f"{1e3 * v:.2f}" for v in times),
        found["peer"],
        f"{1e3 * median(theirs):.2f}" if theirs else "-",
    ]


def row_text(found: dict[str, Any]) -> str:
    goal = Goal(**found["goal"])
    number = f"{'>=' if goal.kind == 'faster' else '<='} {goal.number:g}"
    numbers = (goal.text(found["value"]), f"{found['of min']:.2f}", number, "yes" if found["reached"] else "NO")
    return ROW.format(*cells(found), *numbers, found["bound by"])


def combination_text(found: dict[str, Any]) -> str:
    ours, theirs = found["ns a sample"], found.get("peer ns a sample")
    numbers = (f"{ours:.2f}", *((f"{theirs:.2f}", f"{theirs / ours:.1f}") if theirs else "--"))
    return COMBINATION.format(*cells(found), *numbers)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, with versions")
    options.add_argument("--plots", type=Path, metavar="FOLDER", help="draw time against frames, and ratios")
    args = options.parse_args()
    warnings.simplefilter("ignore")
    about = machine()
    what = f"{args.frames} x {args.size} x {args.size} float32, {args.threads} thread(s), medians of {args.repeats}"
    print(
        machine_text(about), f"{what}; goals are for 25 x 1024 x 1024 on 1 thread", "", ROW.format(*ROW_HEAD), sep="\n"
    )
    report: dict[str, Any] = {
        "machine": about,
        "arguments": {k: v for k, v in vars(args).items() if isinstance(v, int)},
    }
    wrong: list[str] = []

    def table(jobs: Any, text: Any) -> list[dict[str, Any]]:
        done = []
        for job in jobs:
            found = measure(job, args.repeats)
            if "wrong" in found:
                wrong.append(f"{found['name']}, {found['peer']}: {found['wrong']}")
            print(wrong[-1] if "wrong" in found else text(found), flush=True)
            done.append(found)
        return done

    with xccd.set_options(threads=args.threads):
        report["jobs"] = table(rows(args.frames, args.size, args.threads), row_text)
        x, w = samples(args.frames, args.size), weights(args.frames)
        print("", COMBINATION.format(*COMBINATION_HEAD), sep="\n")
        every = (combination(name, x, w, args.threads) for name in COMBINATIONS)
        report["combinations"] = table(every, combination_text)
        if args.plots:
            report["curves"] = curves(x, args.repeats, args.threads)
            args.plots.mkdir(parents=True, exist_ok=True)
            draw_curves(report["curves"], f"{about['processor']}, {what}", args.plots / "frames.svg")
            draw_ratios(report["jobs"], f"{about['processor']}, {what}", args.plots / "ratios.svg")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    judged = [found["reached"] for found in report["jobs"] if "reached" in found]
    print(f"\n{sum(judged)} of {len(judged)} goals reached")
    if wrong:
        raise SystemExit("\n".join([f"{len(wrong)} job(s) with a wrong result:", *wrong]))


if __name__ == "__main__":
    main()
