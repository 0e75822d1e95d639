# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Events of a host, as they come, over connections that break: after each new one the daemon is asked for
what came after the last event seen, so none is lost that it still keeps, and none comes twice."""
import dataclasses
import time
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Type

from neap.wire import Connection, ConnectionLost, Error, as_it_is, make_call

RETRY_FIRST_S, RETRY_MOST_S = 0.02, 1.0
SUBSCRIBE_S = 30.0


@dataclasses.dataclass(frozen=True)
class Event:
    """One event; kind says what data has: see neap-api(7)."""

    seq: int
    time_ns: int  # the host's monotonic clock
    kind: str
    data: Dict[str, Any]
    vm: Optional[str] = None
    uuid: Optional[str] = None
    time: Optional[str] = None  # of day, RFC 3339


class Events:
    """An endless iterator. Used by one thread. `seq` is the number of the last event returned (give it as `after` to
    go on later), `missed` how many were lost because the daemon kept them no more when the connection was there
    again (`missed_is_bound`: at most so many, since another daemon came between), `connections` how often it was
    made."""

    def __init__(self, path: str, error_of: Callable[[Dict[str, Any]], Error], kinds: Optional[Sequence[str]],
                 vms: Optional[Sequence[str]], after: Optional[int], patience_s: float) -> None:
        self._path = path
        self._error_of = error_of
        self._filter = {"kinds": None if kinds is None else list(kinds), "vms": None if vms is None else list(vms)}
        self._patience_s = patience_s
        self._waiting: List[Event] = []
        self._connection: Optional[Connection] = None
        self._received = after  # greatest number so far, returned or not
        self.seq = after
        self.missed = 0
        self.missed_is_bound = False
        self.connections = 0
        try:
            self._connect()
        except ConnectionError:  # a daemon was there: it may be again
            self._connect_again(None)

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _keep(self, message: Dict[str, Any]) -> None:
        if message.get("method") != "event":
            return
        params = message.get("params", {})
        known = {field.name for field in dataclasses.fields(Event)}
        event = Event(**{name: value for name, value in params.items() if name in known})
        if self._received is None or event.seq > self._received:
            self._received = event.seq
            self._waiting.append(event)

    def _connect(self) -> None:
        connection = Connection(self._path, self._error_of, self._keep)
        call = make_call("events.subscribe", {**self._filter, "after": self._received}, as_it_is, True)
        try:
            answer = connection.exchange([call], time.monotonic() + SUBSCRIBE_S)[0].value()
        except (OSError, Error):
            connection.close()
            raise
        self.missed += int(answer.get("missed", 0))
        self.missed_is_bound |= bool(answer.get("missed_is_bound", False))
        if self._received is None:
            self._received = self.seq = int(answer["seq"])
        self._connection = connection
        self.connections += 1

    def _connect_again(self, until: Optional[float]) -> bool:
        """False: not by @until. Raises what stood in the way when patience is at its end."""
        give_up = time.monotonic() + self._patience_s
        pause_s = RETRY_FIRST_S
        while True:
            try:
                self._connect()
                return True
            except OSError:
                now = time.monotonic()
                if now > give_up:
                    raise
                if until is not None and now >= until:
                    return False
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MOST_S)

    def next(self, timeout_s: Optional[float] = None) -> Optional[Event]:
        """The next event; None: none came in time."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._waiting:
            try:
                if not self._connection and not self._connect_again(until):
                    return None
                if self._connection and not self._waiting:
                    self._keep(self._connection.message(until))
            except TimeoutError:
                return None
            except ConnectionLost:
                self.close()
        event = self._waiting.pop(0)
        self.seq = event.seq
        return event

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self.next()
            if event:
                yield event
