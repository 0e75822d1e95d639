#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Draw how memory moves between VMs, live: an SVG file that is drawn anew each second from events.

    tide_svg.py tide.svg --selector tier=web --seconds 60

Open the file in a browser. The areas are what each VM has, one on the other; the line is what all of
them together need. The file is always whole: a new one takes the place of the old.
"""
import argparse
import bisect
import os
import sys
import time
from typing import Dict, List, Tuple
from xml.sax.saxutils import escape

import neap

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 420, 70, 150, 40, 40
COLUMNS = 240  # points in time that are drawn
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
LEGEND_MOST = 16
MIB = 1 << 20


class Series:
    """What one VM had and needed, by the host's clock."""

    def __init__(self) -> None:
        self.times: List[float] = []
        self.assigned: List[int] = []
        self.demand: List[int] = []

    def add(self, at: float, usage: Dict[str, int]) -> None:
        self.times.append(at)
        self.assigned.append(usage.get("assigned_bytes", 0))
        self.demand.append(usage.get("demand_bytes", 0))

    def at(self, moment: float) -> Tuple[int, int]:
        """(assigned, demand): the last that was told until then."""
        index = bisect.bisect_right(self.times, moment) - 1
        return (self.assigned[index], self.demand[index]) if index >= 0 else (0, 0)


def path(points: List[Tuple[float, float]]) -> str:
    return "M" + "L".join("%.1f %.1f" % point for point in points)


class Chart:
    def __init__(self, series: Dict[str, Series], first: float, last: float) -> None:
        self.names = sorted(series)
        span = max(last - first, 1.0)
        self.moments = [first + span * column / (COLUMNS - 1) for column in range(COLUMNS)]
        self.levels = [[0] * COLUMNS]  # tops of the areas, the lowest first
        self.demand = [0] * COLUMNS
        for name in self.names:
            values = [series[name].at(moment) for moment in self.moments]
            self.levels.append([below + value[0] for below, value in zip(self.levels[-1], values)])
            self.demand = [sum_before + value[1] for sum_before, value in zip(self.demand, values)]
        self.most = max(max(self.levels[-1]), max(self.demand), MIB)
        self.span = span

    def point(self, column: int, level: float) -> Tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * column / (COLUMNS - 1)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * level / self.most

    def areas(self) -> List[str]:
        parts = []
        for number, name in enumerate(self.names):
            top = [self.point(column, level) for column, level in enumerate(self.levels[number + 1])]
            bottom = [self.point(column, level) for column, level in enumerate(self.levels[number])]
            now_mib = (self.levels[number + 1][-1] - self.levels[number][-1]) // MIB
            parts.append('<path d="%sZ" fill="%s" fill-opacity=".75"><title>%s: %d MiB</title></path>' % (
                path(top + bottom[::-1]), COLOURS[number % len(COLOURS)], escape(name), now_mib))
        return parts

    def legend(self) -> List[str]:
        parts = []
        for number, name in enumerate(self.names[:LEGEND_MOST]):
            y = TOP + 18 * number
            parts.append('<rect x="%d" y="%d" width="12" height="12" fill="%s" fill-opacity=".75"/>'
                         '<text x="%d" y="%d">%s</text>' % (WIDTH - RIGHT + 14, y, COLOURS[number % len(COLOURS)],
                                                            WIDTH - RIGHT + 32, y + 10, escape(name[:16])))
        if len(self.names) > LEGEND_MOST:
            parts.append('<text x="%d" y="%d">and %d more</text>' % (
                WIDTH - RIGHT + 14, TOP + 18 * LEGEND_MOST + 10, len(self.names) - LEGEND_MOST))
        return parts

    def axes(self) -> List[str]:
        parts = []
        for quarter in range(5):
            level = self.most * quarter / 4
            x, y = self.point(0, level)
            parts.append('<path d="M%.1f %.1fH%d" stroke="#888" stroke-opacity=".4"/>'
                         '<text x="%.1f" y="%.1f" text-anchor="end">%d MiB</text>' % (x, y, WIDTH - RIGHT, x - 6, y + 4,
                                                                                     round(level / MIB)))
        parts.append('<text x="%d" y="%d">%.0f s ago</text>' % (LEFT, HEIGHT - 14, self.span))
        parts.append('<text x="%d" y="%d" text-anchor="end">now</text>' % (WIDTH - RIGHT, HEIGHT - 14))
        return parts

    def svg(self) -> str:
        line = path([self.point(column, level) for column, level in enumerate(self.demand)])
        title = "%d VMs have %d MiB; they need %d MiB (black line)" % (
            len(self.names), self.levels[-1][-1] // MIB, self.demand[-1] // MIB)
        return "\n".join([
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (
                WIDTH, HEIGHT),
            '<rect width="%d" height="%d" fill="#fff"/>' % (WIDTH, HEIGHT),
            '<text x="%d" y="22" font-size="15">%s</text>' % (LEFT, title), *self.areas(), *self.axes(), *self.legend(),
            '<path d="%s" fill="none" stroke="#000" stroke-width="2"/>' % line, "</svg>\n"])


def write(file_path: str, text: str) -> None:
    with open(file_path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(file_path + ".new", file_path)


class Tide:
    def __init__(self, host: neap.Host, selector: str, began: float, keep_s: float) -> None:
        self.began, self.keep_s = began, keep_s
        self.series: Dict[str, Series] = {}
        self.changes = 0
        for vm in host.vm_list(selector=selector).vms:
            self.series[vm["name"]] = Series()
            if "usage" in vm:
                self.series[vm["name"]].add(began, vm["usage"])

    def take(self, event: neap.Event) -> None:
        if event.vm not in self.series:
            return
        self.changes += 1
        usage = event.data if event.kind == "memory.usage" else {}  # one that ended has nothing
        self.series[event.vm].add(event.time_ns / 1e9, usage)

    def draw(self, file_path: str) -> None:
        now = time.monotonic()
        write(file_path, Chart(self.series, max(self.began, now - self.keep_s), now).svg())


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw how memory moves between VMs, live.")
    parser.add_argument("svg", help="the file to draw")
    parser.add_argument("--selector", default="all")
    parser.add_argument("--seconds", type=float, default=0, help="end after so long; 0: when interrupted")
    parser.add_argument("--keep", type=float, default=600, metavar="SECONDS", help="how much of the past to draw")
    options = parser.parse_args()
    began = time.monotonic()
    with neap.Host() as host, host.events(["memory.usage", "vm.ended"]) as events:
        tide = Tide(host, options.selector, began, options.keep)
        next_draw = began
        while not options.seconds or time.monotonic() < began + options.seconds:
            event = events.next(max(0.0, next_draw - time.monotonic()))
            if event:
                tide.take(event)
            if time.monotonic() >= next_draw:
                tide.draw(options.svg)
                next_draw += 1
        tide.draw(options.svg)
    print("%d VMs, %d changes in %.0f s: %s" % (len(tide.series), tide.changes, time.monotonic() - began, options.svg))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
    except (neap.Error, OSError) as error:
        sys.exit("tide_svg: %s" % error)
