#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""summary.py counts what happened and hides nothing."""
import contextlib
import io
import json
import os
import tempfile
import unittest

import summary

CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] one
[       OK ] one
[ RUN      ] two
skipped: no such device here
[  SKIPPED ] two
[ RUN      ] three
[  ERROR   ] --- 0x1 != 0x2
[  FAILED  ] three
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] three

 1 FAILED TEST(S)
"""


def summarize(*entries):
    """(exit status, printed lines) of summary.py over one log."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.json")
        with open(path, "w", encoding="utf-8") as log:
            log.writelines(json.dumps(entry) + "\n" for entry in entries)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = summary.main([path])
    return status, printed.getvalue().splitlines()


def entry(name, result, stdout="", stderr="", returncode=0):
    return {"name": name, "result": result, "stdout": stdout, "stderr": stderr,
            "returncode": returncode, "duration": 1.5}


class Summary(unittest.TestCase):
    def test_programs_without_cases_count_as_one(self):
        self.assertEqual(summarize(entry("a", "OK"), entry("b", "OK")),
                         (0, ["2 passed, 0 failed, 0 skipped"]))

    def test_cmocka_programs_count_by_their_cases(self):
        status, lines = summarize(entry("prog", "FAIL", CMOCKA, returncode=1))
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["skipped: prog: two: no such device here", "FAILED:  prog: three",
                                 "1 passed, 1 failed, 1 skipped"])

    def test_a_crash_after_passed_cases_is_a_failure(self):
        status, lines = summarize(entry("prog", "FAIL", "[       OK ] one\n", returncode=-11))
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["FAILED:  prog: fail, exit status -11 after 1.5 s; "
                                 "it said last: [       OK ] one",
                                 "1 passed, 1 failed, 0 skipped"])

    def test_what_is_right_when_run_again_is_passed_and_told(self):
        status, lines = summarize(entry("prog", "FAIL", returncode=1), entry("prog", "OK"))
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["unsteady: prog: right only when run again; before: exit status 1 after 1.5 s",
                                 "1 passed, 0 failed, 0 skipped"])

    def test_what_fails_again_is_one_failure(self):
        status, lines = summarize(entry("prog", "FAIL", returncode=1), entry("prog", "FAIL", returncode=2))
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")

    def test_a_timeout_is_a_failure(self):
        self.assertEqual(summarize(entry("slow", "TIMEOUT", returncode=-15))[0], 1)

    def test_a_skipped_program_says_why(self):
        status, lines = summarize(entry("kvm", "SKIP", stderr="with-hugepages: skipped: no root\n"))
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["skipped: kvm: no root", "0 passed, 0 failed, 1 skipped"])

    def test_a_skip_without_a_reason_is_shown_as_such(self):
        self.assertIn("skipped: kvm: no reason given", summarize(entry("kvm", "SKIP"))[1])

    def test_the_lab_counts_by_its_checks(self):
        status, lines = summarize(entry("lab", "FAIL", "ok      12.5 s  boot-ELF: up\n"
                                        "ok       2.0 s    then kill: exit status 7\n"
                                        "ok       3.0 s    then kill: exit status 7\n"
                                        "FAILED 100.0 s  balloon: Failed: nothing came back\n", returncode=1))
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["FAILED:  lab: balloon: Failed: nothing came back",
                                 "3 passed, 1 failed, 0 skipped"])

    def test_an_empty_or_missing_log_is_a_failure(self):
        self.assertEqual(summarize()[0], 1)
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(summary.main(["/nonexistent"]), 1)


if __name__ == "__main__":
    unittest.main()
