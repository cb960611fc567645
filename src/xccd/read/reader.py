"""Many frames as one array-like object; slices of it read only the rows they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xccd.compute import bands, dask_bars, notes, plans
from xccd.compute.deferred import Box, Deferred, Known, box_of
from xccd.compute.steps import Unsigned
from xccd.errors import in_tree
from xccd.kernels.limits import float_dtype
from xccd.messages import did_you_mean
from xccd.read.files.remote import AT_ONCE
from xccd.read.images.pixels import FilePixels, PixelReader, innermost

SIMPLE = ("u1", "i2", "u2", "i4", "f4", "f8")  # stored dtypes with which a chain can begin


@dataclass(frozen=True)
class StackReader:
    """An array-like object of frames of one shape along axis 0; picklable, without an open file."""

    frames: tuple[PixelReader, ...]
    masks: tuple[PixelReader | None, ...]
    squeezed: int  # leading axes of size 1 of the frames, dropped in the stack
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.frames), *self.frames[0].shape[self.squeezed :])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @in_tree
    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        """The samples of ``key`` (an int, a slice or a list of ints for each axis)."""
        key = (key if isinstance(key, tuple) else (key,)) + (slice(None),) * self.ndim
        numbers = np.arange(len(self.frames))[key[0]]
        boxes = [box_of(k, n) for k, n in zip(key[1 : self.ndim], self.shape[1:], strict=True)]
        index = tuple(box for box, _ in boxes)
        inner = tuple(box.stop - box.start for box in index)
        block = np.empty((numbers.size, *inner), self.dtype)
        if self.far and numbers.size > 1:
            # several at a time, as each waits for the network
            with ThreadPoolExecutor(min(AT_ONCE, numbers.size)) as pool:
                list(pool.map(lambda i: self._read(numbers[i], index, block[i]), range(numbers.size)))
        else:
            for i, number in enumerate(numbers.ravel()):
                self._read(number, index, block[i])
        for axis, (_, rest) in enumerate(boxes, 1):
            if not isinstance(rest, int):
                block = block[(slice(None),) * axis + (rest,)]
        block = block[(slice(None), *(r if isinstance(r, int) else slice(None) for _, r in boxes))]
        return block[0] if numbers.ndim == 0 else block

    def _read(self, number: int, index: tuple[slice, ...], out: np.ndarray[Any, Any]) -> None:
        index = (slice(0, 1),) * self.squeezed + index
        out = out.reshape((1,) * self.squeezed + out.shape)  # a view, as a frame of a block is contiguous
        self.frames[number].read(index, out)
        mask = self.masks[number]
        if mask is not None:
            flags = np.empty(out.shape, np.float64)
            mask.read(index, flags)
            out[flags != 0] = np.nan

    @property
    def far(self) -> bool:
        """Whether some frame is read over a network."""
        stored = map(innermost, self.frames)
        return any(isinstance(frame, FilePixels) and frame.file.far for frame in stored)

    @property
    def unit(self) -> int:
        """Rows that are decompressed together, if images are tile-compressed; else 1."""
        return max(getattr(frame, "tile_rows", 1) for frame in self.frames) if self.ndim == 3 else 1

    def stored(self) -> tuple[StackReader, bool] | None:
        """A reader of the stored samples, and if they are uint16 (BZERO = 32768); None if a chain cannot use them."""
        kinds = {(f.stored, f.native) if isinstance(f, FilePixels) and f.raw else None for f in self.frames}
        if len(kinds) != 1 or None in kinds or any(self.masks):
            return None
        ((dtype, native),) = (kind for kind in kinds if kind)
        if native.str[1:] not in SIMPLE or float_dtype(native).itemsize > float_dtype(self.dtype).itemsize:
            return None
        raw = tuple(f.raw for f in self.frames if isinstance(f, FilePixels) and f.raw)
        return replace(self, frames=raw, dtype=dtype), native.kind == "u" and dtype.kind == "i"

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        from dask.base import normalize_token

        parts = (self.frames, self.masks, self.squeezed, str(self.dtype))
        return ("xccd.StackReader", normalize_token(parts))


class Files(Deferred):
    """A deferred array of the samples of a reader."""

    def __init__(self, reader: StackReader) -> None:
        super().__init__(reader.__getitem__, (), reader.shape, reader.dtype)
        self.reader, self.unit, self.what = reader, reader.unit, "read"

    def block(self, box: Box, made: dict[int, Any]) -> Any:
        if id(self) not in made:
            made[id(self)] = self.reader[(slice(None), *box)]
        return made[id(self)]

    def of_frames(self, numbers: Any, known: Known) -> Files:
        frames, masks = (tuple(every[i] for i in numbers) for every in (self.reader.frames, self.reader.masks))
        return Files(replace(self.reader, frames=frames, masks=masks))

    def one_by_one(self) -> Iterator[Any]:
        return (self.reader[i] for i in range(self.shape[0]))


def deferred(reader: StackReader) -> Files:
    """A deferred array on ``reader``; a note on it lets chains begin with the stored samples."""
    files, found = Files(reader), reader.stored()
    notes.mark(files, notes.READ)
    if found is not None:
        raw, unsigned = found
        plans.remember_steps(files, Files(raw), (Unsigned(),) if unsigned else ())
    return files


def lazy(reader: StackReader, chunks: Any, memory: Any, as_dims: Callable[[Any], Any]) -> Any:
    """A dask array on ``reader``, one task per chunk; with the same note."""
    import dask.array as da
    from dask.base import tokenize

    dask_bars.changed()
    planned = as_dims(bands.plan(reader.shape, reader.dtype.itemsize, chunks, memory, reader.unit))
    try:
        whole = da.core.normalize_chunks(planned, reader.shape, dtype=reader.dtype)
        if any(length < 1 for lengths in whole for length in lengths):
            raise ValueError("a chunk has at least one pixel")
    except (TypeError, ValueError, ArithmeticError) as error:
        near = did_you_mean(chunks, ("auto",))
        raise ValueError(f"chunks={chunks!r} does not cut the shape {reader.shape}: {error}{near}") from None
    token = tokenize(reader, whole)  # with the chunks: dask assumes that equal names mean equal blocks
    stack = _dask_bands(reader, whole, f"open_stack-{token}")
    notes.note(stack, notes.READER, reader)
    notes.mark(stack, notes.READ)
    found = reader.stored()
    if found is not None:
        raw, unsigned = found
        plans.remember_steps(stack, _dask_bands(raw, whole, f"stored-{token}"), (Unsigned(),) if unsigned else ())
    return stack


def _dask_bands(reader: StackReader, chunks: Any, name: str) -> Any:
    import dask.array as da

    return da.from_array(
        reader,
        chunks=chunks,
        name=name,
        meta=np.empty((0,) * reader.ndim, reader.dtype),
        lock=False,  # threads share no open file
    )
