"""The drop-in for ccdproc: its `Combiner`, `combine`, `wcs_project` with the speed of xccd, and its calibration."""

from xccd.ccdproc.calibrate import (
    create_deviation,
    flat_correct,
    gain_correct,
    subtract_bias,
    subtract_dark,
)
from xccd.ccdproc.combine import combine
from xccd.ccdproc.combiner import Combiner
from xccd.ccdproc.process import ccd_process, cosmicray_lacosmic
from xccd.ccdproc.project import wcs_project
from xccd.ccdproc.sections import subtract_overscan, trim_image
from xccd.ccdproc.twins import __getattr__ as __getattr__

__all__ = [
    "Combiner", "ccd_process", "combine", "cosmicray_lacosmic", "create_deviation", "flat_correct", "gain_correct",
    "subtract_bias", "subtract_dark", "subtract_overscan", "trim_image", "wcs_project",
]  # fmt: skip
