"""Kernels for NumPy; each has a twin of the same name in `compiled`."""
