"""A connection to a server that breaks when a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class BreakingProxy:
    """Forwards connections to a port of 127.0.0.1, and cuts the answers of as many as it was told.

    Args:
        port: of the server.
        cuts: after how many bytes of the answer each of the first connections is cut.
    """

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._target, self._cuts = port, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.connections = 0

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> BreakingProxy:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            _cut(one)
        for thread in self._threads:
            thread.join(10)
        for one in self._sockets:
            one.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                limit = self._cuts[self.connections] if self.connections < len(self._cuts) else None
                self.connections += 1
                self._start(_forward, near, far, None)
                self._start(_forward, far, near, limit)


def _forward(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    """Pass on what comes, up to the limit; then end both sides."""
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if limit is not None and passed + len(data) > limit:
                target.sendall(data[: limit - passed])
                break
            target.sendall(data)
            passed += len(data)
    _cut(source)
    _cut(target)


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
