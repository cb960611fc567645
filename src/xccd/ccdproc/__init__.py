"""The drop-in for ccdproc: its `Combiner`, `combine` and `wcs_project` with the speed of xccd."""

from xccd.ccdproc.combine import combine
from xccd.ccdproc.combiner import Combiner
from xccd.ccdproc.project import wcs_project
from xccd.ccdproc.twins import __getattr__ as __getattr__

__all__ = ["Combiner", "combine", "wcs_project"]
