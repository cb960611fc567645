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
    if skip.size == 0:
        for k in range(x.shape[0]):
            row, to = x[k, start:stop], flags[k]
            for c in range(size):
                value = row[c]
                reason = low if value < least[c] else high if value > most[c] else 0
                to[c] = reason if to[c] == 0 else to[c]
        return
    for k in range(x.shape[0]):
        for c in range(size):
            value = x[k, start + c]
            if flags[k, c] != 0:
                continue
            reason = low if value < least[c] else high if value > most[c] else 0
            if reason == 0 and value == most[c]:
                reason = 0 if keep[c] > 0 else high
                keep[c] -= 1
            if value == least[c] and skip[c] > 0:
                reason = low
                skip[c] -= 1
            flags[k, c] = reason
