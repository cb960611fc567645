"""The three tables: each row has its kernels, its oracle, its line in the docs, and what others need of it."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import oracles
import xccd
from xccd import warm
from xccd.cli.combine import combine
from xccd.compute import ends, partials, steps
from xccd.kernels.compiled import engine as compiled_engine
from xccd.kernels.compiled import rejections as compiled_rejections
from xccd.kernels.plain import engine as plain_engine
from xccd.kernels.plain import rejections as plain_rejections
from xccd.kernels.table import ARGUMENTS, CENTERS, DEVIATIONS, METHODS, OUTPUTS, REDUCTIONS, REJECTIONS, ClipOptions
from xccd.verbs import product_maps

ENGINES = (compiled_engine, plain_engine)
RULES = ((compiled_engine, compiled_rejections), (plain_engine, plain_rejections))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_kernels_an_oracle_and_a_line_in_the_docs(name: str) -> None:
    row = METHODS[name]
    for kernel in filter(None, (row.kernel, row.weighted)):
        assert all(kernel in engine.KERNELS for engine in ENGINES)
    options = {k: ARGUMENTS[k].default if ARGUMENTS[k].default is not None else 0.5 for k in row.takes}
    assert float(oracles.combine([1.0, 2.0, 3.0], name, **options)) > 0
    assert f'"{name}"' in inspect.getdoc(xccd.combine)
    assert (name in oracles.WEIGHTED) == (row.weighted is not None)
    assert set(row.takes) <= ARGUMENTS.keys() <= inspect.signature(xccd.combine).parameters.keys()


@pytest.mark.parametrize("name", METHODS)
def test_names_in_a_method_are_those_of_other_tables(name: str) -> None:
    row = METHODS[name]
    rows = [row.partials, row.weighted_partials, row.error.partials if row.error else None]
    assert {part for some in rows if some for part in some.parts} <= partials.PARTS.keys()
    assert row.error is None or row.error.statistic in METHODS
    assert {name} | {f"weighted_{name}" for _ in filter(None, [row.weighted])} <= REDUCTIONS.keys()


def test_all_parts_of_chunks_are_used_and_can_be_merged() -> None:
    used = {partials.PARTS[part] for row in partials.ROWS.values() for part in row.parts}
    assert used == set(partials.PARTS.values()) == partials.MERGE.keys()


@pytest.mark.parametrize("name", REJECTIONS)
def test_a_rejection_has_kernels_an_oracle_a_step_and_docs(name: str) -> None:
    row = REJECTIONS[name]
    verb = getattr(xccd, row.verb)
    assert callable(getattr(oracles, row.oracle))
    rules = [{**vars(engine), **rejections.WINDOWS, **rejections.MARKS} for engine, rejections in RULES]
    assert all(callable(own[kernel]) for own in rules for kernel in (row.kernel, row.marks) if kernel)
    kind = steps.STEPS[name]
    assert (kind(name, ()).row if kind in (steps.Window, steps.Marked) else kind.row) is row
    assert all((row.summary, row.source))
    assert (row.sums is not None) == hasattr(steps.STEPS[name], "summed")
    assert inspect.getdoc(verb).startswith("Reject")
    docs = Path(__file__).parents[1] / "docs"
    assert row.verb in (docs / "api.md").read_text()
    if name != "range":
        assert f'"{name}"' in inspect.getdoc(xccd.reject)
        text = (docs / "rejections.md").read_text()
        assert f"`{name}`" in text
        assert all(re.search(rf"`{option.name}\b", text) for option in row.options)


def test_steps_and_rejections_are_the_same_rows() -> None:
    ours = {name for name, row in REJECTIONS.items() if row.function is None}  # examples of docs register others
    assert steps.STEPS.keys() == ours


def test_options_of_a_clip_are_arguments_of_the_verb() -> None:
    parameters = inspect.signature(xccd.sigma_clip).parameters
    assert set(ClipOptions._fields) <= parameters.keys() | {option.name for option in REJECTIONS["sigma"].options}
    doc = inspect.getdoc(xccd.sigma_clip)
    assert all(f'"{name}"' in doc for name in (*CENTERS, *DEVIATIONS))
    defaults = ClipOptions(0, 0, 3, 3)
    for name in ("low", "high", "ddof", "floor", "nkeep", "maxiters"):
        assert getattr(defaults, name) == parameters[name].default


def test_an_output_has_an_end_and_a_name_of_its_own() -> None:
    assert product_maps.MAKERS.keys() == OUTPUTS.keys()
    assert len({row.extname for row in OUTPUTS.values()}) == len(OUTPUTS)
    page = (Path(__file__).parents[1] / "docs" / "lossless.md").read_text()
    for name, row in OUTPUTS.items():
        assert re.search(rf"data_{name}\b", page), name
        assert row.extname in inspect.getdoc(xccd.to_fits), name
        assert row.dtype is None or np.dtype(row.dtype)


def test_the_command_lists_all_methods() -> None:
    option = next(p for p in combine.params if p.name == "method")
    assert option.help == ", ".join(METHODS) + "."


def test_warm_up_runs_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(warm, "_run_chain", lambda chain, x: seen.extend((*chain.steps, *chain.ends)))
    monkeypatch.setattr(warm, "_resample", lambda dtype: None)
    xccd.warm_up(["float32"])
    for method, row in METHODS.items():
        assert ends.Combine(method) in seen
        assert not row.weighted or ends.Combine(method, weighted=True) in seen
    wanted = {name for name, row in REJECTIONS.items() if row.kernel or row.marks}
    names = {getattr(s, "name", None) for s in seen}
    assert {name for name, step in steps.STEPS.items() if name in names or any(type(s) is step for s in seen)} >= wanted
    assert names >= {name for name in wanted if REJECTIONS[name].verb == "reject"}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("method", METHODS)
def test_an_argument_goes_with_the_methods_that_take_it(method: str, name: str) -> None:
    row, stack = ARGUMENTS[name], xr.DataArray([1.0, 2.0, 4.0], dims="frame", name="data")
    stack = stack.ccd.to_dataset(uncertainty=1.0) if METHODS[method].needs else stack
    value = {"ddof": 1, "rescale": True}.get(name, 0.5 if row.default is None else row.default)  # a default counts, too
    needed = {k: 0.5 for k in METHODS[method].takes if ARGUMENTS[k].default is None}
    if name in METHODS[method].takes:
        assert np.isfinite(xccd.combine(stack, method, **(needed | {name: value})))
    else:
        with pytest.raises(ValueError, match=rf"{name}={value!r} with method='{method}': {name} goes with '"):
            xccd.combine(stack, method, **(needed | {name: value}))


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "6", True, [6]])
def test_how_far_a_biweight_reaches_is_a_number_above_0(value: object) -> None:
    with pytest.raises(ValueError, match=r"c=.* is not one finite number above 0"):
        xccd.combine(xr.DataArray([1.0, 2.0], dims="frame"), "biweight", c=value)
