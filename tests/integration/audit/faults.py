"""A store that fails at one call: before the call acts, or just after it acted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from strongroom.storage import Condition, LocalObjectStore, ObjectInfo, Retention, StoreUnavailableError


class FaultyStore(LocalObjectStore):
    """Counts its calls, and at the `position`th does `fault` before or after it acts."""

    def __init__(self, directory: Any, position: int, *, after: bool, fault: Callable[[], None]) -> None:
        super().__init__(directory)
        self._position, self._after, self._fault = position, after, fault
        self._count_lock = threading.Lock()
        self.calls = 0

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        condition: Condition = Condition.IF_ABSENT,
        retention: Retention | None = None,
    ) -> ObjectInfo:
        return self._step(
            lambda: super(FaultyStore, self).put_bytes(key, data, condition=condition, retention=retention)
        )

    def get_bytes(self, key: str, **options: Any) -> bytes:
        return self._step(lambda: super(FaultyStore, self).get_bytes(key, **options))

    def head(self, key: str, **options: Any) -> ObjectInfo:
        return self._step(lambda: super(FaultyStore, self).head(key, **options))

    def _step(self, act: Callable[[], Any]) -> Any:
        with self._count_lock:
            self.calls += 1
            here = self.calls == self._position
        if here and not self._after:
            self._fault()
        result = act()
        if here and self._after:
            self._fault()
        return result


def unavailable() -> None:
    raise StoreUnavailableError("The store does not answer.")
