"""The pool of threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

NAME = "xccd-pool"
_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.RLock()


def run_all(function: Callable[[int], None], count: int, threads: int) -> None:
    """``function`` of 0 to ``count - 1`` in the pool, filled under its lock: another number of threads has to wait.

    In a thread of the pool (a user's function that calls a verb) one after the other: nobody is left to wait for.
    """
    if 1 in (count, threads) or threading.current_thread().name.startswith(NAME):
        for i in range(count):
            function(i)
        return
    with _pools_lock:
        done = _pool(threads).map(function, range(count))
    list(done)


def _pool(threads: int) -> ThreadPoolExecutor:
    """The process's one pool, made anew where another number of threads is asked for."""
    with _pools_lock:
        if threads not in _pools:
            for pool in _pools.values():
                pool.shutdown(wait=False)  # what it was given, it finishes
            _pools.clear()
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix=NAME)
        return _pools[threads]


def _after_fork() -> None:
    """The threads of a pool, and who holds its lock, are not there in a forked child."""
    global _pools_lock
    _pools.clear()
    _pools_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
