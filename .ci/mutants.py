"""Mutation testing: a sign, a number or a word of the sources is changed, one at a time; a test should fail.

`python -m pip install cosmic-ray`, then `python .ci/mutants.py`; CONTRIBUTING.md has the rest. cosmic-ray makes the
changes, in a copy of the checkout. Here mutants are drawn, tests are chosen for each, and what survives is told. pytest
loads this file as a plugin.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import fcntl
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "src/xccd/verbs/clip.py", "src/xccd/verbs/combine.py", "src/xccd/kernels/compiled/window.py",
    "src/xccd/kernels/plain/clip.py", "src/xccd/write/*.py",
)  # fmt: skip
# Tests of other parts, or of processes in which no line is seen: they would take half an hour and more.
OTHERS = re.compile(
    r"align|canvas|cli\.|damage|drop_in|engines|first_page|footprint|grid|layout|kernel_(edges|groups|overlap|resample)"
    r"|memory|not_fits|offsets|odd_|overlap|peers|pixel_map|real_|remote|rows|shell|simulate|sky|tree\.|wcs|worker"
    r"|from_ccdproc|headers|kernel_s|kinds|mask_where|normalize|open|shown|sources|stack"
)
LEFT_OUT = (".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build", "dist")
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "mutants", "-p", "no:cacheprovider", "--tb=line"]
# Imported once, not for each mutant; pytest would say that it can rewrite no assertion of theirs any more.
PACKAGES = (
    "numpy", "xarray", "dask.array", "numba", "astropy.io.fits", "astropy.wcs", "pandas", "hypothesis.strategies",
    "zarr", "netCDF4", "scipy.special", "pytest_cov.plugin", "xdist.plugin", "pytest_timeout",
)  # fmt: skip
PRELOADED = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
SLOW = 10  # seconds: a slower test is not used
BATCH = 8  # files whose tests are measured together
FIRST = 20  # tests that are tried first, with no others collected
PATIENCE = 10  # times what tests took before
LEAST = 10  # seconds that any test gets, as another may have made its fixtures
START = 20  # seconds, of pytest
CRASHED = 70  # exit code of a process in which pytest itself failed
MEMORY = 8 << 30  # bytes that a process of tests may have


# As pytest's plugin


def pytest_configure(config: pytest.Config) -> None:
    """The NumPy engine unless a test asks for numba's, whose kernels run as plain Python."""
    import resource

    import xccd

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    xccd.set_options(engine="numpy")
    # compiled code does not warn of an overflow
    config.addinivalue_line("filterwarnings", "ignore::RuntimeWarning:xccd.kernels.compiled")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the tests that are collected those that were chosen, the fastest first."""
    if "MUTANTS_CHOSEN" not in os.environ:
        return
    chosen = json.loads(Path(os.environ["MUTANTS_CHOSEN"]).read_text())
    items[:] = sorted((item for item in items if item.nodeid in chosen), key=lambda item: chosen[item.nodeid])
    for item in items:
        item.add_marker(pytest.mark.timeout(max(LEAST, PATIENCE * chosen[item.nodeid]), method="thread"))


TIMES: dict[str, float] = defaultdict(float)
FAILED: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TIMES[report.nodeid] += report.duration
    if not report.passed:
        FAILED.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """The seconds of each test that passed."""
    if "MUTANTS_TIMES" in os.environ:
        passed = {name: seconds for name, seconds in TIMES.items() if name not in FAILED}
        Path(os.environ["MUTANTS_TIMES"]).write_text(json.dumps(passed))


# The copy


class Work:
    """A folder with a copy of the checkout, the mutants that were drawn, and which test runs which lines."""

    def __init__(self, folder: Path, longest: float) -> None:
        sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted((ROOT / "src").rglob("*.py"))))
        self.folder = folder / sources.hexdigest()[:12]  # other sources are another work
        self.copy, self.tmp = self.folder / "checkout", self.folder / "tmp"
        self.session, self.known = self.folder / "session.sqlite", self.folder / "tests.json"
        self.longest = longest  # seconds of tests for a mutant
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w")  # noqa: SIM115
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two at a time would test each other's mutants
        shutil.copytree(ROOT, self.copy, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
        data = ROOT.parent / "shared" / "data"
        if data.is_dir():
            shutil.copytree(data, self.folder / "shared" / "data", dirs_exist_ok=True)
        self.files = sorted(path for pattern in SOURCES for path in self.copy.glob(pattern))
        self.tests: dict[str, Any] = json.loads(self.known.read_text()) if self.known.exists() else {}
        os.chdir(self.copy)
        os.environ |= {
            "PYTHONPATH": os.pathsep.join(map(str, (self.copy / "src", self.copy / ".ci"))),
            "NUMBA_DISABLE_JIT": "1", "CI": "true", "TMPDIR": str(self.tmp),
        }  # fmt: skip
        self.empty_tmp()

    def empty_tmp(self) -> None:
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir()

    def measure(self) -> None:
        """Find which lines each test runs, in files of tests that are new or have changed."""
        tests = sorted((self.copy / "tests").glob("*.py"))
        helpers = b"".join(path.read_bytes() for path in tests if not path.name.startswith("test_"))
        own = [path for path in tests if path.name.startswith("test_") and not OTHERS.search(path.name)]
        digests = {
            str(path.relative_to(self.copy)): hashlib.sha256(path.read_bytes() + helpers).hexdigest()
            for path in [*own, *self.files]  # whose examples are tests, too
        }
        stale = [name for name, digest in digests.items() if self.tests.get(name, {}).get("digest") != digest]
        for i in range(0, len(stale), BATCH):
            some = stale[i : i + BATCH]
            print(f"{i} of {len(stale)} files of tests are measured; now {', '.join(some)}", flush=True)
            measured = self.measured(some)
            for name in some:
                passed = {test: found for test, found in measured.items() if test.partition("::")[0] == name}
                self.tests[name] = {"digest": digests[name], "tests": passed}
            self.known.write_text(json.dumps(self.tests))

    def measured(self, names: list[str]) -> dict[str, Any]:
        """Of each test that passes the seconds, and the lines that it runs."""
        config, times, data = (self.folder / name for name in ("coveragerc", "times.json", "coverage"))
        included = "".join(f"\n    {path}" for path in self.files)
        config.write_text(f"[run]\ndata_file = {data}\ninclude ={included}\n")
        cover = ["--cov", f"--cov-config={config}", "--cov-context=test", "--cov-report="]
        environ = os.environ | {"MUTANTS_TIMES": str(times)}
        times.unlink(missing_ok=True)
        subprocess.run([*PYTEST, *cover, f"--timeout={SLOW}", *names], env=environ)
        self.empty_tmp()
        lines = lines_of(data, self.files, self.copy)
        seconds = json.loads(times.read_text())
        return {test: {"seconds": seconds[test], "lines": lines[test]} for test in seconds if test in lines}

    def chosen(self, mutation: Any) -> dict[str, float]:
        """The tests that run a line of the mutant's statement, and their seconds."""
        file = str(Path(mutation.module_path).relative_to(self.copy))
        wanted = statement(ast.parse(Path(mutation.module_path).read_text()), mutation.start_pos[0])
        return {
            name: test["seconds"]
            for of in self.tests.values()
            for name, test in of["tests"].items()
            if not wanted.isdisjoint(test["lines"].get(file, ()))
        }


