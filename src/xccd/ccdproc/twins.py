"""Names of ccdproc that the drop-in does not have, and what to use instead."""

from __future__ import annotations

import sys
from typing import Any

KEEP = "go on using ccdproc's, whose CCDData Combiner and combine take"

# `stack` is from xccd.open_stack. A test runs the code in backticks.
TWINS: dict[str, str] = {
    "block_reduce": "it is `stack.coarsen(y=2, x=2).sum()` of a stack",
    "block_average": "it is `stack.coarsen(y=2, x=2).mean()` of a stack",
    "rebin": "it is `stack.coarsen(y=2, x=2).mean()` of a stack, or " + KEEP,
    "sigma_func": "it is `stack.ccd.combine('mad_std')` of a stack, and mad_std in astropy.stats",
    "ImageFileCollection": "a tree of stacks is made by `xccd.open_tree(folder)`; "
    "or go on using ccdproc's, which combine takes",
    "bitfield_to_boolean_mask": "it is astropy's, `from astropy.nddata import bitfield_to_boolean_mask`",
    "fits_ccddata_reader": "it is astropy's, `from astropy.nddata import fits_ccddata_reader`",
    "fits_ccddata_writer": "it is astropy's, `from astropy.nddata import fits_ccddata_writer`",
    "Keyword": "go on using ccdproc's, which add_keyword= takes",
    "conf": "go on using ccdproc's, whose auto_logging counts here too",
    "Conf": "go on using ccdproc's",
    **dict.fromkeys(
        (
            "cosmicray_median", "ccdmask", "transform_image", "median_filter", "block_replicate",
            "background_deviation_box", "background_deviation_filter",
        ),
        KEEP,
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "CCDData":
        from astropy.nddata import CCDData

        return CCDData
    if name not in TWINS:
        raise AttributeError(f"module 'xccd.ccdproc' has no attribute {name!r}")
    message = f"xccd.ccdproc has no {name}: {TWINS[name]}"
    # `from xccd.ccdproc import name` hides the text of an AttributeError, but hasattr() needs one.
    importing = sys._getframe(1).f_code.co_name == "_handle_fromlist"
    raise (ImportError if importing else AttributeError)(message)
