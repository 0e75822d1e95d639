# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The verbs of a host's daemon: what they take, what they return, how they fail.

Made by generate.py from the daemon's OpenRPC document; edit src/api/*.def instead.
"""
import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, TypeVar

from neap.wire import Call, Error, Outcome, decode_object, make_call, new_key

T = TypeVar("T")

__all__ = [
    "BusyError",
    "Calls",
    "DeadlineError",
    "ERRORS",
    "ExistsError",
    "ForbiddenError",
    "HostInfoResult",
    "HostPoolsResult",
    "InternalError",
    "InvalidParamsError",
    "InvalidRequestError",
    "KeyReusedError",
    "MethodNotFoundError",
    "Methods",
    "NoMemoryError",
    "NoVmError",
    "ParseError",
    "RpcDiscoverResult",
    "SilentError",
    "StateError",
    "TooLargeError",
    "UnsupportedError",
    "VmCreateResult",
    "VmDeleteResult",
    "VmInfoResult",
    "VmKillResult",
    "VmListResult",
    "VmLogsResult",
    "VmMemoryLimitResult",
    "VmMemoryResult",
    "VmMemorySetResult",
    "VmMemoryTraceResult",
    "VmMemoryWhyResult",
    "VmPauseResult",
    "VmResetResult",
    "VmResumeResult",
    "VmRunResult",
    "VmStartResult",
    "VmStopResult",
    "VmUpdateResult",
]


class ParseError(Error):
    """parse error: not JSON, or nested deeper than 64."""

    code = -32700


class InvalidRequestError(Error):
    """invalid request: JSON, but not a JSON-RPC 2.0 request."""

    code = -32600


class MethodNotFoundError(Error):
    """method not found: no such verb; see rpc.discover."""

    code = -32601


class InvalidParamsError(Error):
    """invalid params: a parameter is missing, unknown, of the wrong type or out of range."""

    code = -32602


class InternalError(Error):
    """internal error: neap could not do it; the message says why."""

    code = -32603


class StateError(Error):
    """wrong state: the VM's state does not allow it now."""

    code = 1


class UnsupportedError(Error):
    """unsupported: this VM has no such device or feature."""

    code = 2


class TooLargeError(Error):
    """message too large: more than 1 MiB in one message, or more than 64 calls in a batch."""

    code = 3


class ForbiddenError(Error):
    """forbidden: this socket or this user may not do that."""

    code = 4


class NoVmError(Error):
    """no such VM: no VM of that name or UUID is known; vm.list shows them."""

    code = 5


class ExistsError(Error):
    """exists already: a VM of that name or UUID is known already."""

    code = 6


class DeadlineError(Error):
    """deadline passed: no answer within deadline_ms; what was begun goes on."""

    code = 7


class NoMemoryError(Error):
    """memory cannot be granted: the host has not enough free memory for it; the message says how much there
    is. Ask with wait: true, or give memory back first.
    """

    code = 8


class SilentError(Error):
    """VM does not answer: the VM's process is there and does not answer; vm.kill ends it in any case."""

    code = 9


class KeyReusedError(Error):
    """key used for something else: the idempotency_key was used with another method or other parameters."""

    code = 10


class BusyError(Error):
    """busy: something else is being done with that VM; ask again when it is done."""

    code = 11


ERRORS: Dict[int, Type[Error]] = {
    -32700: ParseError,
    -32600: InvalidRequestError,
    -32601: MethodNotFoundError,
    -32602: InvalidParamsError,
    -32603: InternalError,
    1: StateError,
    2: UnsupportedError,
    3: TooLargeError,
    4: ForbiddenError,
    5: NoVmError,
    6: ExistsError,
    7: DeadlineError,
    8: NoMemoryError,
    9: SilentError,
    10: KeyReusedError,
    11: BusyError,
}


@dataclasses.dataclass(frozen=True)
class VmCreateResult:
    """Of vm.create. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # its name
    name: str
    # its UUID
    uuid: str


@dataclasses.dataclass(frozen=True)
class VmRunResult:
    """Of vm.run. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # its name
    name: str
    # its UUID
    uuid: str
    # process id of the VM
    pid: int
    # its state
    state: str


@dataclasses.dataclass(frozen=True)
class VmStartResult:
    """Of vm.start. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # process id of the VM
    pid: int
    # its state
    state: str


@dataclasses.dataclass(frozen=True)
class VmDeleteResult:
    """Of vm.delete. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # its name
    name: str


@dataclasses.dataclass(frozen=True)
class VmUpdateResult:
    """Of vm.update. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # of all that was to change, what holds at once: options, label.NAME, autostart, restart
    live: List[Any]
    # the rest: options that hold from the next start on
    next_start: List[Any]


@dataclasses.dataclass(frozen=True)
class VmListResult:
    """Of vm.list. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # per VM: name, uuid, state, reason, labels, autostart, restart, restarts, transient, cpus, and of one
    # that runs pid, uptime_ns, grant_bytes (absent without one) and usage (see vm.memory and api/usage.def)
    vms: List[Any]
    # there are more after the last of these; absent when no limit was given
    more: Optional[bool] = None


