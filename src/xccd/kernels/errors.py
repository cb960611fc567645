"""What kernels raise that is no fault of the samples."""


class BuildError(RuntimeError):
    """A kernel could not be compiled: the numba engine is of no use here."""
