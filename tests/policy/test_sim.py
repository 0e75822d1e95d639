#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""neap sim as a person types it: tables, JSON, charts, exit status. No VM and no host is needed.

Each test is a function whose name is the sentence it holds.
"""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

OK, FAILED, USAGE = 0, 1, 2
SHORT = ("--fleet", "mixed", "--brief", "--set", "duration=20m")


def neap(*words, status=OK):
    done = subprocess.run([os.environ["NEAP"], "sim", *words], text=True, capture_output=True, timeout=300,
                          env=dict(os.environ, LC_ALL="C"))
    if done.returncode != status:
        raise AssertionError(f"neap sim {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def a_fleet_prints_a_row_for_each_rule(_):
    out = neap(*SHORT).stdout
    for rule in ("static", "proxmox-style", "mom-style", "neap"):
        expect(f"\n{rule} " in out, f"{rule} in:\n{out}")
    expect("VMS FIT" not in out, out)


def a_fleet_as_json_has_the_numbers_of_the_table(_):
    fleet = json.loads(neap(*SHORT, "--json").stdout)
    expect(fleet["vms"] == 34 and fleet["duration_s"] == 1200, fleet)
    rules = {row["rule"]: row for row in fleet["rules"]}
    expect(not rules["static"]["runs"], rules["static"])  # 34 VMs do not fit by their maxima
    expect(0 <= rules["neap"]["below_ppm"] <= 1000000, rules["neap"])
    expect("most_vms" not in rules["neap"], rules["neap"])


def the_same_seed_prints_the_same_table_and_another_seed_another(_):
    once, again = neap(*SHORT).stdout, neap(*SHORT).stdout
    other = neap("--fleet", "mixed", "--brief", "--set", "duration=20m,seed=2").stdout
    expect(once == again, "two runs differ")
    expect(once.split("\n")[1:] != other.split("\n")[1:], "seeds do not matter")


def simultaneous_peaks_gain_nothing_and_it_says_so(_):
    out = neap("--fleet", "simultaneous", "--set", "duration=8h").stdout
    expect("Dynamic memory gains nothing here: 9" in out, out)
    staggered = neap("--fleet", "staggered", "--set", "duration=8h").stdout
    expect("gains nothing" not in staggered, staggered)


def a_fleet_of_a_file_is_run_and_a_mistake_in_it_is_said_with_its_line(folder):
    path = os.path.join(folder, "my.fleet")
    with open(path, "w", encoding="ascii") as file:
        file.write("pool = 8G\nduration = 5m\n[a]\ncount = 2\nmemory.maximum = 2G\npattern = idle\nlow = 1G\n")
    expect("Fleet my: 2 VMs" in neap("--fleet", path, "--brief").stdout, "its head")
    with open(path, "a", encoding="ascii") as file:
        file.write("hihg = 2G\n")
    err = neap("--fleet", path, status=USAGE).stderr
    expect(f"{path}:8: there is no key \"hihg\" of a class" in err, err)


def a_recorded_vm_is_decided_again_as_it_was(folder):
    trace = os.path.join(folder, "trace.csv")
    neap(*SHORT, "--trace", trace)
    out = neap(trace).stdout
    expect("Every decision is as it was recorded." in out, out)
    [result] = json.loads(neap(trace, "--json").stdout)
    expect(result["identical"] and result["answered_by"] == "recording", result)
    expect(result["ticks"] == 1200, result)


def a_trace_in_two_files_goes_on_from_the_first_to_the_second(folder):
    whole, first, second = (os.path.join(folder, name) for name in ("whole.csv", "trace.csv.1", "trace.csv"))
    neap(*SHORT, "--trace", whole)
    with open(whole, encoding="ascii") as file:
        lines = file.readlines()
    # The averages are still on their way there.
    for path, part in ((first, lines[:81]), (second, lines[:1] + lines[81:])):
        with open(path, "w", encoding="ascii") as file:
            file.writelines(part)
    out = neap(first, second).stdout
    expect(out.count("Every decision is as it was recorded.") == 2, out)
    expect("1120 ticks in 18 min 39 s, from where the one before ends" in out, out)
    err = neap(second, status=FAILED).stderr  # alone, its beginning is missing
    expect("trace.csv:2: " in err and "beginning is missing" in err, err)


def another_decision_is_named_and_fails(folder):
    trace = os.path.join(folder, "trace.csv")
    neap(*SHORT, "--trace", trace)
    with open(trace, encoding="ascii") as file:
        lines = file.read().split("\n")
    column = lines[0].split(",").index("target_bytes")
    cells = lines[700].split(",")
    before, cells[column] = cells[column], "4096"
    lines[700] = ",".join(cells)
    with open(trace, "w", encoding="ascii") as file:
        file.write("\n".join(lines))
    err = neap(trace, status=FAILED).stderr
    expect(f"{trace}:701: target_bytes was 4096, and would be {before} now" in err, err)
    [result] = json.loads(neap(trace, "--json", status=FAILED).stdout)
    expect(result["first_difference"]["line"] == 701, result)


def other_settings_are_answered_by_a_model_and_it_says_so(folder):
    trace = os.path.join(folder, "trace.csv")
    neap(*SHORT, "--trace", trace)
    out = neap(trace, "--set", "memory.buffer=100").stdout
    expect("model of a guest" in out and "memory.buffer=100" in out, out)
    [result] = json.loads(neap(trace, "--json", "--set", "memory.buffer=100").stdout)
    expect(result["answered_by"] == "model", result)
    expect(result["changed"]["granted_mib_ms"] > result["recorded"]["granted_mib_ms"], result)
    err = neap(trace, "--set", "memory.maximum=8G", status=FAILED).stderr
    expect("memory.maximum" in err, err)


def a_chart_is_svg_that_names_its_lines(folder):
    fleet, trace, vm = (os.path.join(folder, name) for name in ("fleet.svg", "trace.csv", "vm.svg"))
    neap(*SHORT, "--chart", fleet, "--trace", trace)
    neap(trace, "--chart", vm)
    for path, names in ((fleet, ("pool", "held of the pool")), (vm, ("minimum", "maximum"))):
        words = list(xml.etree.ElementTree.parse(path).getroot().itertext())
        for name in (*names, "demand", "assigned", "time"):
            expect(name in words, f"{name} in {path}")


def what_cannot_be_done_is_refused_before_anything_runs(folder):
    for words, said in ((("--fleet", "nonsense"), "built in are staggered, simultaneous"),
                        ((), "give TRACE files or --fleet SPEC"),
                        (("x.csv", "--fleet", "mixed"), "not both"),
                        (("x.csv", "--brief"), "are for --fleet"),
                        (("x.csv", "--set", "memory.weight=1", "--set=memory.weight=2"), "--set is given twice"),
                        (("x.csv", "y.csv", "--chart", "z.svg"), "one TRACE"),
                        (("--fleet", "mixed", "--set", "pool=1"), "pool must be from")):
        err = neap(*words, status=USAGE).stderr
        expect(said in err and err.count("\n") == 1, err)
    err = neap(os.path.join(folder, "absent.csv"), status=FAILED).stderr
    expect("absent.csv: No such file or directory" in err, err)
    err = neap(*SHORT, "--trace", "/nonexistent/trace.csv", status=FAILED).stderr
    expect("/nonexistent/trace.csv: No such file" in err, err)


TESTS = [a_fleet_prints_a_row_for_each_rule, a_fleet_as_json_has_the_numbers_of_the_table,
         the_same_seed_prints_the_same_table_and_another_seed_another,
         simultaneous_peaks_gain_nothing_and_it_says_so,
         a_fleet_of_a_file_is_run_and_a_mistake_in_it_is_said_with_its_line,
         a_recorded_vm_is_decided_again_as_it_was,
         a_trace_in_two_files_goes_on_from_the_first_to_the_second, another_decision_is_named_and_fails,
         other_settings_are_answered_by_a_model_and_it_says_so, a_chart_is_svg_that_names_its_lines,
         what_cannot_be_done_is_refused_before_anything_runs]


def main():
    failed = 0
    for test in TESTS:
        with tempfile.TemporaryDirectory(prefix="neap-sim-") as folder:
            try:
                test(folder)
                print(f"ok   {test.__name__.replace('_', ' ')}")
            except AssertionError as error:
                failed += 1
                print(f"FAIL {test.__name__.replace('_', ' ')}\n{error}")
    sys.exit(1 if failed else 0)


main()
