# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A program on a terminal of its own, and what its screen shows. Standard library only.

    with Terminal(["neap", "top"], env, rows=24, columns=80) as terminal:
        terminal.until("web +running")     # a line of the screen
        terminal.type("q")
        assert terminal.wait() == 0

The terminal is as much of an xterm as ncurses uses for such a screen; a sequence that it does not know
is a failure, not a guess. Source: ECMA-48, and console_codes(4).
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import neapvm

SEQUENCE = re.compile(r"\x1b\[([?>]?)([0-9;]*)([@-~])|\x1b([()])(.)|\x1b([=>78Mc])|([\x00-\x1f\x7f])|([^\x00-\x1f\x7f])",
                      re.S)


class Screen:
    """Characters in place; colours only as the set of those that were used."""

    def __init__(self, rows, columns):
        self.resize(rows, columns)
        self.colours = set()
        self.is_alternate = False
        self.has_cursor = True

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.y = self.x = 0
        self.last = " "
        self.inserts = False
        self.top, self.bottom = 0, self.rows - 1  # of the region that scrolls

    def lines(self):
        return ["".join(line).rstrip() for line in self.cells]

    def text(self):
        return "\n".join(self.lines())

    def put(self, character):
        if self.x >= self.columns:  # it wraps only when the next character comes
            self.x = 0
            self.feed_line()
        if self.inserts:
            self.shift(self.y, self.x, 1)
        self.cells[self.y][self.x] = self.last = character
        self.x += 1

    def shift(self, y, x, count):
        """The line from x on to the right, or to the left where count is negative."""
        line, gap = self.cells[y], [" "] * abs(count)
        moved = line[:x] + gap + line[x:] if count > 0 else line[:x] + line[x - count:] + gap
        self.cells[y] = (moved + gap)[:self.columns]

    def feed_line(self):
        if self.y == self.bottom:
            self.scroll(self.top, -1)
        else:
            self.y = min(self.y + 1, self.rows - 1)

    def feed_line_back(self):
        if self.y == self.top:
            self.scroll(self.top, 1)
        else:
            self.y = max(self.y - 1, 0)

    def scroll(self, start, count):
        """The lines from start to the end of the region, down, or up where count is negative."""
        gap = [[" "] * self.columns for _ in range(abs(count))]
        region = self.cells[start:self.bottom + 1]
        moved = gap + region if count > 0 else region[-count:] + gap
        self.cells[start:self.bottom + 1] = moved[:len(region)]

    def control(self, code):
        if code == "\r":
            self.x = 0
        elif code in "\n\x0b":
            self.feed_line()
        elif code == "\b":
            self.x = max(0, self.x - 1)
        elif code == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif code not in "\x07\x0f":
            raise AssertionError(f"control character {code!r}")

    def erase(self, start, end):
        for place in range(start, end):
            self.cells[place // self.columns][place % self.columns] = " "

    def mode(self, number, is_on):
        if number == 1049:
            self.is_alternate = is_on
            self.clear()
        elif number == 25:
            self.has_cursor = is_on

    def sequence(self, private, numbers, final):
        first = (numbers or [0])[0]
        here, line = self.y * self.columns + min(self.x, self.columns - 1), self.y * self.columns
        if final in "hl":
            for number in numbers:
                if private:
                    self.mode(number, final == "h")
                elif number == 4:
                    self.inserts = final == "h"
        elif final in "Hf":
            self.y = min(max(first, 1), self.rows) - 1
            self.x = min(max((numbers + [1, 1])[1], 1), self.columns) - 1
        elif final in "ABCDGd":
            step = max(first, 1)
            self.y = {"A": self.y - step, "B": self.y + step, "d": step - 1}.get(final, self.y)
            self.x = {"C": self.x + step, "D": self.x - step, "G": step - 1}.get(final, self.x)
            self.y, self.x = min(max(self.y, 0), self.rows - 1), min(max(self.x, 0), self.columns - 1)
        elif final == "J":
            self.erase(*{0: (here, self.rows * self.columns), 1: (0, here + 1),
                         2: (0, self.rows * self.columns)}[first])
        elif final == "K":
            self.erase(*{0: (here, line + self.columns), 1: (line, here + 1), 2: (line, line + self.columns)}[first])
        elif final == "X":
            self.erase(here, min(here + max(first, 1), line + self.columns))
        elif final in "P@":
            self.shift(self.y, self.x, max(first, 1) * (1 if final == "@" else -1))
        elif final in "LM":
            self.scroll(self.y, max(first, 1) * (1 if final == "L" else -1))
        elif final == "b":
            for _ in range(max(first, 1)):
                self.put(self.last)
        elif final == "m":
            self.colours |= {number for number in numbers if 30 <= number <= 37}
        elif final == "r":
            self.top, self.bottom = max(first, 1) - 1, ((numbers + [0, 0])[1] or self.rows) - 1
            self.bottom = min(self.bottom, self.rows - 1)
        elif final not in "tn":  # of windows and reports
            raise AssertionError(f"sequence {private}{numbers}{final}")

    def feed(self, text):
        """What could not be read to its end yet."""
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            if not found or (found.group(7) == "\x1b"):
                if len(text) - at > 32:
                    raise AssertionError(f"sequence {text[at:at + 32]!r}")
                return text[at:]
            private, numbers, final, _, _, escape, code, character = found.groups()
            if character:
                self.put(character)
            elif code:
                self.control(code)
            elif escape == "M":
                self.feed_line_back()
            elif final:
                self.sequence(private, [int(word or 0) for word in numbers.split(";")] if numbers else [], final)
            at = found.end()
        return ""


class Terminal:
    def __init__(self, words, env, rows=24, columns=80, term="xterm-256color"):
        self.screen = Screen(rows, columns)
        self.master, self.slave = pty.openpty()
        self.set_size(rows, columns)
        self.mode = termios.tcgetattr(self.slave)
        self.rest, self.raw = "", b""
        self.process = subprocess.Popen(words, env=dict(env, TERM=term), stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True, preexec_fn=self.own)

    def own(self):
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.set_size(rows, columns)  # and SIGWINCH to the program

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self, timeout_s):
        if not select.select([self.master], [], [], timeout_s)[0]:
            return False
        self.raw += os.read(self.master, 65536)
        text = self.raw.decode("utf-8", "ignore")
        whole = len(text.encode())
        self.raw = self.raw[whole:] if self.raw[:whole] == text.encode() else b""
        self.rest = self.screen.feed(self.rest + text)
        return True

    def until(self, pattern, patience_s=None):
        """The match of a line of the screen."""
        deadline = time.monotonic() + (patience_s or neapvm.PATIENCE_S)
        while True:
            found = re.search(pattern, self.screen.text(), re.M)
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{pattern!r} did not appear:\n{self.screen.text()}")

    def wait(self):
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.01)
        while self.read(0):
            pass
        return self.process.returncode

    def is_restored(self):
        return (not self.screen.is_alternate and self.screen.has_cursor and
                termios.tcgetattr(self.slave) == self.mode)
