"""The joint with xarray: a later xarray without an internal name gives the same pixels and one log line."""

from __future__ import annotations

import logging
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from xarray.core import indexing

import xccd
from xccd.cli import main
from xccd.compute.deferred import Deferred
from xccd.labels import lazy

NAMES = (
    "LazilyIndexedArray",
    "MemoryCachedArray",
    "CopyOnWriteArray",
    "VectorizedIndexer",
    "IndexingSupport",
    "explicit_indexing_adapter",
)
ATTRIBUTES = ("LazilyIndexedArray.array", "LazilyIndexedArray.key", "MemoryCachedArray.array", "CopyOnWriteArray.array")
CHANGES = (*NAMES, *ATTRIBUTES, "Variable._data", "OuterIndexer.tuple", "the module")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    paths = [folder / f"{i}.fits" for i in range(5)]
    for path in paths:
        fits.PrimaryHDU(rng.normal(100, 5, (12, 9)).astype("f4")).writeto(path)
    return paths


def without(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Let `lazy` see an xarray that lacks a name."""
    names = dict(vars(indexing))
    kind, _, attribute = change.partition(".")
    if change == "the module":
        monkeypatch.setattr(lazy, "indexing", None)
        return
    if change == "Variable._data":
        monkeypatch.setattr(lazy, "held", attrgetter("_gone"))
    elif change == "OuterIndexer.tuple":
        original = lazy.DeferredBackend.__getitem__

        def renamed(self: lazy.DeferredBackend, key: indexing.ExplicitIndexer) -> object:
            return original(self, SimpleNamespace(parts=key.tuple))

        monkeypatch.setattr(lazy.DeferredBackend, "__getitem__", renamed)
    elif attribute:
        names[kind] = type(kind, (names[kind],), {attribute: property()})
    else:
        del names[kind]
    monkeypatch.setattr(lazy, "indexing", SimpleNamespace(**names))


@pytest.mark.parametrize("change", CHANGES)
def test_another_xarray_computes_at_once(
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    expected = xccd.open_stack(files).ccd.sigma_clip(1, 1).ccd.combine("mean").values
    without(monkeypatch, change)
    lazy._internals.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "xccd"):
            stack = xccd.open_stack(files, chunks=None)
            clipped = stack.ccd.to_dataset().ccd.sigma_clip(1, 1)
            image = clipped.ccd.combine("mean")
            assert isinstance(lazy.array_of(stack), np.ndarray)
            assert lazy.array_of(xccd.open_stack(files)).chunks  # dask's are lazy as before
            np.testing.assert_array_equal(image["data"].values, expected)
            np.testing.assert_array_equal(clipped["data"][[0, 2], ::-1, 3], stack.values[[0, 2], ::-1, 3])
            stack[0] = 7.0
            assert (stack.values[0] == 7).all()
            with pytest.raises(SystemExit) as end:
                main.main(["combine", *map(str, files), "-o", str(tmp_path / "a.fits"), "--sigma-clip", "1", "1"])
        assert end.value.code == 0, capsys.readouterr().err
        np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), expected)
        (line,) = (m for m in caplog.messages if "internals" in m)
        assert "computed at once; chunks='auto' stays lazy" in line
    finally:
        lazy._internals.cache_clear()


def test_this_xarray_is_lazy(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    lazy._internals.cache_clear()
    stack = xccd.open_stack(files, chunks=None)
    assert isinstance(lazy.array_of(stack.ccd.minmax(0, 200)[1:, 2:5]), Deferred)
    picked = stack.values[[0, 1], [2, 3], [4, 4]]
    frame, y = (xccd.open_stack(files).frame.dims[0], "y")
    assert isinstance(lazy.array_of(stack), np.ndarray)  # kept once it was used
    fresh = xccd.open_stack(files, chunks=None)
    where = {frame: ("point", [0, 1]), y: ("point", [2, 3]), "x": ("point", [4, 4])}
    np.testing.assert_array_equal(fresh.variable[{k: lazy.xr.Variable(*v) for k, v in where.items()}], picked)
    assert not caplog.messages


def test_a_deferred_array_is_an_array(files: list[Path]) -> None:
    array = lazy.array_of(xccd.open_stack(files, chunks=None))
    np.testing.assert_array_equal(np.asarray(array), [fits.getdata(f) for f in files])
