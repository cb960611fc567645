"""Errors of kernels that the samples did not cause."""


class BuildError(RuntimeError):
    """A kernel could not be compiled, so the numba engine cannot be used."""
