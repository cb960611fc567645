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


def check_cluster(options: dict[str, Any]) -> None:
    """Raise if the options cannot go together, or dask.distributed is not installed."""
    given = [name for name in ("scheduler", "workers") if options[name] is not None]
    if len(given) > 1:
        raise Stop(USAGE, "--scheduler and --workers were both given: the cluster has its own workers")
    if given:
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise Stop(
                USAGE,
                f"--{given[0]} needs dask.distributed, which is not installed: pip install 'xccd[distributed]' or "
                "conda install distributed",
            ) from error


@contextmanager
def cluster(options: dict[str, Any]) -> Iterator[None]:
    """A block in which the cluster of the options works; nothing without them."""
    check_cluster(options)
    if options["scheduler"] is None and options["workers"] is None:
        yield
        return
    client = _client(options["scheduler"], options["workers"])
    try:
        yield
    finally:
        client.close()
        if client.cluster is not None:
            client.cluster.close()


def _client(address: str | None, workers: int | None) -> Any:
    from distributed import Client, LocalCluster

    if address is None:
        return Client(LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None))
    with stage(USAGE, ValueError, of="--scheduler"), stage(RUN_FAILED, OSError, of="--scheduler"):
        return Client(address, timeout="10s")
