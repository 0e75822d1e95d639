# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Manage the virtual machines of a host through neap's daemon. Standard library only.

    import neap

    with neap.Host() as host:
        host.vm_create(config={"name": "web-1", "memory": {"maximum": "1G"}}, labels={"tier": "web"})
        host.vm_start(vm="web-1", wait=True)
        for outcome in host.vm_memory_set_many("tier=web", minimum_bytes=256 << 20):
            print(outcome.vm, outcome.error or "done")

Every verb of the daemon is a method of Host: vm.memory.set is vm_memory_set. One that can do the same to
many VMs has a second method, ending in _many, that takes a selector and returns an Outcome per VM. What
they take and return is in methods.py, made from the daemon's own tables, and in neap-api(7).
"""
from neap.client import Client, Host, find_socket
from neap.events import Event, Events
from neap.methods import *  # noqa: F401,F403  errors, results, Calls
from neap.methods import __all__ as _made
from neap.wire import Call, ConnectionLost, Error, Outcome

__all__ = ["Call", "Client", "ConnectionLost", "Error", "Event", "Events", "Host", "Outcome", "find_socket"]
__all__ += _made
