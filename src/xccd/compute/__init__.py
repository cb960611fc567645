"""Applies a block function to an array of frames: a NumPy, dask or deferred array. No FITS, no sky."""
