"""The `xccd` command as a process of its own.

It is no part of the package because that imports xarray, which imports dask for any array where dask is installed. That
takes half a second, and `xccd combine` and `xccd calibrate` have no use for it, nor for `UNUSED`.
"""

import atexit
import gc
import os
import signal
import sys
import time
from contextlib import suppress

SAME = 1.0  # seconds within which a second signal is the first one's: a scheduler and a shell both send it
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
# What others import where it is installed: xarray dask, pandas pyarrow (0.1 s), numba SciPy, coverage and yaml.
UNUSED = ("dask", "scipy", "pyarrow", "coverage", "yaml")
NUMBAS_SETTINGS = ".numba_config.yaml"  # in this folder: then numba needs yaml
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # numbers of glibc's settings


class Listener:
    """Signals that end the process in order: by an exception, so that what is half written is taken away.

    While modules are imported it is raised where the next import begins: within one it might be lost, in a callback or
    in an ``except`` that looks for something else.
    """

    def __init__(self) -> None:
        self.heard: tuple[int, float] | None = None
        self.importing, self.over = True, False
        for name in ENDING:
            number = getattr(signal, name, None)  # not all are on Windows
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and "&" have it
                signal.signal(number, self.hear)
        atexit.register(self.ignore)  # the first is the last: then Python gives signals back to the system, which kills
        sys.meta_path.insert(0, self)  # a finder that finds nothing

    def hear(self, number: int, _: object) -> None:
        """A signal, in the main thread."""
        now = time.monotonic()
        again = self.heard is not None and now - self.heard[1] < SAME
        if again:
            return
        self.heard = number, now
        if self.over:  # all is cleared away, and something hangs
            os._exit(128 + number)
        if not self.importing:
            self.end()

    def ignore(self) -> None:
        """Nothing is left to end."""
        for name in ENDING:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)

    def find_spec(self, *_: object) -> None:
        """What is asked before each import."""
        if self.heard and self.importing:
            self.end()

    def imported(self) -> None:
        """From now on an exception ends what is at work."""
        sys.meta_path.remove(self)
        self.importing = False
        if self.heard:
            self.end()

    def end(self) -> None:
        """Raise for the signal that was heard."""
        number = self.heard[0] if self.heard else signal.SIGINT
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        os.write(2, b"xccd: terminated\n")
        raise SystemExit(128 + number)


def block_unused() -> None:
    """Let imports of `UNUSED` fail; what is imported already stays, as coverage where it measures this process."""
    for name in UNUSED:
        if name != "yaml" or not os.path.exists(NUMBAS_SETTINGS):
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def keep_memory() -> None:
    """Let glibc keep what is freed for the next band, where else the system takes it back and clears it again.

    That was half of the time from reading to writing 25 frames of 2048 x 2048. The most that is kept is 512 MB.
    """
    with suppress(ImportError, OSError, TypeError, AttributeError):  # another C library
        import ctypes

        setting = ctypes.CDLL(None).mallopt
        setting(MMAP_THRESHOLD, 32 << 20)  # the greatest that it takes: larger memory is never kept
        setting(TRIM_THRESHOLD, 512 << 20)


def run() -> None:
    """Run the command."""
    if next((word for word in sys.argv[1:] if not word.startswith("-")), "") in ("combine", "calibrate"):
        block_unused()
        keep_memory()
    gc.disable()  # all that is imported stays: to search it for garbage takes a fifth of the start
    listener = Listener()
    try:
        from xccd.cli.main import main

        gc.freeze()
        gc.set_threshold(100_000)  # numba's modules come later; to search them for garbage took 30 ms
        gc.enable()
        listener.imported()
        main()
    except KeyboardInterrupt:
        os.write(2, b"xccd: interrupted\n")
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        listener.over = True
