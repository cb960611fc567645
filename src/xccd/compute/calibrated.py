"""Calibration as the first step of a chain: samples are read as they are stored, and changed tile by tile in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xccd.compute.tile import Array
from xccd.kernels.changes import CHANGES


class Change(NamedTuple):
    """``change(x, operand, out=x)`` with the operand that ``prepare(*inputs, dtype=dtype)`` makes of its ``inputs``."""

    change: Callable[..., Any]
    prepare: Callable[..., Any]
    inputs: int


class Input(NamedTuple):
    """What a change is made with, as an array that broadcasts against the samples (frames, ...) of a block."""

    values: Array
    shape: tuple[int, ...]  # of the pixels of the block

    def cut(self, start: int, stop: int) -> Array:
        """Pixels ``start <= j < stop``, (frames or 1, pixels or 1)."""
        values = self.values.reshape((1,) * (1 + len(self.shape) - self.values.ndim) + self.values.shape)
        frames = values.shape[0]
        if values.size == frames:
            return values.reshape(frames, 1)
        if values.shape[1:] == self.shape and values.flags.c_contiguous:
            return values.reshape(frames, -1)[:, start:stop]
        length = prod(self.shape[1:])  # of a row: only the rows that are needed are broadcast
        rows = slice(start // length, -(-stop // length))
        part = values[:, rows] if values.shape[1] > 1 else values
        whole = np.broadcast_to(part, (frames, rows.stop - rows.start, *self.shape[1:]))
        return whole.reshape(frames, -1)[:, start - rows.start * length : stop - rows.start * length]


@dataclass(frozen=True)
class Calibrated:
    """Samples as they are stored, less 32768 if ``unsigned``, after changes by masters, in the dtype of the stack."""

    unsigned: bool
    changes: tuple[Change, ...]
    dtype: np.dtype[Any]
    row = None

    @property
    def inputs(self) -> int:
        """The count of the inputs of all changes."""
        return sum(change.inputs for change in self.changes)

    def write(
        self, engine: Any, x: Array, start: int, stop: int, inputs: Sequence[Input], out: Array, first: int = 0
    ) -> None:  # fmt: skip
        """Write pixels ``start <= j < stop`` of ``x`` (frames, pixels), changed, to those from ``first`` on of ``out``.

        What kernels cannot do is done by NumPy, a pass over the tile.
        """
        with np.errstate(all="ignore"):  # what a master lacks is NaN
            operands = list(self._operands(inputs, start, stop))
            kinds, rows = self._rows(operands, stop - start)
            engine.calibrated(x, start, stop, self.unsigned, kinds, rows, out, first)
            to = out[:, first : first + stop - start]
            for change, operand in operands[len(kinds) :]:
                change(to, operand, out=to)

    def rows(self, inputs: Sequence[Input], start: int, stop: int) -> tuple[Array, Array] | None:
        """All changes of some pixels as `CHANGES` and a row of operands for each, if that is what they are."""
        with np.errstate(all="ignore"):
            kinds, rows = self._rows(list(self._operands(inputs, start, stop)), stop - start)
        return (kinds, rows) if len(kinds) == len(self.changes) else None

    def _rows(self, operands: list[tuple[Any, Array]], size: int) -> tuple[Array, Array]:
        """The first changes, those that kernels can do: one operand for all frames."""
        able = [change in CHANGES and operand.shape[0] == 1 for change, operand in operands]
        some = operands[: [*able, False].index(False)]
        rows = np.empty((len(some), size), self.dtype)
        for row, (_, operand) in zip(rows, some, strict=True):
            row[:] = operand[0]
        return np.array([CHANGES[change] for change, _ in some], np.int64), rows

    def _operands(self, inputs: Sequence[Input], start: int, stop: int) -> Iterator[tuple[Any, Array]]:
        cut = [one.cut(start, stop) for one in inputs]
        for change, prepare, count in self.changes:
            own, cut = cut[:count], cut[count:]
            yield change, prepare(*own, dtype=self.dtype)
