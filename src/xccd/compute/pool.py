"""The pool of threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from xccd.compute import progress

NAME = "xccd-pool"
_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.RLock()  # reentrant: `run_all` holds it while `_pool` takes it


def run_all(
    function: Callable[[int], None], count: int, threads: int, what: str = "", unit: str = "tiles"
) -> None:  # fmt: skip
    """Call ``function(i)`` for i from 0 to ``count - 1`` in the pool; ``what`` it does is shown by a bar, if wanted.

    The pool is filled under a lock, because a call with another count of threads shuts it down. In a thread of the pool
    (a user's function that calls a verb) the calls run one after another: waiting for the pool could wait for ever.
    """
    if what and count > 1 and progress.wanted():
        with progress.bar(what, count, unit) as shown:
            run_all(_counted(function, shown), count, threads)
        return
    if 1 in (count, threads) or threading.current_thread().name.startswith(NAME):
        for i in range(count):
            function(i)
        return
    with _pools_lock:
        done = _pool(threads).map(function, range(count))
    list(done)  # waits for all calls, or raises the first error


def _counted(function: Callable[[int], None], shown: progress.Bar) -> Callable[[int], None]:
    def counted(i: int) -> None:
        function(i)
        shown.add()

    return counted


def _pool(threads: int) -> ThreadPoolExecutor:
    """The pool of the process. If it has another count of threads it is replaced."""
    with _pools_lock:
        if threads not in _pools:
            for pool in _pools.values():
                pool.shutdown(wait=False)  # it finishes the work it has
            _pools.clear()
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix=NAME)
        return _pools[threads]


def _after_fork() -> None:
    """Begin without a pool in a forked child: neither its threads nor the holder of its lock exist there."""
    global _pools_lock
    _pools.clear()
    _pools_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
