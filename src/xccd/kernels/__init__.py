"""What is computed of a stack's pixels: numba and NumPy only, two engines with one set of names.

`table` says which combinations there are. Of the engines, `tiles` (numba) and `plain` (NumPy) have the same
functions, which `engine` chooses between; below `tiles`, from the bottom up: `network` (what is compared), `block`
(pixels as sorted columns), `window` (a clip of one column), `clip` and `extrema` (rejection), `sums`, `spread`, `ranks`
and `weighted_ranks` (combination).

A kernel of combination takes ``(x, start, stop, least, most, bounded, weights, q, ddof, pairs, pads, buffer, numbers,
count, out)``: the samples and which of them are in use, weights as float64 (frames or 1, pixels from ``start`` or 1),
the network, then scratch. It returns how many samples have a weight that cannot be used.
"""
