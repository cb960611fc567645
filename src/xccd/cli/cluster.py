"""The options --scheduler and --workers: work on a cluster of dask.distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from xccd.cli.shell import RUN_FAILED, USAGE, Stop, stage

Function = Callable[..., Any]


def cluster_options(function: Function) -> Function:
    """--scheduler and --workers."""
    for option in (
        click.option("--scheduler", metavar="ADDRESS",
                     help="Work on the dask cluster there, as tcp://10.0.0.1:8786; it must see the files."),
        click.option("--workers", type=click.IntRange(min=1), metavar="N",
                     help="Work in N processes of this machine, by dask.distributed."),
    ):  # fmt: skip
        function = option(function)
    return function


@contextmanager
def cluster(options: dict[str, Any]) -> Iterator[None]:
    """A block in which the cluster of the options works; nothing without them."""
    address, workers = options["scheduler"], options["workers"]
    if address is not None and workers is not None:
        raise Stop(USAGE, "--scheduler and --workers were both given: the cluster has its own workers")
    if address is None and workers is None:
        yield
        return
    client = _client(address, workers)
    try:
        yield
    finally:
        client.close()
        if client.cluster is not None:
            client.cluster.close()


def _client(address: str | None, workers: int | None) -> Any:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        name = "scheduler" if address is not None else "workers"
        raise Stop(
            USAGE, f"--{name} needs dask.distributed, which is not installed: pip install 'xccd[distributed]'"
        ) from error
    if address is None:
        return Client(LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None))
    with stage(USAGE, ValueError), stage(RUN_FAILED, OSError, of=f"--scheduler {address}"):
        return Client(address, timeout="10s")
