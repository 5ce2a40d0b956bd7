"""Ports on 127.0.0.1 for every part: those of the last start where they are free, others where not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping

LOOPBACK = "127.0.0.1"

CONTROL, SHOP = "control", "shop"
S3, S3_GRPC = "s3", "s3_grpc"
FILER, FILER_GRPC = "filer", "filer_grpc"
MASTER, MASTER_GRPC = "master", "master_grpc"
VOLUME, VOLUME_GRPC = "volume", "volume_grpc"
UI, SCHEDULER_HEALTH = "ui", "scheduler_health"

_WISHES: Mapping[str, int] = {UI: 8080}


def choose_ports(
    purposes: Iterable[str], *, previous: Mapping[str, int], in_use: Iterable[str] = ()
) -> dict[str, int]:
    """A port for each purpose, no two the same.

    Args:
        purposes: what ports are for.
        previous: the ports of the last start, taken again where they are free.
        in_use: purposes whose parts run right now; their ports stay as they are.
    """
    kept = {name: previous[name] for name in in_use if name in previous}
    with contextlib.ExitStack() as held:
        chosen = dict(kept)
        for name in purposes:
            if name not in chosen:
                wish = previous.get(name, _WISHES.get(name, 0))
                chosen[name] = _hold(held, wish, set(chosen.values()))
    return chosen


def listening(port: int) -> bool:
    """Whether something takes connections on the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _hold(held: contextlib.ExitStack, wish: int, taken: set[int]) -> int:
    """Bind the wished port, or any free one, until all are chosen."""
    for port in (wish, 0):
        if port in taken:
            continue
        handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            handle.bind((LOOPBACK, port))
        except OSError:
            handle.close()
            continue
        held.enter_context(handle)
        return int(handle.getsockname()[1])
    raise OSError("no free port")
