#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page: what its followers are told, and, in a headless Chromium, what a person sees.

The host is made of numbers (fake_host.c). The tests whose names begin with "a browser" are left out, and said
so, where no Chromium is installed. test_page.py --pictures DIR also leaves pictures there.
"""
import os
import re
import sys
import time

import chromium
from fakehost import FakeHost

KEPT = 300  # page_history.h, PAGE_STEPS
DEMAND, ASSIGNED, STATE = 1, 2, 6


def values(runs):
    found = []
    for value, repeats in zip(runs[::2], runs[1::2]):
        found += [value] * repeats
    return found


def told(events, kind):
    return [data for each, data in events if each == kind]


def by_name(events):
    return {data["info"]["name"]: data for data in told(events, "track") if "info" in data}


# --- what followers are told --------------------------------------------------------------------------


def test_one_who_comes_is_told_everything_that_is_kept():
    with FakeHost(vms=6, steps=400) as host, host.follow() as page:
        events, last = page.until_now()
        begin = events[0][1]
        assert events[0][0] == "begin" and begin["from"] == 0 and begin["kept"] == KEPT
        tracks = by_name(events)
        assert sorted(tracks) == ["2M", "batch-1", "cache-1", "ci-1", "db-1", "idle-1", "web-1"]
        now = events[-1][1]["n"]
        assert last == f"{begin['epoch']}-{now}" and now >= 400
        for track in tracks.values():
            assert track["s"] == now - KEPT + 1
            assert [len(values(column)) for column in track["v"]] == [KEPT] * 8
        assert tracks["web-1"]["info"]["labels"]["role"] == "web" and tracks["web-1"]["info"]["pool"] == "2M"


def test_one_who_stays_is_told_only_what_changes():
    with FakeHost(vms=6) as host, host.follow() as page:
        page.until_now()
        host.tell("end 3")
        host.tell("reason 3 it ended")
        host.tell("jump 2000")
        events, _ = page.until_now()
        changed = by_name(events)
        assert list(changed) == ["cache-1"], "only its state changed; of the others only values are told"
        assert changed["cache-1"]["info"]["state"] == "stopped"
        assert all(values(column)[-1] == -1 for column in changed["cache-1"]["v"])
        host.tell("jump 2000")
        events, _ = page.until_now()
        assert changed["cache-1"]["i"] not in [data["i"] for data in told(events, "track")], "nothing changes there"


def test_a_reason_that_is_cut_within_a_character_is_left_out():
    with FakeHost(vms=1) as host:
        host.tell("reason 0 ended \x01cut")
        host.tell("jump 2000")
        with host.follow() as page:
            assert by_name(page.until_now()[0])["web-1"]["info"]["reason"] == ""


def test_one_who_comes_back_misses_nothing_and_is_told_nothing_twice():
    with FakeHost(vms=6, steps=50) as host:
        with host.follow() as page:
            first, last = page.until_now()
        host.tell("forget 1")
        host.tell("note vm.deleted 0")
        host.tell("steps 20")
        with host.follow(last) as page:
            events, _ = page.until_now()
        begin, now = events[0][1], events[-1][1]["n"]
        known = int(last.split("-")[1])
        assert begin["from"] == known
        assert told(events, "gone") == [{"i": by_name(first)["db-1"]["i"]}]
        assert [note["kind"] for note in told(events, "note")] == ["vm.deleted"]
        for track in told(events, "track"):
            assert track["s"] == known + 1 and len(values(track["v"][DEMAND])) == now - known
            assert "info" not in track


def test_an_id_of_another_daemon_or_of_long_ago_begins_anew():
    with FakeHost(vms=2, steps=30) as host:
        with host.follow() as page:
            events, last = page.until_now()
        epoch = events[0][1]["epoch"]
        for strange in (f"{int(epoch, 16) ^ 1:x}-20", f"{epoch}-99999", f"{epoch}-", "-", "x" * 300, f"{epoch}--1",
                        f"{epoch}-5x", "0-0", f"{epoch}-18446744073709551615"):
            with host.follow(strange) as page:
                events, _ = page.until_now()
                assert events[0][1]["from"] == 0 and len(by_name(events)) == 3, strange
        host.tell(f"steps {KEPT + 5}")
        with host.follow(last) as page:
            assert page.until_now()[0][0][1]["from"] == 0


def test_the_time_that_the_daemon_was_held_up_is_a_gap():
    with FakeHost(vms=1, steps=20) as host:
        host.tell("jump 20000")
        with host.follow() as page:
            events, _ = page.until_now()
            while events[-1][1]["n"] < 30:
                events += page.until_now()[0]
    seen = {}
    for track in told(events, "track"):
        if track["i"] == by_name(events)["web-1"]["i"] and "v" in track:
            seen.update(enumerate(values(track["v"][ASSIGNED]), track["s"]))
    gap = [step for step, value in sorted(seen.items()) if value == -1]
    assert 8 <= len(gap) <= 10 and gap == list(range(gap[0], gap[-1] + 1)), seen


def test_vms_that_come_and_go_leave_nothing():
    with FakeHost(vms=400, steps=5) as host, host.follow() as page:
        page.until_now()
        before = host.rss()
        for vm in range(390):
            host.tell(f"forget {vm}")
        host.tell("jump 2000")
        assert len(told(page.until_now()[0], "gone")) == 390
        host.tell(f"steps {KEPT + 2}")
        with host.follow() as other:
            assert len(by_name(other.until_now()[0])) == 11
        assert host.rss() < before + 2 ** 20


def test_more_vms_than_it_draws_are_counted():
    with FakeHost(vms=4500, steps=2) as host, host.follow() as page:
        events, _ = page.until_now()
        assert len(by_name(events)) == 4096 and events[-1][1]["left_out"] == 4500 + 1 - 4096


def test_notes_are_the_last_64_and_not_of_what_happens_all_the_time():
    with FakeHost(vms=2) as host:
        for _ in range(100):
            host.tell("note memory.usage 0")
            host.tell("note memory.grant 0")
            host.tell("note vm.started 1")
        host.tell("steps 1")
        with host.follow() as page:
            notes = told(page.until_now()[0], "note")
    assert [note["kind"] for note in notes] == ["vm.started"] * 64
    assert notes[0]["vm"] == "db-1" and abs(notes[0]["t"] / 1000 - time.time()) < 100


# --- what a person sees -------------------------------------------------------------------------------


def open_page(browser, host, width=1280, height=860, dark=False):
    page = browser.open(f"http://127.0.0.1:{host.port}/", width, height, dark, touch=width < 500)
    page.wait_for("typeof store === 'object' && store.now > 0 && document.getElementById('verdict').textContent.trim() !== ''")
    page.wait_for("tiles.size === 0 || [...tiles.values()].some((tile) => tile.scale)")
    return page


def text_of(page, ident):
    return page.evaluate(f"document.getElementById('{ident}').textContent")


def is_well(page, host):
    """No complaint, and nothing was asked of anybody else."""
    assert page.complaints == [], page.complaints
    ours = (f"http://127.0.0.1:{host.port}/", "data:")
    assert all(url.startswith(ours) for url in page.requests), page.requests


def blue_share(page, selector):
    """How much of a canvas is drawn on."""
    return page.evaluate(
        "(() => { const c = document.querySelector('%s'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (d.length / 4); })()" % selector)


def a_browser_shows_that_nobody_is_short(browser, pictures):
    with FakeHost(vms=12, steps=310) as host:
        for width, height, dark in ((1280, 860, False), (1280, 860, True), (375, 800, False)):
            page = open_page(browser, host, width, height, dark)
            page.wait_for("document.getElementById('link').className === 'live'")
            assert text_of(page, "count") == "12" and "of 12 VMs" not in text_of(page, "summary")
            assert page.evaluate("tiles.size") == 12
            assert blue_share(page, ".pool .tide") > 0.3 and blue_share(page, ".tile canvas") > 0.2
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "it does not fit across"
            assert page.evaluate("[...document.querySelectorAll('.numbers')].every((line) => line.scrollWidth <= line.clientWidth)")
            if pictures:
                page.screenshot(os.path.join(pictures, f"page-{width}{'-dark' if dark else ''}.png"))
            is_well(page, host)
            page.call("Page.close")


def a_browser_shows_first_who_is_short_and_what_it_lacks(browser, pictures):
    with FakeHost(vms=40, steps=300) as host:
        host.tell("short 22")
        host.tell("steps 20")
        page = open_page(browser, host)
        name = page.evaluate("store.tracks.get(order[0]).info.name")
        assert name == "idle-4" and text_of(page, "verdict") == "idle-4 is short of memory."
        assert "idle-4" in page.evaluate("document.title")
        assert page.evaluate("document.querySelector('.tile').className") == "tile bad"
        if pictures:
            page.screenshot(os.path.join(pictures, "page-short.png"))
        host.tell("state 7 silent")
        host.tell("jump 2000")
        page.wait_for("document.getElementById('verdict').textContent === '2 VMs are short of memory.'")
        is_well(page, host)


def a_browser_goes_on_by_itself_and_after_the_daemon_was_away(browser, _):
    with FakeHost(vms=3, steps=10) as host:
        page = open_page(browser, host)
        first = page.evaluate("store.now")
        page.wait_for(f"store.now > {first}")
        host.tell("forget 0")
        host.tell("jump 2000")
        page.wait_for("tiles.size === 2")
        page.evaluate("source.close(); connect(); 0")
        was = page.evaluate("store.now")
        page.wait_for(f"store.now > {was}")
        assert any(re.search(r"/events\?after=[0-9a-f]+-\d+$", url) for url in page.requests), page.requests
        assert page.evaluate("tiles.size") == 2
        is_well(page, host)
    with FakeHost(vms=5, port=host.port):  # another daemon in its place
        page.wait_for("tiles.size === 5 && document.getElementById('link').className === 'live'")
        assert page.evaluate("[...store.tracks.values()].every((track) => track.first <= store.now)")


def a_browser_takes_whatever_a_vm_is_called_as_text(browser, _):
    with FakeHost(vms=3) as host:
        evil = "<img/src=x/onerror=alert(1)>"
        host.tell(f"rename 0 {evil}")
        host.tell(f"reason 1 {evil} <script>alert(2)</script>")
        host.tell("end 1")
        host.tell(f"label 2 {evil} </script><b>")
        host.tell("note vm.ended 0")
        host.tell("steps 2")
        page = open_page(browser, host)
        assert page.evaluate("document.querySelectorAll('img, b b, main script').length") == 0
        assert evil in page.evaluate("document.getElementById('tiles').textContent")
        page.wait_for("document.getElementById('notes').children.length > 0")
        assert evil in text_of(page, "notes")
        page.evaluate("openDetail([...store.tracks.values()].find((vm) => vm.info.labels && vm.info.labels['%s']).number); 0" % evil)
        page.wait_for("document.getElementById('detail-values').textContent.includes('</script>')")
        is_well(page, host)


def a_browser_is_worked_with_the_keyboard_alone(browser, pictures):
    with FakeHost(vms=60, steps=300) as host:
        page = open_page(browser, host)
        page.key("/", "/")
        assert page.evaluate("document.activeElement.id") == "filter"
        for letter in "role=db":
            page.key(letter, letter)
        page.wait_for("order.length === 10")
        assert text_of(page, "count") == "10 of 60"
        page.evaluate("document.querySelector('.tile').focus(); 0")
        page.key("ArrowRight")
        page.key("ArrowDown")
        assert page.evaluate("[...tiles.values()].filter((tile) => tile.button.tabIndex === 0).length") == 1
        at = page.evaluate("order.map((number) => tiles.get(number).button).indexOf(document.activeElement)")
        assert at > 1
        page.evaluate("document.activeElement.click(); 0")
        page.wait_for("document.getElementById('detail').open && detailScale")
        assert page.evaluate("document.activeElement.id") == "detail-chart"
        for _ in range(3):
            page.key("ArrowLeft")
        page.wait_for("cursor === 0 ? false : document.getElementById('detail-when').textContent.startsWith('at ')")
        if pictures:
            page.screenshot(os.path.join(pictures, "page-detail.png"))
        page.key("Escape")
        page.wait_for("!document.getElementById('detail').open && cursor === 0")
        is_well(page, host)


def a_browser_has_the_same_as_a_table(browser, pictures):
    with FakeHost(vms=20, steps=20) as host:
        page = open_page(browser, host, 375, 800)
        page.evaluate("document.getElementById('view').click(); 0")
        page.wait_for("document.querySelectorAll('#rows tr').length === 20")
        row = page.evaluate("[...document.querySelector('#rows tr').children].map((cell) => cell.textContent)")
        assert row[0] == "batch-1" and row[5] == "4 GiB" and row[6].endswith(" %")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert page.evaluate("document.querySelector('#view').getAttribute('aria-pressed')") == "true"
        if pictures:
            page.evaluate("document.getElementById('vms').scrollIntoView(); 0")
            page.screenshot(os.path.join(pictures, "page-table.png"))
        is_well(page, host)


def a_browser_draws_two_hundred_vms_in_a_breath(browser, _):
    with FakeHost(vms=200, steps=310) as host:
        page = open_page(browser, host)
        took = page.evaluate("(() => { const t = performance.now(); for (let i = 0; i < 5; i++) drawNow();"
                             " return (performance.now() - t) / 5; })()")
        everything = page.evaluate("(() => { order.forEach((number) => seen.add(number)); const t = performance.now();"
                                   " drawNow(); return performance.now() - t; })()")
        print(f"   {took:.1f} ms with the tiles that are seen, {everything:.1f} ms with all")
        assert took < 200 and everything < 1000
        page.point(640, 300)
        page.wait_for("cursor > 0 && !document.getElementById('when').hidden")
        is_well(page, host)


def main():
    pictures = None
    names = sys.argv[1:]
    if names[:1] == ["--pictures"]:
        pictures = names[1]
        os.makedirs(pictures, exist_ok=True)
        names = names[2:]
    for name, test in [(name, test) for name, test in globals().items() if name.startswith("test_")]:
        if names and name not in names:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name[5:].replace('_', ' ')}", flush=True)
    seen = [(name, test) for name, test in globals().items() if name.startswith("a_browser_")]
    if not chromium.path():
        print(f"skipped: the {len(seen)} tests in a browser: no chromium is installed (package chromium)")
        return
    with chromium.Chromium() as browser:
        for name, test in seen:
            if names and name not in names:
                continue
            started = time.monotonic()
            test(browser, pictures)
            print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
