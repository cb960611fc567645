"""Kernels: numbers in, numbers out, with numba and NumPy only. Two engines have one set of functions.

The rules for the author of a kernel:

**Where a kernel is.** A row of `METHODS` or `REJECTIONS` (`table`) names it. `compiled/` (numba) and `plain/` (NumPy)
have a function of that name; ``KERNELS`` in each ``engine.py`` finds it. `compute.options.engine` chooses the engine.

**What it is given.** The NamedTuples of `arguments`, by which all kernels of combination have one signature:

============  =====================================================================================
``compiled``  ``(pixels: PixelRange, counts: Counts, request: Request, scratch: Scratch, out)``
``plain``     ``(x, holes, request: Request, out)``: x is (frames, pixels), ``holes`` its missing samples or None
returns       the count of samples whose weight is negative, NaN or infinite; 0 or None without weights
``out``       float32 or float64, one value for each pixel
============  =====================================================================================

The rules of `reject` are given columns of float64 that are sorted already, whatever the stack's dtype, so that each is
compiled once. A rule whose survivors are a window of the sorted column narrows ``lo`` and ``hi`` (`windows`); any other
one marks samples (`marks`). A rule of `compiled/` has two parts: a first look at all columns of a block at once, which
becomes vector code, and the rule itself, column by column, where the look says that a sample may go. A rule with many
such columns gathers them and goes on with all at once (`lines`, `winsorized`). After a rule that marks, bounds say what
is left of a pixel wherever they can. Only the other marks are kept, so that few samples are copied.

**What holds for every kernel.**

- A sample is in use if it is finite and ``least <= sample <= most``. NaN and infinities are missing. A missing sample
  has no effect, also not on neighbouring pixels or on rounding. Without a sample the result is NaN; a count is 0.
- Both engines give equal bits. So twins do the same operations in the same order; change both or none.
- The result is the same for any split into tiles. A kernel writes only to ``out`` and to its bounds, from ``start`` to
  ``stop``, and reads nothing outside ``x``.
- The order of frames changes no bit, except the rounding of a sum, and what "first" and "last" are. Sums add the frames
  in their order.
- Only sums, products, quotients, square roots and what is exact: logarithms of NumPy and of the C library may differ in
  their last bit.
- -0.0 never comes out of a rank: add 0.0 to what is copied from the samples.
- Accumulators are float64. A sum carries its rounding error along (two-sum) unless ``counts.exact`` says that no sum
  can round. Integers, and ties at a bound of a clip, are decided exactly.
- No memory is allocated for a pixel: scratch comes from the caller, or is made once for a call.
- A kernel of `plain/` gives no NumPy warning (``np.errstate``): warnings are errors in the tests.

**What the tests check.** `tests/oracles.py` needs a twin of each row in plain Python. Then `test_tables` (both kernels,
oracle, docs and warm-up of each row), `test_kernels` (tiles, order of frames, -0.0), `test_kernel_sums` (error bounds
against fractions), `test_kernel_clips`, `test_kernel_edges` (nothing else is read or written) and `test_plain_engine`
(equal bits) test it without further code.
"""
