#!/usr/bin/env python3
"""What failed tests said, cut to what tells why: the runners put it beside the totals, and
contrib/check shows it at its end, where an output that was cut in the middle still has it.

usage: failures.py FILE     prints what was kept there, the more failures the shorter each
"""
import re
import sys

MOST = 15   # lines for a failure
SCREEN = 50 # for all of them, down to LEAST for each
LEAST = 4

RUN = re.compile(r"^\[ RUN      \] ")
ENDED = re.compile(r"^\[ +(OK|SKIPPED|FAILED) +\] ([A-Za-z_]\w*)$")
RESULT = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] (\S+)")
REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:")
COMPLAINT = re.compile(r"\[(error|warning)\]|^Error: |^SUMMARY: \w*Sanitizer|runtime error:")


def _end(lines):
    """The last ones; of a sanitizer's report the first and its summary."""
    lines = [line for line in lines if line.strip()]
    start = next((i for i, line in enumerate(lines) if REPORT.search(line)), None)
    if start is None:
        return lines[-MOST:]
    summary = [line for line in lines[start + MOST - 1:] if line.startswith("SUMMARY: ")]
    return lines[start:start + MOST - 1] + summary[:1]


def of_program(output):
    """{failed case: lines} of a cmocka program; {None: lines} when it names none."""
    found, said = {}, []
    for line in output.splitlines():
        ended = ENDED.match(line)
        if ended and ended[1] == "FAILED":
            found.setdefault(ended[2], _end(said))  # the names come once more at the end
        said = [] if ended or RUN.match(line) else said + [line]
    return found or {None: _end(output.splitlines())}


def _of_case(said):
    """What nodes complained of, and the end of the traceback with the message."""
    nodes = next((i for i, line in enumerate(said) if line.startswith("--- node")), len(said))
    complaints = [line for line in said[nodes:] if COMPLAINT.search(line)]
    return complaints[-5:] + _end(said[:nodes])[-(MOST - 5):]


def of_cases(output):
    """The same of a file of functional tests."""
    found, said = {}, []
    for line in output.splitlines():
        result = RESULT.match(line)
        if result and result[1] == "FAILED":
            found[result[2]] = _of_case(said)
        said = [] if result else said + [line]
    return found or {None: _end(output.splitlines())}


def keep(totals, label, name, lines):
    """Beside the file of totals; the label says of which run."""
    with open(totals + ".failures", "a", encoding="utf-8", errors="replace") as file:
        file.write(f"-- {name} ({label})\n" + "".join(f"   {line[:300]}\n" for line in lines))


def show(text):
    """What was kept, in about a screen."""
    blocks = [block.splitlines() for block in re.split(r"^(?=-- )", text, flags=re.M) if block]
    each = max(LEAST, min(MOST, SCREEN // max(1, len(blocks)) - 1))
    for head, *lines in blocks:
        print("\n".join([head] + lines[-each:]))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8", errors="replace") as kept:
        show(kept.read())