@dataclasses.dataclass(frozen=True)
class VmInfoResult:
    """Of vm.info. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the VM's name
    name: str
    # the VM's UUID
    uuid: str
    # one of the states
    state: str
    # why it is in that state, in words; empty when there is nothing to say
    reason: str
    # the whole configuration, as vm.json; of one that runs, the one it runs with
    config: Dict[str, Any]
    # what the daemon knows: labels, autostart, restart, restarts, transient, adopted, log_path, next_start
    # (options that wait for the next start), grant_bytes; exit_code and ended_ago_ms of the last end
    host: Dict[str, Any]
    # process id of the VM; this and all other members of a VM's own answer are absent when it does not run
    pid: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class VmLogsResult:
    """Of vm.logs. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the file; the one before it ends in .1
    path: str
    # the lines, oldest first
    lines: List[Any]


@dataclasses.dataclass(frozen=True)
class HostInfoResult:
    """Of host.info. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # version of the daemon
    neap_version: str
    # process id of the daemon
    pid: int
    # nanoseconds since the daemon was started
    uptime_ns: int
    # where VMs are stored
    state_dir: str
    # how many VMs are in which state
    vms: Dict[str, Any]
    # connections now
    connections: int
    # files that could not be read and were set aside, each as path: reason
    set_aside: List[Any]
    # where metrics and the page are told: at (a path, or 127.0.0.1:PORT), and error where nobody is answered
    # now, which is tried again; empty when they are off
    metrics: List[Any]


@dataclasses.dataclass(frozen=True)
class HostPoolsResult:
    """Of host.pools. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # per pool: name, frame_bytes, total_bytes, free_bytes, used_bytes (by VMs), granted_bytes, promised_bytes
    # (wanted, granted and not used yet), lent_bytes (granted beyond what is wanted, until somebody needs it),
    # others_bytes (used by others), room_bytes (could still be promised), state (clear, soft, hard or low),
    # marks (soft_bytes, hard_bytes and low_bytes free, below which that state begins; clear_bytes, above
    # which soft ends), waiting (VMs that wait for memory: vm, startup_bytes), and vms: vm, uuid,
    # minimum_bytes, want_bytes, held_bytes, grant_bytes, weight, active_percent (absent when not known), rho
    # (weight per GiB that it shall have, idle memory counted four times: reclaimed from the lowest first),
    # answering, waits (its guest does, for a larger grant)
    pools: Optional[List[Any]] = None


@dataclasses.dataclass(frozen=True)
class RpcDiscoverResult:
    """Of rpc.discover. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # version of OpenRPC; the other members are that standard's
    openrpc: str


@dataclasses.dataclass(frozen=True)
class VmMemoryResult:
    """Of vm.memory. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # guest RAM
    maximum_bytes: int
    # what the VM's RAM holds of the host now, exact
    resident_bytes: int
    # most that it may hold; what is above goes to swap; 0 is no limit
    limit_bytes: int
    # bytes of guest RAM by the state of their block of 2 MiB: absent, resident, sampled, writing, swapped,
    # reading
    frames: Dict[str, Any]
    # of the sampled: prepared ahead of need and not touched yet
    fresh_bytes: int
    # what the guest is asked to hand over
    asked_bytes: int
    # what the guest has handed over
    taken_bytes: int
    # what of it the host really got back: blocks that were handed over whole, and pages handed over in blocks
    # that went to swap or hold nothing
    returned_bytes: int
    # reported free by the guest and dropped since the start; frames that held nothing count too
    reported_total_bytes: int
    # true while a vCPU waits for a free host frame
    waiting: bool
    # times the VM had to wait for a free host frame
    waits: int
    # nanoseconds spent waiting for free host frames
    waited_ns: int
    # touches of guest memory that the pager answered, since the start
    faults: int
    # microseconds that vCPUs and devices slept in those, summed up, since the start
    stall_us: int
    # of these, microseconds because the host had no free frame
    starved_us: int
    # of these, microseconds because the VM's grant allowed no more
    over_grant_us: int
    # first touches since the start that found a block prepared ahead of need
    ahead_hits: int
    # driver_ready, features, inflated_total_pages, deflated_total_pages, ignored_pages, guest_actual_pages
    balloon: Dict[str, Any]
    # the numbers that others follow, as the event memory.usage has them (api/usage.def), now
    usage: Dict[str, Any]
    # what the VM may hold of the host now by its grant, slack included; more where it held more when the
    # grant was made smaller, and has not given that back yet; absent when it has no grant
    grant_most_bytes: Optional[int] = None
    # size_bytes and used_bytes of the swap file; since the start: out_bytes, in_bytes, zero_bytes (went out
    # without being stored), aborts (the guest came first), refaults, write_errors, read_errors; closed (after
    # errors nothing more goes out); absent when the VM has no swap
    swap: Optional[Dict[str, Any]] = None
    # of the last period: active_percent (the share of the sample that was touched again), sampled_blocks;
    # periods since the start; absent when no period has ended yet
    sampler: Optional[Dict[str, Any]] = None
    # what the guest says of itself, with age_ns; absent when it never said anything
    statistics: Optional[Dict[str, Any]] = None
    # the host's pool: frame_bytes, total_bytes, free_bytes; absent when guest RAM is on 4 KiB frames
    pool: Optional[Dict[str, Any]] = None
    # dynamic memory. The settings: mode (auto, manual or off), startup_bytes, minimum_bytes, buffer_percent,
    # weight, reserved; the last decision: assigned_bytes (what the guest has), demand_bytes (what it needs;
    # absent when it never told), want_bytes (with its buffer), target_bytes, available_bytes,
    # swap_limit_bytes, pressure_percent and average_pressure_percent (demand in percent of assigned), status
    # (OK, Low or Warning), rule (see vm.memory.why), decided_ago_ms; what it was made from: host (clear,
    # soft, hard or low; absent when it cannot be read), host_free_bytes, grant_bytes (absent without one);
    # since the start: added_bytes, added_operations, removed_bytes, removed_operations, ticks, tick_us_mean
    # and tick_us_worst (CPU time); absent when the VM has no balloon
    policy: Optional[Dict[str, Any]] = None