def lines_of(data: Path, files: list[Path], copy: Path) -> dict[str, dict[str, list[int]]]:
    """The lines that each test ran, by file."""
    from coverage import CoverageData

    found = CoverageData(str(data))
    found.read()
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        for line, contexts in found.contexts_by_lineno(str(path)).items():
            for test in {context.rpartition("|")[0] for context in contexts} - {""}:
                lines[test][str(path.relative_to(copy))].append(line)
    return lines


def statement(tree: ast.AST, line: int) -> set[int]:
    """The lines of the statement around a line; of one that runs at import, those of its function or file."""
    around = [  # outer ones come first
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.ExceptHandler) and first(node) <= line <= (node.end_lineno or 0)
    ]
    within = any(isinstance(node, ast.FunctionDef) and first(node.body[0]) <= line for node in around)
    if not around or not (within or isinstance(around[-1], ast.FunctionDef)):
        return set(range(1, 10000))
    node = around[-1]
    body = getattr(node, "body", None)
    if isinstance(node, ast.FunctionDef) or not body:
        return set(range(first(node), (node.end_lineno or 0) + 1))
    return set(range(first(node), max(first(node) + 1, first(body[0]))))


def first(node: Any) -> int:
    """The first line of a statement, with its decorators."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


# The mutants


def draw(items: Any, files: list[Path], number: int, seed: int) -> list[Any]:
    """Some mutants, each in another place, from each file in proportion to its lines."""
    rng = random.Random(seed)
    lines = {path: len(path.read_text().splitlines()) for path in files}
    shares = {path: number * size / sum(lines.values()) for path, size in lines.items()}
    quota = {path: int(share) for path, share in shares.items()}
    for path in sorted(shares, key=lambda path: quota[path] - shares[path])[: number - sum(quota.values())]:
        quota[path] += 1
    places: dict[Path, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        places[item.mutations[0].module_path][item.mutations[0].start_pos].append(item)
    drawn = []
    for path in files:
        idle = list(never_run(ast.parse(path.read_text())))
        order = sorted(place for place in places[path] if not any(a <= place < b for a, b in idle))
        rng.shuffle(order)
        some = (made for place in order if (made := one_of(places[path][place], path, rng)))
        drawn += [item for item, _ in zip(some, range(quota[path]), strict=False)]
    return drawn


def one_of(items: list[Any], path: Path, rng: random.Random) -> Any:
    """One of the mutants of a place that is Python at all."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    items = sorted(items, key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence))
    rng.shuffle(items)
    for item in items:
        mutation = item.mutations[0]
        operator = get_operator(mutation.operator_name)(**mutation.operator_args)
        with warnings.catch_warnings(), contextlib.suppress(SyntaxError):
            warnings.simplefilter("error")  # of a text that is compared by "is"
            compile(mutate_code(path.read_text(), operator, mutation.occurrence), str(path), "exec")
            return item
    return None


