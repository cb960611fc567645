"""An array of frames through a block function: NumPy's, dask's, or one that waits. No FITS, no sky."""
