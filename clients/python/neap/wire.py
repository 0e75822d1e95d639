# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Calls and answers as values, and one connection that carries them: JSON-RPC 2.0, a message per line."""
import dataclasses
import itertools
import json
import os
import socket
import time
import uuid
from typing import Any, Callable, Dict, Generic, List, Optional, Type, TypeVar

T = TypeVar("T")

MESSAGE_MAX_BYTES = 64 << 20  # of the daemon's; a list of thousands of VMs is a few MiB
RECEIVE_BYTES = 1 << 16
DESCRIPTORS_MAX = 4


class Error(Exception):
    """The daemon's answer was an error. Its code is stable; methods.py has a class for each."""

    code = 0

    def __init__(self, code: int, message: str, data: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data or {}
        self.hint = str(self.data.get("hint", ""))


class ConnectionLost(ConnectionError):
    """The connection ended before the answer came. Whether the call was carried out is not known; `done` has
    the outcomes of a batch's calls that were answered before."""

    done: "List[Outcome[Any]]" = []


class NotSent(ConnectionLost):
    """The connection ended before the daemon had the whole line, so it carried out nothing of it."""


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one call of a batch, or of one VM of a selection: a result or an error."""

    vm: Optional[str]
    result: Optional[T]
    error: Optional[Error]

    def value(self) -> T:
        """The result; raises the error when there is none."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


@dataclasses.dataclass(frozen=True)
class Call(Generic[T]):
    """A call that has not been made yet: see methods.Calls."""

    method: str
    params: Dict[str, Any]
    decode: Callable[[Any], T]
    may_repeat: bool  # it reads only, or has a key by which the daemon knows it again


def make_call(method: str, params: Dict[str, Any], decode: Callable[[Any], T], may_repeat: bool) -> Call[T]:
    """Parameters that are None are left out."""
    return Call(method, {name: value for name, value in params.items() if value is not None}, decode, may_repeat)


def as_it_is(value: Any) -> Any:
    """A result that needs no decoding."""
    return value


def new_key() -> str:
    """An idempotency key that nobody used before."""
    return str(uuid.uuid4())


def decode_object(kind: Type[T], value: Any) -> T:
    """An object of a result as its dataclass: what is absent is None, `raw` has all of it."""
    if not isinstance(value, dict):
        raise Error(0, "the daemon's answer is no object: %.80r" % (value,))
    members = {}
    for field in dataclasses.fields(kind):
        if field.name == "raw":
            members["raw"] = value
        elif field.name in value:
            members[field.name] = value[field.name]
        elif field.default is dataclasses.MISSING:
            raise Error(0, "the daemon's answer has no member %s; is it of another version?" % field.name)
    return kind(**members)


class Connection:
    """One socket, used by one thread at a time. Notifications go to @on_notification as they come."""

    def __init__(self, path: str, error_of: Callable[[Dict[str, Any]], Error],
                 on_notification: Optional[Callable[[Dict[str, Any]], None]] = None) -> None:
        self._error_of = error_of
        self._on_notification = on_notification
        self._buffer = b""
        self._descriptors: List[int] = []
        self._ids = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            error.filename = path  # which socket, in what is printed
            raise

    def close(self) -> None:
        self._socket.close()
        self._drop_descriptors()

    def _drop_descriptors(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def take_descriptor(self) -> Optional[int]:
        """One that came with the last answer. The caller's from now on."""
        return self._descriptors.pop(0) if self._descriptors else None

    def _receive(self, until: Optional[float]) -> None:
        """Some more bytes; TimeoutError at @until (time.monotonic())."""
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left)
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, RECEIVE_BYTES, DESCRIPTORS_MAX)
        except socket.timeout:
            raise TimeoutError("no answer in time") from None
        except OSError as error:
            raise ConnectionLost("the connection to neapd broke: %s" % error) from error
        self._descriptors += descriptors
        if not data:
            raise ConnectionLost("neapd closed the connection")
        self._buffer += data

    def message(self, until: Optional[float]) -> Any:
        """The next message, of whatever kind."""
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                break
            searched = len(self._buffer)
            if searched > MESSAGE_MAX_BYTES:
                raise ConnectionLost("neapd sent a message of more than %d bytes" % MESSAGE_MAX_BYTES)
            self._receive(until)
        line, self._buffer = self._buffer[:end], self._buffer[end + 1:]
        try:
            return json.loads(line)
        except ValueError as error:
            raise ConnectionLost("neapd sent what is no JSON: %s" % error) from error

    def has_buffered(self) -> bool:
        return b"\n" in self._buffer

    def send(self, message: Any, until: Optional[float]) -> None:
        text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        self._socket.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        try:
            self._socket.sendall(text)
        except socket.timeout:
            raise TimeoutError("neapd does not read") from None
        except OSError as error:
            raise NotSent("the connection to neapd broke: %s" % error) from error

    def request(self, call: "Call[Any]") -> Dict[str, Any]:
        """As JSON-RPC has it, with an id of its own."""
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": call.method, "params": call.params}

    def _answers(self, until: Optional[float]) -> List[Dict[str, Any]]:
        """The next message that is no notification: an answer or the answers of a batch."""
        while True:
            message = self.message(until)
            if isinstance(message, dict) and "method" in message:
                if self._on_notification:
                    self._on_notification(message)
            elif isinstance(message, (dict, list)):
                return message if isinstance(message, list) else [message]

    def exchange(self, calls: "List[Call[Any]]", until: Optional[float]) -> "List[Outcome[Any]]":
        """Make the calls, as a batch when they are many; their outcomes in the same order."""
        self._drop_descriptors()
        requests = [self.request(call) for call in calls]
        self.send(requests if len(requests) > 1 else requests[0], until)
        waiting = {request["id"] for request in requests}
        answers: Dict[int, Dict[str, Any]] = {}
        while waiting:
            for answer in self._answers(until):
                number = answer.get("id")
                if number is None and "error" in answer:  # of the message as a whole
                    raise self._error_of(answer["error"])
                if isinstance(number, int) and number in waiting:
                    waiting.remove(number)
                    answers[number] = answer
        return [self._outcome(call, answers[request["id"]]) for call, request in zip(calls, requests)]

    def _outcome(self, call: "Call[Any]", answer: Dict[str, Any]) -> "Outcome[Any]":
        vm = call.params.get("vm")
        if "error" in answer:
            return Outcome(vm, None, self._error_of(answer["error"]))
        return Outcome(vm, call.decode(answer.get("result")), None)
