"""What a table of frames tells of a header: the kind of the frame, and what makes frames belong together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.headers import kinds, times
from xccd.headers.coords import Values, number, text_of
from xccd.headers.detector import binning, temperature


class Summary(NamedTuple):
    """One header; "" or NaN for what it does not tell."""

    kind: str = ""  # as in `kinds`: "flat", "master-flat"; an unknown word is a kind of its own
    words: str = ""  # the text that told the kind
    filter: str = ""  # "" for bias frames and darks, which carry whatever was in
    exposure: float = float("nan")  # seconds
    date: np.datetime64 = times.NAT  # when the exposure began; NaT if the time of day is unknown
    object: str = ""
    binning: str = ""  # as "2x2" (y, x)
    gain: float = float("nan")
    temperature: float = float("nan")
    unit: str = ""

    @classmethod
    def of(cls, values: Values) -> Summary:
        """The summary of a header's values."""
        words = [text_of(name, values) for name in ("IMAGETYP", "OBSTYPE")]
        kind = kinds.made_of(kinds.kind_of(*words), values.get("NCOMBINE")) or ""
        return cls(
            kind=kind,
            words=next(filter(None, words), ""),
            filter=kinds.filter_of(values) if kinds.filter_counts(kind) else "",
            exposure=number("EXPTIME", values),
            date=times.start(values),
            object=text_of("OBJECT", values),
            binning=binning(values),
            gain=number("GAIN", values),
            temperature=temperature(values),
            unit=_stripped(values.get("BUNIT")),
        )


def _stripped(value: Any) -> str:
    return "" if value is None else str(value).strip()