def never_run(tree: ast.AST) -> Iterator[tuple[Any, Any]]:
    """Where annotations are, and what only a type checker reads: from here to there, as (line, column)."""
    for node in ast.walk(tree):
        idle = [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            idle += node.body
        if isinstance(node, ast.FunctionDef) and any(getattr(d, "id", "") == "overload" for d in node.decorator_list):
            idle.append(node)
        for part in idle:
            if isinstance(part, ast.AST):
                yield (
                    (first(part), 0 if isinstance(part, ast.stmt) else part.col_offset),
                    (part.end_lineno, part.end_col_offset),
                )


def run_one(work: Work, item: Any) -> Any:
    """The result of a mutant: its tests run until one fails."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    mutation, total = item.mutations[0], 0.0
    tests = sorted(work.chosen(mutation).items(), key=lambda test: test[1])
    tests = [test for test in tests if (total := total + test[1]) < work.longest] or tests[:1]
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    said = "no test runs it"
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (before, after):
        diff = "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
        for some in (tests[:FIRST], tests[FIRST:]):
            if some:
                killed, said = run_tests(work, dict(some))
                if killed:
                    return WorkResult(WorkerOutcome.NORMAL, said, TestOutcome.KILLED, diff)
    return WorkResult(WorkerOutcome.NORMAL, said, TestOutcome.SURVIVED, diff)


def run_tests(work: Work, tests: dict[str, float]) -> tuple[bool, str]:
    """Whether one of some tests fails, in a process with all packages but this one imported; and what pytest says."""
    chosen, log = work.folder / "chosen.json", work.folder / "pytest.log"
    chosen.write_text(json.dumps(tests))
    os.environ["MUTANTS_CHOSEN"] = str(chosen)
    names = sorted({name.partition("::")[0] for name in tests})
    end = time.monotonic() + PATIENCE * (START + sum(tests.values()))
    child = os.fork()
    if not child:
        run_child([*PYTEST[3:], *PRELOADED, "-x", *names], log)
    try:
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # and what its tests have started
    if not ended[0]:
        os.waitpid(child, 0)
        return True, "timeout"
    work.empty_tmp()
    said = log.read_text(errors="replace")
    status = os.waitstatus_to_exitcode(ended[1])
    if status in (CRASHED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest does not run {list(tests)}: {said}")
    return status != 0, said


def run_child(args: list[str], log: Path) -> NoReturn:
    """Pytest, in a process that ends with it."""
    status = CRASHED
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.dont_write_bytecode = True  # two mutants of a second and a size would be taken for one another
        sys.path.insert(0, str(Path.cwd() / ".ci"))
        status = int(pytest.main(args))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def told(mutation: Any, result: Any) -> str:
    """Lines on a mutant: where, what, and what noticed it."""
    by = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", result.output, re.MULTILINE)
    late = "timeout" in result.output.lower()
    ending = by[1] if by else "a test took too long" if late else f"pytest ended: {result.output[-80:].strip()!r}"
    place = f"{Path(mutation.module_path).relative_to(Path.cwd())}:{mutation.start_pos[0]}"
    how = mutation.operator_name.rpartition("/")[2]
    head = f"killed {place} {how} by {ending}" if result.is_killed else f"SURVIVED {place} {how}"
    return "\n    ".join([head, *re.findall(r"^[-+](?![-+]).*", result.diff, re.MULTILINE)])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=300, help="how many mutants (300)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (1)")
    parser.add_argument("--seconds", type=float, default=20, help="of tests for a mutant, the fastest first (20)")
    parser.add_argument("--again", action="store_true", help="try again what survived, first of all")
    folder = Path(tempfile.gettempdir()) / "xccd-mutants"
    told = f"where the copy is and results are kept ({folder})"
    parser.add_argument("--folder", type=Path, default=folder, help=told)
    return parser.parse_args()


def drawn_into(db: Any, work: Work, args: argparse.Namespace) -> None:
    """The mutants of a new session."""
    from cosmic_ray.commands import init

    init(work.files, db, {})
    drawn = draw(db.work_items, work.files, args.number, args.seed)
    db.clear()
    db.add_work_items(drawn)


def main() -> None:
    args = arguments()
    try:
        from cosmic_ray.work_db import use_db
    except ImportError:
        sys.exit("this needs cosmic-ray: python -m pip install cosmic-ray")
    os.nice(10)
    begin = time.monotonic()
    work = Work(args.folder.resolve() / f"{args.number}-{args.seed}", args.seconds)
    work.measure()
    for name in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with use_db(work.session) as db:
        if not db.num_work_items:
            drawn_into(db, work, args)
        results = dict(db.results)
        todo = [i for i in db.work_items if i.job_id not in results or (args.again and not results[i.job_id].is_killed)]
        todo.sort(key=lambda item: (item.mutations[0].module_path, item.mutations[0].start_pos))
        random.Random(args.seed).shuffle(todo)  # what is done when it is stopped is a sample, too
        todo.sort(key=lambda item: item.job_id not in results)
        for number, item in enumerate(todo, 1):
            before = time.monotonic()
            result = run_one(work, item)
            db.set_result(item.job_id, result)
            line = told(item.mutations[0], result)
            print(f"{number}/{len(todo)} {time.monotonic() - before:.0f} s {line}", flush=True)
        done = db.completed_work_items
    alive = [told(item.mutations[0], result) for item, result in done if not result.is_killed]
    print(f"\n{len(done) - len(alive)} of {len(done)} killed, in {time.monotonic() - begin:.0f} s; these survived:")
    print("\n".join(sorted(alive)))


if __name__ == "__main__":
    main()