@dataclasses.dataclass(frozen=True)
class VmMemorySetResult:
    """Of vm.memory.set. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the balloon's target; in mode auto the policy moves it soon
    asked_bytes: int
    # the mode from now on
    mode: str
    # the mode until now
    mode_before: str
    # the minimum from now on
    minimum_bytes: int
    # the buffer from now on
    buffer_percent: int
    # the weight from now on
    weight: int


@dataclasses.dataclass(frozen=True)
class VmMemoryWhyResult:
    """Of vm.memory.why. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # what was decided and why, in sentences; the other members are the same as numbers
    text: str
    # the rule that bound the decision
    rule: str
    # what that rule means
    meaning: str
    # what the policy waits for before it does more; empty when for nothing
    waits_for: str
    # auto, manual or off
    mode: str
    # OK (demand and buffer are met), Low (the buffer is not) or Warning (demand is not, or the guest waits
    # for memory)
    status: str
    # demand and buffer, within minimum and maximum
    want_bytes: int
    # what the guest has: maximum less what it handed over
    assigned_bytes: int
    # of it, above demand
    available_bytes: int
    # what it shall have from now on
    target_bytes: int
    # most of it that may stay in RAM; 0 is no limit
    swap_limit_bytes: int
    # demand in percent of assigned
    pressure_percent: int
    # the same, smoothed
    average_pressure_percent: int
    # milliseconds since the decision
    decided_ago_ms: int
    # what the guest needs; absent when it never told
    demand_bytes: Optional[int] = None
    # how short the host is: clear, soft, hard or low; absent when it cannot be read
    host: Optional[str] = None
    # what this VM could still get of the host; absent when it cannot be read
    host_free_bytes: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class VmMemoryTraceResult:
    """Of vm.memory.trace. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the names of the columns
    header: str
    # a line per decision, oldest first; at most 128 are kept
    rows: List[Any]
    # number of the newest decision; the first is 1
    last: int
    # decisions after the asked one that are not kept any more
    lost: int


@dataclasses.dataclass(frozen=True)
class VmMemoryLimitResult:
    """Of vm.memory.limit. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the limit from now on; resident_bytes of vm.memory shows how far it has come
    limit_bytes: int


@dataclasses.dataclass(frozen=True)
class VmPauseResult:
    """Of vm.pause. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # paused
    state: str


@dataclasses.dataclass(frozen=True)
class VmResumeResult:
    """Of vm.resume. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the state afterwards
    state: str


@dataclasses.dataclass(frozen=True)
class VmStopResult:
    """Of vm.stop. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the state now
    state: str


@dataclasses.dataclass(frozen=True)
class VmResetResult:
    """Of vm.reset. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # the state afterwards
    state: str


@dataclasses.dataclass(frozen=True)
class VmKillResult:
    """Of vm.kill. `raw` is the whole answer."""

    raw: Dict[str, Any] = dataclasses.field(repr=False)
    # stopped
    state: str


def _outcomes(kind: Type[T], error_of: "Mapping[int, Type[Error]]", value: Any) -> List[Outcome[T]]:
    """The answer to a selector, per VM."""
    outcomes: List[Outcome[T]] = []
    for each in value["results"]:
        error = each.get("error")
        if error is None:
            outcomes.append(Outcome(each["vm"], decode_object(kind, each.get("result", {})), None))
        else:
            kind_of_error = error_of.get(error["code"], Error)
            outcomes.append(Outcome(each["vm"], None, kind_of_error(error["code"], error["message"], error.get("data"))))
    return outcomes


