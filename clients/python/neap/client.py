# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The daemon, as an object: calls, batches, the console, events.

A connection that breaks is made again for up to patience_s. Calls that the daemon cannot have had, because
it was gone before, are made on the new one, and so are those that may be made twice: those that only read,
and those with an idempotency key, which every call gets that takes one. For all others the client cannot know
whether they were carried out, and raises ConnectionLost.
"""
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Type, TypeVar

from neap.events import Events
from neap.methods import ERRORS, Methods
from neap.wire import Call, Connection, ConnectionLost, Error, NotSent, Outcome, as_it_is, make_call

T = TypeVar("T")

BATCH_MAX_CALLS = 64  # what the daemon takes in one message
BATCH_MAX_BYTES = 1 << 19
RETRY_FIRST_S, RETRY_MOST_S = 0.02, 1.0
GRACE_S = 2.0  # beyond a call's own deadline, until the daemon's answer to that is here


def find_socket(read_only: bool = False) -> str:
    """The daemon's socket: $NEAP_HOST_SOCKET, this user's own, or the host's."""
    name = "neapd-ro.sock" if read_only else "neapd.sock"
    given = os.environ.get("NEAP_HOST_SOCKET")
    if given:
        return given
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    own = os.path.join(runtime, "neapd", name)
    return own if runtime.startswith("/") and os.path.exists(own) else os.path.join("/run/neapd", name)


def error_of(answer: Dict[str, Any]) -> Error:
    """The error of its code's class."""
    code = int(answer.get("code", 0))
    return ERRORS.get(code, Error)(code, str(answer.get("message", "")), answer.get("data"))


class Client:
    """A connection to one socket: of the daemon, or of a single VM (then only call() is of use)."""

    def __init__(self, path: Optional[str] = None, *, patience_s: float = 10.0) -> None:
        self.path = path or find_socket()
        self.patience_s = patience_s
        self._lock = threading.Lock()
        self._connection: Optional[Connection] = None
        try:
            self._connection = Connection(self.path, error_of)
        except ConnectionRefusedError:
            pass  # a daemon was there, and may be again when the first call is made

    def __enter__(self: "C") -> "C":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _exchange_once(self, calls: List[Call[Any]], until: Optional[float]) -> List[Outcome[Any]]:
        if not self._connection:
            self._connection = Connection(self.path, error_of)
        try:
            return self._connection.exchange(calls, until)
        except (OSError, Error):
            self._disconnect()  # what comes on it now would be the answer to something else
            raise

    def _exchange(self, calls: List[Call[Any]]) -> List[Outcome[Any]]:
        """Locked by the caller."""
        deadlines_ms = [call.params["deadline_ms"] for call in calls if "deadline_ms" in call.params]
        until = None
        if len(deadlines_ms) == len(calls):
            until = time.monotonic() + max(deadlines_ms) / 1000 + GRACE_S
        give_up = time.monotonic() + self.patience_s
        pause_s = RETRY_FIRST_S
        while True:
            was_connected = self._connection is not None
            try:
                return self._exchange_once(calls, until)
            except TimeoutError:
                raise
            except OSError as error:
                # Where there was no connection, or it broke before the end of the line, nothing was done.
                may_be_done = isinstance(error, ConnectionLost) and not isinstance(error, NotSent)
                may_repeat = not may_be_done or all(call.may_repeat for call in calls)
                if not may_repeat or time.monotonic() > give_up:
                    raise
            if not was_connected:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MOST_S)

    def do(self, call: Call[T]) -> T:
        """Make one call; its result."""
        with self._lock:
            result: T = self._exchange([call])[0].value()
            return result

    def call(self, method: str, may_repeat: bool = False, **params: Any) -> Any:
        """Any method by its name; its result as JSON has it."""
        return self.do(make_call(method, params, as_it_is, may_repeat))

    def batch(self, calls: Sequence[Call[T]]) -> List[Outcome[T]]:
        """Make many calls in few messages; an outcome for each, in the same order. A call that fails does not
        stop the others."""
        done: List[Outcome[T]] = []
        with self._lock:
            for part in split(calls):
                try:
                    done += self._exchange(part)
                except ConnectionLost as error:
                    error.done = done
                    raise
        return done


C = TypeVar("C", bound=Client)


def split(calls: Sequence[Call[T]]) -> List[List[Call[T]]]:
    """In parts that the daemon takes in one message."""
    parts: List[List[Call[T]]] = []
    room_bytes = 0
    for call in calls:
        size_bytes = len(repr(call.params)) * 2 + 100  # JSON may escape, and is seldom longer than that
        if not parts or len(parts[-1]) == BATCH_MAX_CALLS or size_bytes > room_bytes:
            parts.append([])
            room_bytes = BATCH_MAX_BYTES
        parts[-1].append(call)
        room_bytes -= size_bytes
    return parts


class Host(Client, Methods):
    """The daemon. Its verbs are methods.Methods; a Host may be shared by threads, whose calls then take turns."""

    def vm_console(self, vm: str, *, deadline_ms: Optional[int] = None) -> socket.socket:
        """The console of a VM, connected: bytes both ways."""
        call = make_call("vm.console", {"vm": vm, "how": "fd", "deadline_ms": deadline_ms}, as_it_is, False)
        with self._lock:
            self._exchange([call])[0].value()
            descriptor = self._connection.take_descriptor() if self._connection else None
        if descriptor is None:
            raise Error(0, "the daemon's answer came without the console's descriptor")
        return socket.socket(fileno=descriptor)

    def events(self, kinds: Optional[Sequence[str]] = None, vms: Optional[Sequence[str]] = None,
               after: Optional[int] = None) -> Events:
        """Follow events, on a connection of their own: of these kinds, of these VMs (None: of all), beginning with
        those kept after a number. What happens once this has returned is among them."""
        return Events(self.path, error_of, kinds, vms, after, self.patience_s)
