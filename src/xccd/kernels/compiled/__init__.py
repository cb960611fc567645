"""Kernels for numba; each has a twin of the same name in `plain`."""
