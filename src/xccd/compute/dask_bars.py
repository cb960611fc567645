"""Bars for what dask computes: a callback for its own schedulers, a thread that asks that of dask.distributed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from xccd.compute import options, progress

# What tasks do, by the parts of their names, most of which are names of functions.
WORK = {
    "together": "align", "levelled": "normalize", "factors_of_levels": "normalize", "run_alone": "clip",
    "clipped": "clip", "run": "combine", "by_function": "combine", "finished": "combine", "merged": "combine",
    "of_blocks": "stats", "of_strip": "overlaps",
}  # fmt: skip
READS = {"open_stack", "stored", "original"}  # these files are read for something else, or for themselves
LOOK = 0.25  # seconds between two looks at a cluster, or more if a look takes long
NEAR = 0.05  # seconds between two looks at what this process knows by itself: the bar is gone soon after the work
SHARE = 20  # of the time, one part in so many goes to looking: a scheduler with many tasks takes long to count them
BUSY = ("waiting", "processing", "queued", "no-worker")  # states of tasks that are to be done

_held: dict[int, Any] = {}  # the bar of each graph that is computed, by the identity of its state
_callback: Any = None
_watched: WeakKeyDictionary[Any, threading.Thread] = WeakKeyDictionary()  # clients, and what looks at them


def changed() -> None:
    """Set up what shows bars, or take it away, as the setting says. Called for each lazy result: threads that compute
    at one time make dask forget callbacks.
    """
    global _callback
    if not options.progress():
        if _callback is not None:
            type(_callback).active.discard(_callback._callback)
        return
    if not progress.wanted():
        return
    try:
        from dask.callbacks import Callback

        if _callback is None:
            _callback = Callback(start_state=_start, posttask=_done, finish=_end)
        Callback.active.add(_callback._callback)
        _watch()
    except Exception as error:  # another dask: no bar is worth an error
        progress.log.debug("no bars for dask: %s: %s", type(error).__name__, error)


options.LISTENERS.append(changed)


def work_of(keys: Iterable[Any]) -> str:
    """What tasks with these keys do, in a word or more."""
    names = {str(key[0] if isinstance(key, tuple) and key else key) for key in keys}
    parts = {part.strip("_") for name in names for part in name.split("-")}
    words = dict.fromkeys(word for part, word in WORK.items() if part in parts)
    return ", ".join(words) or ("read" if parts & READS else "compute")


def _start(graph: Any, state: Any) -> None:
    try:
        total = sum(len(state[k]) for k in ("ready", "waiting", "running", "finished"))
        if total < 2:  # one task has no progress: a label, or a look at what the scheduler can do
            return
        opened = progress.begun(work_of(graph) if progress.wanted() else "", total, "tasks")
        if opened is not progress.NO_BAR:
            _held[id(state)] = opened
    except Exception as error:
        progress.log.debug("no bar: %s: %s", type(error).__name__, error)


def _done(key: Any, result: Any, graph: Any, state: Any, worker: Any) -> None:
    shown = _held.get(id(state))
    if shown is not None:
        shown.add()


def _end(graph: Any, state: Any, failed: bool) -> None:
    progress.ended(_held.pop(id(state), progress.NO_BAR))


def _watch() -> None:
    """Start the thread that looks at a cluster, if there is one and it is not looked at yet."""
    client = _client()
    if client is not None and not (_watched.get(client) or threading.Thread()).is_alive():
        _watched[client] = threading.Thread(target=_look, args=(client,), name="xccd-progress", daemon=True)
        _watched[client].start()


def _client() -> Any:
    """The client of dask.distributed in use here, if it can be asked from a thread."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        client = default_client()
    except ValueError:
        return None
    return client if client.status == "running" and not client.asynchronous else None


def _look(client: Any) -> None:
    """Show a bar while a cluster works for this process, as long as bars are wanted and the client is there."""
    while options.progress() and client.status == "running":
        try:
            if keys := _pending(client):
                _show(client, keys)
        except Exception as error:
            progress.log.debug("no bar of the cluster: %s: %s", type(error).__name__, error)
        time.sleep(LOOK)


def _pending(client: Any) -> list[Any]:
    """The keys that this process waits for."""
    return [key for key, state in list(client.futures.items()) if state.status == "pending"]


def _show(client: Any, keys: list[Any]) -> None:
    """A bar until nothing of this is pending; its total is the most tasks that were ever to be done."""
    most, names = client.run_on_scheduler(_counter(), keys=keys)
    what = work_of(names)  # now: the last task of all only puts the image together
    with progress.bar(what, most, "tasks") as shown:
        again = 0.0
        while options.progress() and client.status == "running" and (keys := _pending(client)):
            began = time.monotonic()
            if shown is not progress.NO_BAR and began >= again:
                left, _ = client.run_on_scheduler(_counter(), keys=keys)
                most = max(most, left)
                shown.say(what, most - left, most)
                again = time.monotonic() + max(LOOK, SHARE * (time.monotonic() - began))
            time.sleep(NEAR)


def _counter() -> Any:
    """The function that the scheduler runs. It is made here to be sent as it is: a scheduler need not have xccd."""
    busy = BUSY

    def count(keys: list[Any], dask_scheduler: Any = None) -> tuple[int, list[Any]]:
        """How many tasks must still be done for these keys, and one key of each group of them."""
        found, names = 0, {}
        stack = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
        seen = set(stack)
        while stack:
            task = stack.pop()
            if task.state in busy:
                found += 1
                names[task.group_key] = task.key
                new = [one for one in task.dependencies if one not in seen]
                seen.update(new)
                stack += new
        return found, list(names.values())

    return count
