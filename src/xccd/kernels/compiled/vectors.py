"""Groups of a sorting network as vector instructions: 32 bytes of each row at a time, compared in registers.

From plain loops LLVM makes code that is 1.5 to 2.5 times slower. It keeps one pair of rows in registers, not eight,
because it would have to check every two of eight rows for overlap. Names of llvmlite and of numba's code generation
are in this file and in `streams` only.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from xccd.kernels.compiled.compile import IS_OFF
from xccd.kernels.compiled.groups import KINDS, SORT8

BYTES = 32  # of a vector: one AVX register; LLVM uses two registers of 16 bytes on other processors
LANES = 16  # the columns of a block are a multiple of this: one vector of the smallest samples
LINE = 64  # bytes of a cache line
INDEX = ir.IntType(64)


class Vectors:
    """Builds instructions on vectors of one kind of sample."""

    def __init__(self, context, builder, kind):
        self.builder, self.real, self.align = builder, isinstance(kind, types.Float), kind.bitwidth // 8
        self.lanes = BYTES // self.align
        self.type = ir.VectorType(context.get_data_type(kind), self.lanes)
        self.bits = ir.VectorType(ir.IntType(kind.bitwidth), self.lanes)
        self.signed = not self.real and kind.signed
        sign = "" if self.real else "s" if self.signed else "u"
        self.least, self.greatest = (self.function(sign + name, self.type) for name in self.names)

    @property
    def names(self):
        return ("minnum", "maxnum") if self.real else ("min", "max")

    def function(self, name, kind):
        """LLVM's intrinsic function of two vectors with this name.

        Minimum and maximum are called by name. From a comparison and a choice LLVM concludes that one of the values is
        in place already, and makes a masked store: 2.5 times slower.
        """
        letter = "f" if self.real and kind is self.type else "i"
        name = f"llvm.{name}.v{self.lanes}{letter}{8 * self.align}"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind, kind]), name)

    def compare(self, values, pairs):
        """Put the lesser of each pair in its first place, the greater in its second. Values in use are never NaN."""
        # else LLVM checks each value for NaN
        flags = ("nnan",) if self.real else ()
        for i, j in pairs:
            both = values[i], values[j]
            values[i] = self.builder.call(self.least, both, fastmath=flags)
            values[j] = self.builder.call(self.greatest, both, fastmath=flags)

    def place(self, row, column):
        return self.builder.bitcast(self.builder.gep(row, [column]), self.type.as_pointer())

    def load(self, row, column):
        return self.builder.load(self.place(row, column), align=self.align)  # of one sample: rows begin anywhere

    def store(self, value, row, column):
        self.builder.store(value, self.place(row, column), align=self.align)

    def magnitude(self, value):
        """The bits without the sign. As integers those of NaN and infinity are greater than all others."""
        every = ir.Constant(self.bits, [(1 << (8 * self.align - 1)) - 1] * self.lanes)
        return self.builder.and_(self.builder.bitcast(value, self.bits), every)

    def outside(self, value, low, high):
        """Whether a value is below ``low``, above ``high``, or NaN."""
        if self.real:
            return self.builder.or_(*(self.builder.fcmp_unordered(o, value, v) for o, v in (("<", low), (">", high))))
        compare = self.builder.icmp_signed if self.signed else self.builder.icmp_unsigned
        return self.builder.or_(compare("<", value, low), compare(">", value, high))

    def positive(self, value):
        """The values, with 0.0 for -0.0."""
        return self.builder.fadd(value, ir.Constant(self.type, [0.0] * self.lanes)) if self.real else value

    def repeated(self, bits):
        """A vector of the same bits."""
        one = self.builder.insert_element(ir.Constant(self.bits, ir.Undefined), bits, ir.IntType(32)(0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.bits, ir.Undefined), places)

    def flipped(self, value, some, bits):
        """The values, with ``bits`` flipped in the lanes where ``some`` is true."""
        change = self.builder.and_(self.builder.sext(some, self.bits), bits)
        return self.builder.bitcast(self.builder.xor(self.builder.bitcast(value, self.bits), change), self.type)

    def count(self, missing, number, column):
        """Add to the int32 ``number`` of each column its count of samples that are not ``missing``."""
        total = ir.Constant(self.bits, [len(missing)] * self.lanes)
        # true becomes -1 by sext, so this is eight less the missing samples
        for some in missing:
            total = self.builder.add(total, self.builder.sext(some, self.bits))
        kind = ir.VectorType(ir.IntType(32), self.lanes)
        fit = self.builder.zext if self.align < 4 else self.builder.trunc if self.align > 4 else lambda v, _: v
        place = self.builder.bitcast(self.builder.gep(number, [column]), kind.as_pointer())
        sums = self.builder.add(self.builder.load(place, align=4), fit(total, kind))
        self.builder.store(sums, place, align=4)

    def infinite(self):
        """The magnitude of infinity."""
        return self.builder.bitcast(ir.Constant(self.type, [np.inf] * self.lanes), self.bits)


def _row(context, builder, kind, value, k, column):
    """A pointer to ``column`` of row ``k`` of an array."""
    array = context.make_array(kind)(context, builder, value)
    return cgutils.get_item_pointer(context, builder, kind, array, [k, column])


def _members(context, builder, kind, table, s, number):
    """The rows of line ``s`` of a table of groups."""
    for k in range(1, number + 1):
        place = _row(context, builder, kind, table, s, context.get_constant(types.intp, k))
        yield builder.zext(builder.load(place), INDEX)


def _columns(builder, buffer, lanes):
    """A loop over the columns of a block, ``lanes`` at a time."""
    return cgutils.for_range_slice(builder, INDEX(0), cgutils.unpack_tuple(builder, buffer.shape)[1], INDEX(lanes))


def _by_rows(pairs):
    """`comparators` in NumPy."""

    def run(buffer, table, s):
        for i, j in pairs:
            p, q = buffer[table[s, i + 1]], buffer[table[s, j + 1]]
            p[:], q[:] = np.minimum(p, q), np.maximum(p, q)

    return run


def _padded_by_rows(turning):
    """`loader` in NumPy."""

    def run(x, first, least, most, buffer, row, even, odd, state):
        for k in range(row, row + 8):
            value = x[k, first : first + buffer.shape[1]]
            valid = (value >= least) & (value <= most)
            buffer[k] = np.where(valid, value, state if turning else even) + value.dtype.type(0)
            if turning:
                state[:] = np.where(valid, state, np.where(state == even, odd, even))
            else:
                state += valid
        buffer[row : row + 8].sort(axis=0)

    return run


def _sorted_rows(x, first, buffer, row):
    values = x[row : row + 8, first : first + buffer.shape[1]]
    buffer[row : row + 8] = np.sort(values, axis=0) + values.dtype.type(0)
    return not np.isfinite(values).all()


def instructions(plain):
    """A decorator for a function that builds instructions; ``plain`` replaces it if numba does not compile."""
    return (lambda _: plain) if IS_OFF else intrinsic


def comparators(pairs):
    """A function ``(buffer, table, s)`` that compares the rows in line ``s`` of the table, by ``pairs``."""

    @instructions(_by_rows(pairs))
    def run(_, buffer, table, s):
        def codegen(context, builder, signature, args):
            (block, lines, _), (whole, table, s) = signature.args, args
            vectors = Vectors(context, builder, block.dtype)
            members = _members(context, builder, lines, table, s, 1 + max(map(max, pairs)))
            rows = [_row(context, builder, block, whole, k, INDEX(0)) for k in members]
            array = context.make_array(block)(context, builder, whole)
            with _columns(builder, array, vectors.lanes) as (column, _):
                values = [vectors.load(row, column) for row in rows]
                vectors.compare(values, pairs)
                for row, value in zip(rows, values, strict=True):
                    vectors.store(value, row, column)
            return context.get_dummy_value()

        return types.void(buffer, table, s), codegen

    return run


@instructions(_sorted_rows)
def load_sorted(_, x, first, buffer, row):
    """Sort eight rows of ``x`` from ``row`` and column ``first`` into the block; returns whether one is not finite.

    The whole width of the block is filled, so ``x`` must have as many columns. -0.0 becomes 0.0.
    """

    def codegen(context, builder, signature, args):
        (stack, _, block, _), (x, first, whole, row) = signature.args, args
        vectors = Vectors(context, builder, block.dtype)
        members = [builder.add(row, INDEX(k)) for k in range(8)]
        sources = [_row(context, builder, stack, x, k, first) for k in members]
        rows = [_row(context, builder, block, whole, k, INDEX(0)) for k in members]
        greatest = cgutils.alloca_once_value(builder, ir.Constant(vectors.bits, [0] * vectors.lanes))
        with _columns(builder, context.make_array(block)(context, builder, whole), vectors.lanes) as (column, _):
            values = [vectors.load(source, column) for source in sources]
            if vectors.real:
                largest = vectors.function("umax", vectors.bits)
                for value in values:
                    both = builder.load(greatest), vectors.magnitude(value)
                    builder.store(builder.call(largest, both), greatest)
                values = [vectors.positive(value) for value in values]
            vectors.compare(values, SORT8)
            for to, value in zip(rows, values, strict=True):
                vectors.store(value, to, column)
        if not vectors.real:
            return cgutils.false_bit
        over = builder.icmp_unsigned(">=", builder.load(greatest), vectors.infinite())
        return builder.icmp_unsigned(
            "!=", builder.bitcast(over, ir.IntType(vectors.lanes)), ir.IntType(vectors.lanes)(0)
        )

    return types.boolean(x, first, buffer, row), codegen


def loader(turning):
    """A function like `load_sorted` for samples that may be missing: those outside ``least`` to ``most``.

    Its arguments are ``(x, first, least, most, buffer, row, even, odd, state)``. ``state`` has a value for each column.
    If ``turning``, missing samples become ``even`` and ``odd`` in turn, and ``state`` is the value for the next one.
    Else they become ``even``, and the count of samples that are not missing is added to ``state``, int32.
    """

    @instructions(_padded_by_rows(turning))
    def run(_, x, first, least, most, buffer, row, even, odd, state):
        def codegen(context, builder, signature, args):
            kinds, (x, first, _, _, whole, row, even, odd, _) = signature.args, args
            vectors = Vectors(context, builder, kinds[4].dtype)
            members = [builder.add(row, INDEX(k)) for k in range(8)]
            sources = [_row(context, builder, kinds[0], x, k, first) for k in members]
            rows = [_row(context, builder, kinds[4], whole, k, INDEX(0)) for k in members]
            least, most, state = (context.make_array(kinds[k])(context, builder, args[k]).data for k in (2, 3, 8))
            pad, other = (vectors.repeated(builder.bitcast(v, vectors.bits.element)) for v in (even, odd))
            change = builder.xor(pad, other)
            array = context.make_array(kinds[4])(context, builder, whole)
            with _columns(builder, array, vectors.lanes) as (column, _):
                low, high = vectors.load(least, column), vectors.load(most, column)
                now = vectors.load(state, column) if turning else builder.bitcast(pad, vectors.type)
                missing, values = [], []
                for source in sources:
                    value = vectors.load(source, column)
                    missing.append(vectors.outside(value, low, high))
                    values.append(vectors.positive(builder.select(missing[-1], now, value)))
                    now = vectors.flipped(now, missing[-1], change) if turning else now
                vectors.compare(values, SORT8)
                for to, value in zip(rows, values, strict=True):
                    vectors.store(value, to, column)
                if turning:
                    vectors.store(now, state, column)
                else:
                    vectors.count(missing, state, column)
            return context.get_dummy_value()

        return types.void(x, first, least, most, buffer, row, even, odd, state), codegen

    return run


@instructions(lambda x, row, first, size: None)
def fetch(_, x, row, first, size):
    """Fetch ``size`` bytes of a row into the cache while other work goes on. Beyond the end of ``x`` is no error."""

    def codegen(context, builder, signature, args):
        place = _row(context, builder, signature.args[0], *args[:3])
        start = builder.bitcast(place, ir.IntType(8).as_pointer())
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [start.type, whole, whole, whole])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, INDEX(0), args[3], INDEX(LINE)) as (offset, _):
            # to read, into all levels of cache, as data
            builder.call(function, [builder.gep(start, [offset]), whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(x, row, first, size), codegen


pair, merge4, merge8, within8, across6, sort8 = map(comparators, KINDS)
load_counted, load_turned = loader(turning=False), loader(turning=True)
