# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A host's daemon made of a few dictionaries, for tests of the command line: its VMs are fake-neap's.

    with FakeHost(runtime_dir) as host:
        host.publish("vm.created", "web", {"uuid": "..."})     # an event
        host.refuse["vm.start"] = (8, "there is room for 1 GiB")
        host.requests                                          # (method, params) of all calls

It keeps to the tables of src/api: a method or a parameter that is not in them is refused as the real one
does, so that a command cannot come to rely on this one. It forwards what a VM answers itself.
"""
import array
import fnmatch
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

API = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "api")
STATE, NO_VM, EXISTS, NO_METHOD, BAD_PARAMS = 1, 5, 6, -32601, -32602


def table(name):
    """{method: {parameter: type}}, and who forwards it, of a table of verbs."""
    verbs, current = {}, None
    with open(os.path.join(API, name), encoding="utf-8") as file:
        for line in file:
            verb = re.match(r'VERB\(\w+, "([^"]+)", \w+, \w+, (\w+),', line)
            param = re.match(r"\tPARAM\((\w+), (\w+), (\w+),", line)
            if verb:
                current = verbs[verb.group(1)] = {"reach": verb.group(2), "params": {}}
            elif param:
                current["params"][param.group(1)] = param.group(2)
    return verbs


class Refused(Exception):
    pass


def refuse(code, sentence):
    raise Refused(code, sentence)


class FakeHost:
    def __init__(self, runtime_dir):
        self.runtime = runtime_dir
        self.env = dict(os.environ, XDG_RUNTIME_DIR=runtime_dir, NEAP_HOST_SOCKET="none")
        self.path = os.path.join(runtime_dir, "neapd", "neapd.sock")
        self.vms, self.events, self.requests, self.refuse, self.pools = {}, [], [], {}, []
        self.kept = 0  # events up to this number are forgotten
        self.first = 0  # and up to this one they were another daemon's
        self.subscribers, self.connections = [], []
        self.lock = threading.RLock()
        self.own, self.forwarded = table("host_verbs.def"), table("verbs.def")
        self.listener = None

    def __enter__(self):
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def __exit__(self, *_):
        """As if it was killed: the socket file stays; VMs live on."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                connection.shutdown(socket.SHUT_RDWR)
            self.connections, self.subscribers = [], []
        os.unlink(self.path)

    def accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            for line in connection.makefile("rb"):
                request = json.loads(line)
                requests = request if isinstance(request, list) else [request]
                answers = [self.answer(connection, one) for one in requests]
                fds = [answer.pop("fd") for answer in answers if "fd" in answer]
                reply = answers if isinstance(request, list) else answers[0]
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                connection.sendmsg([json.dumps(reply).encode() + b"\n"], ancillary)
                for fd in fds:
                    os.close(fd)
        except OSError:
            pass

    def answer(self, connection, request):
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        method, params = request["method"], dict(request.get("params", {}))
        try:
            with self.lock:
                deadline_ms = params.pop("deadline_ms", None)
                self.requests.append((method, dict(params)))
                assert deadline_ms is None or 0 <= deadline_ms <= 24 * 3600 * 1000, deadline_ms
                result = self.do(connection, method, params)
            if method == "vm.console" and result["how"] == "fd":
                reply["fd"] = result.pop("descriptor")
            reply["result"] = result
        except (Refused, neapvm.RpcError) as error:
            code, sentence = error.args if isinstance(error, Refused) else (error.code, str(error))
            reply["error"] = {"code": code, "message": sentence}
        return reply

    # --- calls ------------------------------------------------------------------------------------

    def do(self, connection, method, params):
        if method in self.refuse:
            refuse(*self.refuse[method])
        if method in self.own:
            unknown = set(params) - set(self.own[method]["params"])
            if unknown:
                refuse(BAD_PARAMS, f"{method} takes no {unknown}")
            if method == "events.subscribe":
                return self.subscribe(connection, **params)
            return self.each(getattr(self, method.replace(".", "_")), params)
        if self.forwarded.get(method, {}).get("reach") != "FORWARDED":
            refuse(NO_METHOD, f"no method {method}")
        return self.each(lambda vm, **rest: self.call(vm, method, **rest), params)

    def each(self, what, params):
        """For one VM, or for those selected; vm.list takes its selector itself."""
        params = dict(params)
        if "selector" not in params or what == self.vm_list:
            if "vm" in params:
                params["vm"] = self.find(params["vm"])
            return what(**params)
        results = []
        for vm in self.selected(params.pop("selector")):
            try:
                results.append({"vm": vm["name"], "result": what(vm=vm, **params)})
            except (Refused, neapvm.RpcError) as error:
                sentence = error.args[1] if isinstance(error, Refused) else str(error)
                results.append({"vm": vm["name"], "error": {"code": 1, "message": sentence}})
        return {"results": results}

    def find(self, name):
        self.adopt()
        for vm in self.vms.values():
            if name in (vm["name"], vm["uuid"]):
                return vm
        refuse(NO_VM, f'no VM is named "{name}"')

    def selected(self, selector):
        self.adopt()

        def holds(vm, condition):
            key, _, value = condition.partition("=")
            if condition == "all":
                return True
            if key in ("state", "name"):
                return fnmatch.fnmatch(self.state(vm) if key == "state" else vm["name"], value)
            if condition.startswith("!"):
                return condition[1:] not in vm["labels"]
            return vm["labels"].get(key) == value if "=" in condition else key in vm["labels"]

        return [vm for _, vm in sorted(self.vms.items())
                if all(holds(vm, condition) for condition in selector.split(","))]

    def adopt(self):
        directory = os.path.join(self.runtime, "neap")
        names = [name[:-5] for name in os.listdir(directory) if name.endswith(".sock")] \
            if os.path.isdir(directory) else []
        for name in names:
            if name not in self.vms and self.info({"name": name}):
                self.vms[name] = {"name": name, "uuid": self.info({"name": name})["uuid"], "labels": {},
                                  "autostart": False, "restart": "never", "transient": True, "config": {}}

    def call(self, vm, method, **params):
        try:
            rpc = neapvm.Rpc(os.path.join(self.runtime, "neap", vm["name"] + ".sock"))
        except OSError:
            refuse(STATE, f'"{vm["name"]}" does not run')
        try:
            return rpc.call(method, **params)
        except ConnectionError:
            return {"state": "stopped"}
        finally:
            rpc.close()
            if method in ("vm.stop", "vm.kill"):
                self.watch_end(vm)

    def watch_end(self, vm):
        deadline = time.monotonic() + 1  # the deaf ones go on
        while self.info(vm) and time.monotonic() < deadline:
            time.sleep(0.002)
        if not self.info(vm):
            self.publish("vm.ended", vm["name"], {"uuid": vm["uuid"], "exit_code": 0, "reason": "it has ended"})
            if vm["transient"]:
                self.vms.pop(vm["name"])

    def info(self, vm):
        try:
            rpc = neapvm.Rpc(os.path.join(self.runtime, "neap", vm["name"] + ".sock"))
        except OSError:
            return None
        try:
            return rpc.call("vm.info")
        except ConnectionError:
            return None
        finally:
            rpc.close()

    def state(self, vm):
        info = self.info(vm)
        return info["state"] if info else "stopped"

    # --- its own verbs ------------------------------------------------------------------------------

    def vm_create(self, config, labels=None, autostart=False, restart="never", idempotency_key=None):
        name = config["name"]
        if name in self.vms:
            refuse(EXISTS, f'a VM named "{name}" is known already')
        if restart not in ("never", "on-failure", "always"):
            refuse(BAD_PARAMS, f'restart is never, on-failure or always, and not "{restart}"')
        self.vms[name] = {"name": name, "uuid": config.get("uuid", str(uuid.uuid4())), "labels": labels or {},
                          "autostart": autostart, "restart": restart, "transient": False, "config": config,
                          "key": idempotency_key}
        self.publish("vm.created", name, {"uuid": self.vms[name]["uuid"]})
        return {"name": name, "uuid": self.vms[name]["uuid"]}

    def vm_start(self, vm, wait=False, idempotency_key=None):
        del idempotency_key
        if self.info(vm):
            refuse(STATE, f'"{vm["name"]}" runs already')
        if vm["labels"].get("size") == "huge" and not wait:
            refuse(8, "it needs 64 GiB to start, and there is room for 1 GiB")
        path = os.path.join(self.runtime, vm["name"] + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(vm["config"], file)
        os.chmod(path, 0o600)
        done = subprocess.run([neapvm.neap_path(), "run", "--detach", "--config", path], env=self.env,
                              capture_output=True, text=True, timeout=neapvm.PATIENCE_S, check=False)
        if done.returncode:
            refuse(-32603, done.stderr.strip().removeprefix("neap: "))
        info = self.info(vm)
        self.publish("vm.started", vm["name"], {"uuid": vm["uuid"], "pid": info["pid"], "restarts": 0})
        return {"pid": info["pid"], "state": info["state"]}

    def vm_delete(self, vm):
        if self.info(vm):
            refuse(STATE, f'"{vm["name"]}" runs; stop it first')
        self.vms.pop(vm["name"])
        self.publish("vm.deleted", vm["name"], {"uuid": vm["uuid"]})
        return {"name": vm["name"]}

    def vm_update(self, vm, set=None, labels=None, autostart=None, restart=None):
        live = ("memory.minimum", "memory.buffer", "memory.weight", "memory.mode", "memory.limit")
        now = [key for key in set or {} if key in live and self.info(vm)]
        later = [key for key in set or {} if key not in now]
        if vm["transient"] and (later or autostart is not None or restart):
            refuse(BAD_PARAMS, f"{vm['name']} is not stored, so it has no next start for {(later + ['that'])[0]} to wait for")
        for key, value in (labels or {}).items():
            vm["labels"].pop(key, None)
            if value is not None:
                vm["labels"][key] = value
        vm["autostart"] = vm["autostart"] if autostart is None else autostart
        vm["restart"] = restart or vm["restart"]
        vm.setdefault("set", {}).update(set or {})
        if "memory.minimum" in now:
            self.call(vm, "vm.memory.set", minimum_bytes=int(set["memory.minimum"][:-1]) << 20)
        kept = [f"label.{key}" for key in labels or {}] + ["autostart"] * (autostart is not None) + ["restart"] * bool(restart)
        return {"live": now + kept, "next_start": later}

    def vm_list(self, selector="all"):
        rows = []
        for vm in self.selected(selector):
            info = self.info(vm)
            row = {key: vm[key] for key in ("name", "uuid", "labels", "autostart", "restart", "transient")}
            row.update(state=info["state"] if info else "stopped", reason="", restarts=vm.get("restarts", 0))
            if info:
                row.update(pid=info["pid"], cpus=info["cpus"], uptime_ns=info["uptime_ns"], grant_bytes=256 << 20,
                           usage=self.usage(vm))
            rows.append(row)
        return {"vms": rows}

    def usage(self, vm):
        memory = self.call(vm, "vm.memory")
        policy = memory.get("policy", {})
        usage = {key: policy[key] for key in ("minimum_bytes", "demand_bytes", "want_bytes", "assigned_bytes",
                                              "target_bytes", "weight", "pressure_percent") if key in policy}
        if policy:
            usage.update(status=["OK", "Low", "Warning"].index(policy["status"]),
                         mode=["auto", "manual", "off"].index(policy["mode"]))
        usage.update(maximum_bytes=memory["maximum_bytes"], resident_bytes=memory["resident_bytes"],
                     returned_bytes=memory["returned_bytes"],
                     swapped_bytes=memory["frames"]["swapped"], stall_us=memory["stall_us"])
        return usage

    def vm_info(self, vm):
        info = self.info(vm) or {"name": vm["name"], "uuid": vm["uuid"], "state": "stopped", "reason": "",
                                 "config": vm["config"]}
        info["host"] = {key: vm[key] for key in ("labels", "autostart", "restart", "transient")}
        info["host"].update(restarts=vm.get("restarts", 0), adopted=vm["transient"], log_path=self.log_path(vm),
                            next_start=list(vm.get("set", {})))
        return info

    def log_path(self, vm):
        return os.path.join(self.runtime, "neap", vm["name"] + ".log")

    def vm_console(self, vm, how="fd"):
        path = os.path.join(self.runtime, "neap", vm["name"] + ".sock")
        if how == "path":
            return {"how": "path", "path": path}
        console = socket.socket(socket.AF_UNIX)
        console.connect(path)
        console.sendall(b'{"jsonrpc":"2.0","id":1,"method":"vm.console"}\n')
        while console.recv(1) != b"\n":  # what follows the answer is the guest's
            pass
        return {"how": "fd", "descriptor": console.detach()}

    def vm_logs(self, vm, lines=100):
        try:
            with open(self.log_path(vm), encoding="utf-8") as file:
                said = file.read().splitlines()
        except FileNotFoundError:
            said = []
        return {"path": self.log_path(vm), "lines": said[-lines:] if lines else []}

    def host_info(self):
        states = {}
        for vm in self.selected("all"):
            states[self.state(vm)] = states.get(self.state(vm), 0) + 1
        return {"neap_version": "1.2.3", "pid": os.getpid(), "uptime_ns": 5 * 10**9, "state_dir": self.runtime,
                "vms": states, "connections": len(self.connections),
                "set_aside": ["/var/lib/neap/vms/old.json: no JSON"],
                "metrics": [{"at": "/run/neapd/metrics.sock"}, {"at": "127.0.0.1:9180", "error": "taken"}]}

    def host_pools(self):
        return {"pools": self.pools}

    # --- events ---------------------------------------------------------------------------------------

    def subscribe(self, connection, kinds=None, vms=None, after=None):
        seq = self.events[-1]["seq"] if self.events else 0
        self.subscribers.append((connection, kinds, vms))
        kept = [event for event in self.events if event["seq"] > self.kept]
        if after is not None:
            threading.Timer(0.02, lambda: [self.send(connection, kinds, vms, event) for event in kept
                                           if event["seq"] > after]).start()
        return {"seq": seq, "oldest": kept[0]["seq"] if kept else 0,
                "missed": max(0, self.kept - after) if after is not None else 0,
                "missed_is_bound": after is not None and after < min(self.kept, self.first)}

    @staticmethod
    def send(connection, kinds, vms, event):
        if (kinds and event["kind"] not in kinds) or (vms and event.get("vm") not in vms):
            return
        line = json.dumps({"jsonrpc": "2.0", "method": "event", "params": event}).encode() + b"\n"
        try:
            connection.sendall(line)
        except OSError:
            pass

    def publish(self, kind, vm=None, data=None):
        with self.lock:
            event = {"seq": len(self.events) + 1, "time_ns": time.monotonic_ns(), "kind": kind, "data": data or {}}
            if vm:
                event.update(vm=vm, uuid=self.vms.get(vm, {}).get("uuid", ""))
            self.events.append(event)
            for connection, kinds, vms in self.subscribers:
                self.send(connection, kinds, vms, event)
