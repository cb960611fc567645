"""Flags of rejected samples: one bit for each sample outside the bounds. The samples are not changed."""

from xccd.kernels.compiled.compile import kernel


@kernel
def flag(pixels, ties, low, high, flags):
    """Set ``low`` or ``high`` in ``flags`` (uint8) for samples without a flag that are outside the bounds or tied.

    The first ``skip`` samples equal to the least become low. All but the first ``keep`` samples equal to the most
    become high. With empty ``ties`` no sample at a bound gets a flag.
    """
    x, start, stop, least, most, _ = pixels
    skip, keep = ties
    size = stop - start
    for k in range(x.shape[0]):
        row, to = x[k, start:stop], flags[k]
        for c in range(size):
            value = row[c]
            reason = low if value < least[c] else high if value > most[c] else 0
            to[c] = reason if to[c] == 0 else to[c]
    for c in range(skip.size):  # few columns are tied: to look at each sample of all takes five times as long
        if skip[c] == 0 and keep[c] >= x.shape[0]:
            continue
        for k in range(x.shape[0]):
            value = x[k, start + c]
            if flags[k, c] != 0:
                continue
            if value == most[c]:
                flags[k, c] = 0 if keep[c] > 0 else high
                keep[c] -= 1
            if value == least[c] and skip[c] > 0:
                flags[k, c] = low
                skip[c] -= 1
