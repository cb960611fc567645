"""What is computed of a stack's pixels: numba and NumPy only, two engines with one set of names.

`table` says which combinations there are. Of the engines, `tiles` (numba) and `plain` (NumPy) have the same
functions, which `engine` chooses between. Below `tiles` are, from the bottom up: `network` and `groups` (what is
compared), `compiled` (how), `vectors` (by which instructions), `block` (pixels as sorted columns), `window` (a clip of
one column), `clip` and `extrema` (rejection), `sums`, `spread`, `scatter`, `ranks` and `weighted_ranks` (combination).

A kernel of combination takes ``(x, start, stop, least, most, bounded, known, number, exact, weights, option, ddof,
groups, pads, buffer, acc, out)``: the samples and which of them are in use, how many these are if that is ``known``,
whether no sum of them can round, weights as float64 (frames or 1, pixels from ``start`` or 1), the network, what stands
for missing samples, then scratch. It returns how many samples have a weight that cannot be used.
"""
