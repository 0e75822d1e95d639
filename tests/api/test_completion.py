#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Completion, in the shells themselves, on terminals of their own: what stands on the line after Tab.

A shell that is not installed is said and left out. The VMs are fake-neap's.
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

STARTS = {  # how the shell is started without anybody's settings, and told of neap
    "bash": (["bash", "--noprofile", "--norc", "-i"], "PS1='$ '; source <(neap completion bash); echo rea''dy"),
    "zsh": (["zsh", "-f", "-i"], "PS1='$ '; autoload -U compinit; compinit -u -D; unsetopt list_ambiguous; "
            "source <(neap completion zsh); echo rea''dy"),
}


class Host:
    """Two VMs, and a PATH with neap."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="neap-cmp-")
        os.makedirs(self.dir + "/bin")
        os.symlink(neapvm.neap_path(), self.dir + "/bin/neap")
        with open(self.dir + "/machine.json", "w", encoding="utf-8"):
            pass
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, PATH=self.dir + "/bin:" + os.environ["PATH"],
                        HOME=self.dir, LC_ALL="C", TERM="dumb", NEAP_HOST_SOCKET="none", INPUTRC="/dev/null")
        for name in ("web", "mail"):
            subprocess.run(["neap", "run", "--name", name, "--detach"], env=self.env, check=True,
                           stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        for name in ("web", "mail"):
            subprocess.run(["neap", "kill", name], env=self.env, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.dir)

    def words(self, *line):
        """What neap itself offers: {word: what it is}."""
        out = subprocess.run(["neap", "completion", "words", "--", *line], env=self.env, check=True,
                             capture_output=True, text=True, timeout=neapvm.PATIENCE_S).stdout
        return dict(line.partition("\t")[::2] for line in out.splitlines())


class Shell:
    def __init__(self, host, name):
        command, setup = STARTS[name]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(host.dir)
            os.execvpe(command[0], command, host.env)
        self.seen = ""
        self.type(setup + "\r")
        self.until(r"ready\r?\n")

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not come: {self.seen!r}"
            said = os.read(self.fd, 4096).decode(errors="replace")
            self.seen += re.sub(r"\x07|\x1b\[\?2004[hl]", "", said)  # bells, and modes of a terminal
        self.seen = ""

    def completes(self, typed, pattern):
        """@typed and Tab make a line in which @pattern is found; then the line is given up."""
        self.type(typed + "\t")
        self.until(pattern)
        self.type("\x15echo do''ne\r")
        self.until(r"done\r?\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def installed(name):
    if shutil.which(name):
        return True
    print(f"-- {name} is not installed, so it is left out", flush=True)
    return False


def in_shell(name, host):
    with Shell(host, name) as shell:
        shell.completes("neap inf", "neap info ")
        shell.completes("neap info w", "neap info web ")
        shell.completes("neap pause --js", "neap pause --json ")
        shell.completes("neap run --page", "neap run --pages ")
        shell.completes("neap run --pages 2", "neap run --pages 2M ")
        shell.completes("neap run --pages=4", "neap run --pages=4K ")
        shell.completes("neap run --config mach", "neap run --config machine.json ")
        shell.completes("neap set mail memory.mod", "neap set mail memory.mode=")
        shell.completes("neap set mail memory.mode=m", "neap set mail memory.mode=manual ")
        shell.completes("neap events web vm.stat", "neap events web vm.state ")


def bash_completes_commands_vms_flags_values_files_and_keys():
    if installed("bash"):
        with Host() as host:
            in_shell("bash", host)


def zsh_completes_the_same():
    if installed("zsh"):
        with Host() as host:
            in_shell("zsh", host)


def fish_completes_the_same():
    if not installed("fish"):
        return
    with Host() as host:
        def offers(line):
            done = subprocess.run(["fish", "--no-config", "-c", f"neap completion fish | source; complete -C '{line}'"],
                                  env=host.env, cwd=host.dir, capture_output=True, text=True, check=True,
                                  timeout=neapvm.PATIENCE_S)
            return [word.split("\t")[0] for word in done.stdout.splitlines()]

        for line, words in (("neap inf", ["info"]), ("neap info ", ["mail", "web"]), ("neap info w", ["web"]),
                            ("neap pause --js", ["--json"]), ("neap run --pages ", ["2M", "4K"]),
                            ("neap run --pages=4", ["--pages=4K"]), ("neap run --config mach", ["machine.json"]),
                            ("neap set mail memory.mode=m", ["memory.mode=manual"])):
            assert sorted(offers(line)) == words, (line, offers(line))


def what_is_offered_comes_from_the_tables():
    with Host() as host:
        helps = subprocess.run(["neap", "help"], env=host.env, capture_output=True, text=True, check=True).stdout
        assert set(host.words("")) == set(re.findall(r"^  ([a-z]+)\b", helps, re.M))
        for command in host.words(""):
            text = subprocess.run(["neap", "help", command], env=host.env, capture_output=True, text=True,
                                  check=True).stdout
            told = set(re.findall(r"^  (?:-\w, )?(--[a-z][a-z-]*)(?= |$)", text, re.M))
            offered = {word for word in host.words(command, "--") if not word.startswith("--no-")}
            assert told == offered, (command, told ^ offered)
        assert set(host.words("set", "web", "")) >= {"memory=", "balloon=", "cpus=", "memory.limit=", "restart="}
        assert set(host.words("set", "-l", "all", "")) >= {"memory=", "balloon="}
        assert set(host.words("events", "--all", "host.")) == {"host.pool"}
        assert set(host.words("help", "pau")) == {"pause"}
        assert "state=silent" in host.words("stop", "--selector", "state=")
        assert host.words("pause", "web", "") == {} == host.words("nothing", "")


def main():
    here = sys.modules[__name__]
    for name, test in list(vars(here).items()):
        if not isinstance(test, type(main)) or test.__module__ != __name__ or \
                name in ("main", "installed", "in_shell"):
            continue
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
