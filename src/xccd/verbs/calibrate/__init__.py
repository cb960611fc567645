"""Calibration: overscan, bias, dark and flat taken off frames, with their errors and flags."""