class Calls:
    """Each verb as a value, to be made later or with others: Host.do(), Host.batch()."""

    @staticmethod
    def vm_create(config: Mapping[str, Any], *, labels: Optional[Mapping[str, Any]] = None,
                  autostart: Optional[bool] = None, restart: Optional[str] = None,
                  idempotency_key: Optional[str] = None,
                  deadline_ms: Optional[int] = None) -> Call[VmCreateResult]:
        """Store a VM's configuration; it does not run yet."""
        # config: the VM, as in vm.json; name and uuid are chosen when they are not given
        # labels: labels: names with strings as values
        # autostart: start it when the daemon starts on a freshly booted host (false)
        # restart: what is done when it ends by itself: never, on-failure or always (never)
        # idempotency_key: the same key again gives the same answer and does nothing more
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "config": config,
            "labels": labels,
            "autostart": autostart,
            "restart": restart,
            "idempotency_key": idempotency_key or new_key(),
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.create", params, lambda value: decode_object(VmCreateResult, value), True)

    @staticmethod
    def vm_run(config: Mapping[str, Any], *, labels: Optional[Mapping[str, Any]] = None,
               wait: Optional[bool] = None, idempotency_key: Optional[str] = None,
               deadline_ms: Optional[int] = None) -> Call[VmRunResult]:
        """Run a VM that is forgotten when it ends."""
        # config: the VM, as in vm.json
        # labels: labels: names with strings as values
        # wait: when its memory cannot be granted, wait for it (false: refuse)
        # idempotency_key: the same key again gives the same answer and does nothing more
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "config": config,
            "labels": labels,
            "wait": wait,
            "idempotency_key": idempotency_key or new_key(),
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.run", params, lambda value: decode_object(VmRunResult, value), True)

    @staticmethod
    def vm_start(vm: str, *, wait: Optional[bool] = None, idempotency_key: Optional[str] = None,
                 deadline_ms: Optional[int] = None) -> Call[VmStartResult]:
        """Start stored VMs; returns when they run."""
        # vm: name or UUID
        # wait: when its memory cannot be granted, wait for it (false: refuse)
        # idempotency_key: the same key again gives the same answer and does nothing more
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "vm": vm,
            "wait": wait,
            "idempotency_key": idempotency_key or new_key(),
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.start", params, lambda value: decode_object(VmStartResult, value), True)

    @staticmethod
    def vm_start_many(selector: str, *, wait: Optional[bool] = None, idempotency_key: Optional[str] = None,
                      deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmStartResult]]]:
        """Start stored VMs; returns when they run. All that the selector selects; an outcome per VM."""
        # selector: or all that this selects
        # wait: when its memory cannot be granted, wait for it (false: refuse)
        # idempotency_key: the same key again gives the same answer and does nothing more
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "selector": selector,
            "wait": wait,
            "idempotency_key": idempotency_key or new_key(),
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.start", params, lambda value: _outcomes(VmStartResult, ERRORS, value), True)

    @staticmethod
    def vm_delete(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmDeleteResult]:
        """Forget stored VMs that do not run."""
        # vm: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.delete", params, lambda value: decode_object(VmDeleteResult, value), False)

    @staticmethod
    def vm_delete_many(selector: str, *,
                       deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmDeleteResult]]]:
        """Forget stored VMs that do not run. All that the selector selects; an outcome per VM."""
        # selector: or all that this selects
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.delete", params, lambda value: _outcomes(VmDeleteResult, ERRORS, value), False)

    @staticmethod
    def vm_update(vm: str, *, set: Optional[Mapping[str, Any]] = None,
                  labels: Optional[Mapping[str, Any]] = None, autostart: Optional[bool] = None,
                  restart: Optional[str] = None, deadline_ms: Optional[int] = None) -> Call[VmUpdateResult]:
        """Change stored VMs: at once where that is possible, else at the next start. All or nothing per VM.
        """
        # vm: name or UUID
        # set: options with their new values: {"memory.minimum": "1G"}; null: the default, or none
        # labels: labels to set; null removes one
        # autostart: start it when the daemon starts on a freshly booted host
        # restart: never, on-failure or always
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "vm": vm,
            "set": set,
            "labels": labels,
            "autostart": autostart,
            "restart": restart,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.update", params, lambda value: decode_object(VmUpdateResult, value), False)

    @staticmethod
    def vm_update_many(selector: str, *, set: Optional[Mapping[str, Any]] = None,
                       labels: Optional[Mapping[str, Any]] = None, autostart: Optional[bool] = None,
                       restart: Optional[str] = None,
                       deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmUpdateResult]]]:
        """Change stored VMs: at once where that is possible, else at the next start. All or nothing per VM.
        All that the selector selects; an outcome per VM.
        """
        # selector: or all that this selects
        # set: options with their new values: {"memory.minimum": "1G"}; null: the default, or none
        # labels: labels to set; null removes one
        # autostart: start it when the daemon starts on a freshly booted host
        # restart: never, on-failure or always
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "selector": selector,
            "set": set,
            "labels": labels,
            "autostart": autostart,
            "restart": restart,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.update", params, lambda value: _outcomes(VmUpdateResult, ERRORS, value), False)

    @staticmethod
    def vm_list(*, selector: Optional[str] = None, limit: Optional[int] = None, after: Optional[str] = None,
                deadline_ms: Optional[int] = None) -> Call[VmListResult]:
        """All VMs of this host, sorted by name, each in a few numbers."""
        # selector: only those that this selects
        # limit: at most so many (all); at least 1
        # after: only those whose names sort after this one, byte by byte: the last of the list before
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "selector": selector,
            "limit": limit,
            "after": after,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.list", params, lambda value: decode_object(VmListResult, value), True)

    @staticmethod
    def vm_info(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmInfoResult]:
        """What a VM is and how it does: of one that runs its own answer, and what the daemon knows."""
        # vm: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.info", params, lambda value: decode_object(VmInfoResult, value), True)

    @staticmethod
    def vm_logs(vm: str, *, lines: Optional[int] = None,
                deadline_ms: Optional[int] = None) -> Call[VmLogsResult]:
        """The last lines of a VM's log."""
        # vm: name or UUID
        # lines: how many lines at most (100, at most 10000)
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "lines": lines, "deadline_ms": deadline_ms}
        return make_call("vm.logs", params, lambda value: decode_object(VmLogsResult, value), True)

    @staticmethod
    def host_info(*, deadline_ms: Optional[int] = None) -> Call[HostInfoResult]:
        """This daemon and its host."""
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"deadline_ms": deadline_ms}
        return make_call("host.info", params, lambda value: decode_object(HostInfoResult, value), True)

    @staticmethod
    def host_pools(*, deadline_ms: Optional[int] = None) -> Call[HostPoolsResult]:
        """The ledger: what memory the host has for guests, and who holds what."""
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"deadline_ms": deadline_ms}
        return make_call("host.pools", params, lambda value: decode_object(HostPoolsResult, value), True)

    @staticmethod
    def rpc_discover(*, deadline_ms: Optional[int] = None) -> Call[RpcDiscoverResult]:
        """This interface as an OpenRPC document."""
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"deadline_ms": deadline_ms}
        return make_call("rpc.discover", params, lambda value: decode_object(RpcDiscoverResult, value), True)

    @staticmethod
    def vm_memory(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmMemoryResult]:
        """Where this VM's memory is: asked, taken, returned, and what the guest says."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.memory", params, lambda value: decode_object(VmMemoryResult, value), True)

    @staticmethod
    def vm_memory_many(selector: str, *,
                       deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmMemoryResult]]]:
        """Where this VM's memory is: asked, taken, returned, and what the guest says. All that the selector
        selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.memory", params, lambda value: _outcomes(VmMemoryResult, ERRORS, value), True)

    @staticmethod
    def vm_memory_set(vm: str, *, target_bytes: Optional[int] = None, balloon_bytes: Optional[int] = None,
                      minimum_bytes: Optional[int] = None, buffer_percent: Optional[int] = None,
                      weight: Optional[int] = None, mode: Optional[str] = None,
                      deadline_ms: Optional[int] = None) -> Call[VmMemorySetResult]:
        """Ask the guest for memory, or give it back, by moving the balloon; or change how the policy does it.
        All or nothing.
        """
        # vm: the VM: name or UUID
        # target_bytes: what the guest shall keep: maximum less balloon. The mode becomes manual
        # balloon_bytes: what the guest shall hand over: the same the other way round; at most one of the two
        # minimum_bytes: the guest is never asked to go below it
        # buffer_percent: what it shall have above its demand, in percent of that
        # weight: its share when the host is short
        # mode: auto: the policy sets the target; manual: you do; off: nobody looks. At least one of all these
        # parameters
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "vm": vm,
            "target_bytes": target_bytes,
            "balloon_bytes": balloon_bytes,
            "minimum_bytes": minimum_bytes,
            "buffer_percent": buffer_percent,
            "weight": weight,
            "mode": mode,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.memory.set", params, lambda value: decode_object(VmMemorySetResult, value), False)

    @staticmethod
    def vm_memory_set_many(selector: str, *, target_bytes: Optional[int] = None,
                           balloon_bytes: Optional[int] = None, minimum_bytes: Optional[int] = None,
                           buffer_percent: Optional[int] = None, weight: Optional[int] = None,
                           mode: Optional[str] = None,
                           deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmMemorySetResult]]]:
        """Ask the guest for memory, or give it back, by moving the balloon; or change how the policy does it.
        All or nothing. All that the selector selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # target_bytes: what the guest shall keep: maximum less balloon. The mode becomes manual
        # balloon_bytes: what the guest shall hand over: the same the other way round; at most one of the two
        # minimum_bytes: the guest is never asked to go below it
        # buffer_percent: what it shall have above its demand, in percent of that
        # weight: its share when the host is short
        # mode: auto: the policy sets the target; manual: you do; off: nobody looks. At least one of all these
        # parameters
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "selector": selector,
            "target_bytes": target_bytes,
            "balloon_bytes": balloon_bytes,
            "minimum_bytes": minimum_bytes,
            "buffer_percent": buffer_percent,
            "weight": weight,
            "mode": mode,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.memory.set", params, lambda value: _outcomes(VmMemorySetResult, ERRORS, value), False)

    @staticmethod
    def vm_memory_why(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmMemoryWhyResult]:
        """Why this VM has the memory it has: the policy's last decision, in words and numbers."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.memory.why", params, lambda value: decode_object(VmMemoryWhyResult, value), True)

    @staticmethod
    def vm_memory_why_many(selector: str, *,
                           deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmMemoryWhyResult]]]:
        """Why this VM has the memory it has: the policy's last decision, in words and numbers. All that the
        selector selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.memory.why", params, lambda value: _outcomes(VmMemoryWhyResult, ERRORS, value), True)

    @staticmethod
    def vm_memory_trace(vm: str, *, after: Optional[int] = None,
                        deadline_ms: Optional[int] = None) -> Call[VmMemoryTraceResult]:
        """The policy's newest decisions as lines of CSV, with all they were made from; neap sim repeats them.
        """
        # vm: the VM: name or UUID
        # after: only decisions after the one of this number (last of an earlier answer)
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "after": after, "deadline_ms": deadline_ms}
        return make_call("vm.memory.trace", params, lambda value: decode_object(VmMemoryTraceResult, value), True)

    @staticmethod
    def vm_memory_trace_many(selector: str, *, after: Optional[int] = None,
                             deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmMemoryTraceResult]]]:
        """The policy's newest decisions as lines of CSV, with all they were made from; neap sim repeats them.
        All that the selector selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # after: only decisions after the one of this number (last of an earlier answer)
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "after": after, "deadline_ms": deadline_ms}
        return make_call("vm.memory.trace", params, lambda value: _outcomes(VmMemoryTraceResult, ERRORS, value), True)

    @staticmethod
    def vm_memory_limit(vm: str, limit_bytes: int, *,
                        deadline_ms: Optional[int] = None) -> Call[VmMemoryLimitResult]:
        """Change how much of the host's memory guest RAM may hold; what is above goes to swap, the coldest
        first.
        """
        # vm: the VM: name or UUID
        # limit_bytes: the new limit; 0 is none
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "limit_bytes": limit_bytes, "deadline_ms": deadline_ms}
        return make_call("vm.memory.limit", params, lambda value: decode_object(VmMemoryLimitResult, value), False)

    @staticmethod
    def vm_memory_limit_many(selector: str, limit_bytes: int, *,
                             deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmMemoryLimitResult]]]:
        """Change how much of the host's memory guest RAM may hold; what is above goes to swap, the coldest
        first. All that the selector selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # limit_bytes: the new limit; 0 is none
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {
            "selector": selector,
            "limit_bytes": limit_bytes,
            "deadline_ms": deadline_ms,
        }
        return make_call("vm.memory.limit", params, lambda value: _outcomes(VmMemoryLimitResult, ERRORS, value), False)

    @staticmethod
    def vm_pause(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmPauseResult]:
        """Park all vCPUs; returns when none runs."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.pause", params, lambda value: decode_object(VmPauseResult, value), False)

    @staticmethod
    def vm_pause_many(selector: str, *,
                      deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmPauseResult]]]:
        """Park all vCPUs; returns when none runs. All that the selector selects; an outcome per VM."""
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.pause", params, lambda value: _outcomes(VmPauseResult, ERRORS, value), False)

    @staticmethod
    def vm_resume(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmResumeResult]:
        """Let parked vCPUs run again."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.resume", params, lambda value: decode_object(VmResumeResult, value), False)

    @staticmethod
    def vm_resume_many(selector: str, *,
                       deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmResumeResult]]]:
        """Let parked vCPUs run again. All that the selector selects; an outcome per VM."""
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.resume", params, lambda value: _outcomes(VmResumeResult, ERRORS, value), False)

    @staticmethod
    def vm_stop(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmStopResult]:
        """Press the power button; the guest decides when it is off."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.stop", params, lambda value: decode_object(VmStopResult, value), False)

    @staticmethod
    def vm_stop_many(selector: str, *,
                     deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmStopResult]]]:
        """Press the power button; the guest decides when it is off. All that the selector selects; an outcome
        per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.stop", params, lambda value: _outcomes(VmStopResult, ERRORS, value), False)

    @staticmethod
    def vm_reset(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmResetResult]:
        """Reset the VM as by the reset button; memory is returned and the guest boots again."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.reset", params, lambda value: decode_object(VmResetResult, value), False)

    @staticmethod
    def vm_reset_many(selector: str, *,
                      deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmResetResult]]]:
        """Reset the VM as by the reset button; memory is returned and the guest boots again. All that the
        selector selects; an outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.reset", params, lambda value: _outcomes(VmResetResult, ERRORS, value), False)

    @staticmethod
    def vm_kill(vm: str, *, deadline_ms: Optional[int] = None) -> Call[VmKillResult]:
        """End the VM at once; what the guest had not written is lost."""
        # vm: the VM: name or UUID
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"vm": vm, "deadline_ms": deadline_ms}
        return make_call("vm.kill", params, lambda value: decode_object(VmKillResult, value), False)

    @staticmethod
    def vm_kill_many(selector: str, *,
                     deadline_ms: Optional[int] = None) -> Call[List[Outcome[VmKillResult]]]:
        """End the VM at once; what the guest had not written is lost. All that the selector selects; an
        outcome per VM.
        """
        # selector: or all that this selects; the answer is then results, per VM: vm, and result or error
        # deadline_ms: how long the client waits for an answer; what was begun goes on
        params: Dict[str, Any] = {"selector": selector, "deadline_ms": deadline_ms}
        return make_call("vm.kill", params, lambda value: _outcomes(VmKillResult, ERRORS, value), False)


class Methods:
    """Each verb as a method. See Calls for what they are as values, to be made in a batch."""

    def do(self, call: Call[T]) -> T:
        raise NotImplementedError

    def vm_create(self, config: Mapping[str, Any], *, labels: Optional[Mapping[str, Any]] = None,
                  autostart: Optional[bool] = None, restart: Optional[str] = None,
                  idempotency_key: Optional[str] = None, deadline_ms: Optional[int] = None) -> VmCreateResult:
        """Store a VM's configuration; it does not run yet."""
        return self.do(Calls.vm_create(config, labels=labels, autostart=autostart, restart=restart,
                       idempotency_key=idempotency_key, deadline_ms=deadline_ms))

    def vm_run(self, config: Mapping[str, Any], *, labels: Optional[Mapping[str, Any]] = None,
               wait: Optional[bool] = None, idempotency_key: Optional[str] = None,
               deadline_ms: Optional[int] = None) -> VmRunResult:
        """Run a VM that is forgotten when it ends."""
        return self.do(Calls.vm_run(config, labels=labels, wait=wait, idempotency_key=idempotency_key,
                       deadline_ms=deadline_ms))

    def vm_start(self, vm: str, *, wait: Optional[bool] = None, idempotency_key: Optional[str] = None,
                 deadline_ms: Optional[int] = None) -> VmStartResult:
        """Start stored VMs; returns when they run."""
        return self.do(Calls.vm_start(vm, wait=wait, idempotency_key=idempotency_key,
                       deadline_ms=deadline_ms))

    def vm_start_many(self, selector: str, *, wait: Optional[bool] = None,
                      idempotency_key: Optional[str] = None,
                      deadline_ms: Optional[int] = None) -> List[Outcome[VmStartResult]]:
        """Start stored VMs; returns when they run. All that the selector selects; an outcome per VM."""
        return self.do(Calls.vm_start_many(selector, wait=wait, idempotency_key=idempotency_key,
                       deadline_ms=deadline_ms))

    def vm_delete(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmDeleteResult:
        """Forget stored VMs that do not run."""
        return self.do(Calls.vm_delete(vm, deadline_ms=deadline_ms))

    def vm_delete_many(self, selector: str, *,
                       deadline_ms: Optional[int] = None) -> List[Outcome[VmDeleteResult]]:
        """Forget stored VMs that do not run. All that the selector selects; an outcome per VM."""
        return self.do(Calls.vm_delete_many(selector, deadline_ms=deadline_ms))

    def vm_update(self, vm: str, *, set: Optional[Mapping[str, Any]] = None,
                  labels: Optional[Mapping[str, Any]] = None, autostart: Optional[bool] = None,
                  restart: Optional[str] = None, deadline_ms: Optional[int] = None) -> VmUpdateResult:
        """Change stored VMs: at once where that is possible, else at the next start. All or nothing per VM.
        """
        return self.do(Calls.vm_update(vm, set=set, labels=labels, autostart=autostart, restart=restart,
                       deadline_ms=deadline_ms))

    def vm_update_many(self, selector: str, *, set: Optional[Mapping[str, Any]] = None,
                       labels: Optional[Mapping[str, Any]] = None, autostart: Optional[bool] = None,
                       restart: Optional[str] = None,
                       deadline_ms: Optional[int] = None) -> List[Outcome[VmUpdateResult]]:
        """Change stored VMs: at once where that is possible, else at the next start. All or nothing per VM.
        All that the selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_update_many(selector, set=set, labels=labels, autostart=autostart,
                       restart=restart, deadline_ms=deadline_ms))

    def vm_list(self, *, selector: Optional[str] = None, limit: Optional[int] = None,
                after: Optional[str] = None, deadline_ms: Optional[int] = None) -> VmListResult:
        """All VMs of this host, sorted by name, each in a few numbers."""
        return self.do(Calls.vm_list(selector=selector, limit=limit, after=after, deadline_ms=deadline_ms))

    def vm_info(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmInfoResult:
        """What a VM is and how it does: of one that runs its own answer, and what the daemon knows."""
        return self.do(Calls.vm_info(vm, deadline_ms=deadline_ms))

    def vm_logs(self, vm: str, *, lines: Optional[int] = None,
                deadline_ms: Optional[int] = None) -> VmLogsResult:
        """The last lines of a VM's log."""
        return self.do(Calls.vm_logs(vm, lines=lines, deadline_ms=deadline_ms))

    def host_info(self, *, deadline_ms: Optional[int] = None) -> HostInfoResult:
        """This daemon and its host."""
        return self.do(Calls.host_info(deadline_ms=deadline_ms))

    def host_pools(self, *, deadline_ms: Optional[int] = None) -> HostPoolsResult:
        """The ledger: what memory the host has for guests, and who holds what."""
        return self.do(Calls.host_pools(deadline_ms=deadline_ms))

    def rpc_discover(self, *, deadline_ms: Optional[int] = None) -> RpcDiscoverResult:
        """This interface as an OpenRPC document."""
        return self.do(Calls.rpc_discover(deadline_ms=deadline_ms))

    def vm_memory(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmMemoryResult:
        """Where this VM's memory is: asked, taken, returned, and what the guest says."""
        return self.do(Calls.vm_memory(vm, deadline_ms=deadline_ms))

    def vm_memory_many(self, selector: str, *,
                       deadline_ms: Optional[int] = None) -> List[Outcome[VmMemoryResult]]:
        """Where this VM's memory is: asked, taken, returned, and what the guest says. All that the selector
        selects; an outcome per VM.
        """
        return self.do(Calls.vm_memory_many(selector, deadline_ms=deadline_ms))

    def vm_memory_set(self, vm: str, *, target_bytes: Optional[int] = None,
                      balloon_bytes: Optional[int] = None, minimum_bytes: Optional[int] = None,
                      buffer_percent: Optional[int] = None, weight: Optional[int] = None,
                      mode: Optional[str] = None, deadline_ms: Optional[int] = None) -> VmMemorySetResult:
        """Ask the guest for memory, or give it back, by moving the balloon; or change how the policy does it.
        All or nothing.
        """
        return self.do(Calls.vm_memory_set(vm, target_bytes=target_bytes, balloon_bytes=balloon_bytes,
                       minimum_bytes=minimum_bytes, buffer_percent=buffer_percent, weight=weight, mode=mode,
                       deadline_ms=deadline_ms))

    def vm_memory_set_many(self, selector: str, *, target_bytes: Optional[int] = None,
                           balloon_bytes: Optional[int] = None, minimum_bytes: Optional[int] = None,
                           buffer_percent: Optional[int] = None, weight: Optional[int] = None,
                           mode: Optional[str] = None,
                           deadline_ms: Optional[int] = None) -> List[Outcome[VmMemorySetResult]]:
        """Ask the guest for memory, or give it back, by moving the balloon; or change how the policy does it.
        All or nothing. All that the selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_memory_set_many(selector, target_bytes=target_bytes,
                       balloon_bytes=balloon_bytes, minimum_bytes=minimum_bytes,
                       buffer_percent=buffer_percent, weight=weight, mode=mode, deadline_ms=deadline_ms))

    def vm_memory_why(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmMemoryWhyResult:
        """Why this VM has the memory it has: the policy's last decision, in words and numbers."""
        return self.do(Calls.vm_memory_why(vm, deadline_ms=deadline_ms))

    def vm_memory_why_many(self, selector: str, *,
                           deadline_ms: Optional[int] = None) -> List[Outcome[VmMemoryWhyResult]]:
        """Why this VM has the memory it has: the policy's last decision, in words and numbers. All that the
        selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_memory_why_many(selector, deadline_ms=deadline_ms))

    def vm_memory_trace(self, vm: str, *, after: Optional[int] = None,
                        deadline_ms: Optional[int] = None) -> VmMemoryTraceResult:
        """The policy's newest decisions as lines of CSV, with all they were made from; neap sim repeats them.
        """
        return self.do(Calls.vm_memory_trace(vm, after=after, deadline_ms=deadline_ms))

    def vm_memory_trace_many(self, selector: str, *, after: Optional[int] = None,
                             deadline_ms: Optional[int] = None) -> List[Outcome[VmMemoryTraceResult]]:
        """The policy's newest decisions as lines of CSV, with all they were made from; neap sim repeats them.
        All that the selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_memory_trace_many(selector, after=after, deadline_ms=deadline_ms))

    def vm_memory_limit(self, vm: str, limit_bytes: int, *,
                        deadline_ms: Optional[int] = None) -> VmMemoryLimitResult:
        """Change how much of the host's memory guest RAM may hold; what is above goes to swap, the coldest
        first.
        """
        return self.do(Calls.vm_memory_limit(vm, limit_bytes, deadline_ms=deadline_ms))

    def vm_memory_limit_many(self, selector: str, limit_bytes: int, *,
                             deadline_ms: Optional[int] = None) -> List[Outcome[VmMemoryLimitResult]]:
        """Change how much of the host's memory guest RAM may hold; what is above goes to swap, the coldest
        first. All that the selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_memory_limit_many(selector, limit_bytes, deadline_ms=deadline_ms))

    def vm_pause(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmPauseResult:
        """Park all vCPUs; returns when none runs."""
        return self.do(Calls.vm_pause(vm, deadline_ms=deadline_ms))

    def vm_pause_many(self, selector: str, *,
                      deadline_ms: Optional[int] = None) -> List[Outcome[VmPauseResult]]:
        """Park all vCPUs; returns when none runs. All that the selector selects; an outcome per VM."""
        return self.do(Calls.vm_pause_many(selector, deadline_ms=deadline_ms))

    def vm_resume(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmResumeResult:
        """Let parked vCPUs run again."""
        return self.do(Calls.vm_resume(vm, deadline_ms=deadline_ms))

    def vm_resume_many(self, selector: str, *,
                       deadline_ms: Optional[int] = None) -> List[Outcome[VmResumeResult]]:
        """Let parked vCPUs run again. All that the selector selects; an outcome per VM."""
        return self.do(Calls.vm_resume_many(selector, deadline_ms=deadline_ms))

    def vm_stop(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmStopResult:
        """Press the power button; the guest decides when it is off."""
        return self.do(Calls.vm_stop(vm, deadline_ms=deadline_ms))

    def vm_stop_many(self, selector: str, *,
                     deadline_ms: Optional[int] = None) -> List[Outcome[VmStopResult]]:
        """Press the power button; the guest decides when it is off. All that the selector selects; an outcome
        per VM.
        """
        return self.do(Calls.vm_stop_many(selector, deadline_ms=deadline_ms))

    def vm_reset(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmResetResult:
        """Reset the VM as by the reset button; memory is returned and the guest boots again."""
        return self.do(Calls.vm_reset(vm, deadline_ms=deadline_ms))

    def vm_reset_many(self, selector: str, *,
                      deadline_ms: Optional[int] = None) -> List[Outcome[VmResetResult]]:
        """Reset the VM as by the reset button; memory is returned and the guest boots again. All that the
        selector selects; an outcome per VM.
        """
        return self.do(Calls.vm_reset_many(selector, deadline_ms=deadline_ms))

    def vm_kill(self, vm: str, *, deadline_ms: Optional[int] = None) -> VmKillResult:
        """End the VM at once; what the guest had not written is lost."""
        return self.do(Calls.vm_kill(vm, deadline_ms=deadline_ms))

    def vm_kill_many(self, selector: str, *,
                     deadline_ms: Optional[int] = None) -> List[Outcome[VmKillResult]]:
        """End the VM at once; what the guest had not written is lost. All that the selector selects; an
        outcome per VM.
        """
        return self.do(Calls.vm_kill_many(selector, deadline_ms=deadline_ms))
