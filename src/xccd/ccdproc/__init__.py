"""The drop-in for ccdproc: its `Combiner` and `combine` with the speed of xccd, one import line away."""

from xccd.ccdproc.combine import combine
from xccd.ccdproc.combiner import Combiner

__all__ = ["Combiner", "combine"]
