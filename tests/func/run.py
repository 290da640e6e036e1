#!/usr/bin/env python3
"""Runs the functional tests: every test_*.py here, three files at a time for each core, since they
wait more than they work; those that take longest first, so that none is left alone at the end.

usage: run.py [--build DIR] [--long] [--jobs N] [--totals FILE] [FILE or part of its name]...

Prints one line a case and a summary; appends "passed failed skipped" and the names of what failed
to the totals file, and what these said to FILE.failures; exit code 1 when anything failed. A file that ends without having said so counts
as failed.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.append(os.path.join(HERE, "..", "..", "contrib"))
import failures  # pylint: disable=wrong-import-position,import-error
import scratch   # pylint: disable=wrong-import-position,import-error
# Those that take longest begin first.
LONGEST = ["attack_mempool", "bench", "paychannels_recovery", "channel_numbers",
           "paychannels_helper", "fault", "wallet_keys", "metering", "compact", "files"]
LINE = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] ", re.M)
FAILED_CASE = re.compile(r"^\[  FAILED  \] (\S+)", re.M)


def run_file(path, environment, timeout):
    started = time.monotonic()
    with subprocess.Popen([sys.executable, path], cwd=HERE, env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        try:
            output = process.communicate(timeout=timeout)[0]
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.terminate()  # the frame's handlers stop what it started
            output = process.communicate()[0] + f"no end after {timeout} s\n"
            code = 124
    return code, output, time.monotonic() - started


def slow_first(path):
    """Then scenarios, which are short texts, played at length; else the longer text takes longer."""
    name = os.path.basename(path).removeprefix("test_").removesuffix(".py")
    rank = LONGEST.index(name) if name in LONGEST else len(LONGEST)
    return rank, not name.startswith("paychannels_steps"), -os.path.getsize(path)


def keep_failures(arguments, name, output):
    for case, lines in failures.of_cases(output).items():
        if arguments.totals:
            failures.keep(arguments.totals, arguments.label, case or name, lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1))
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--totals")
    parser.add_argument("--label", default="functional tests")
    parser.add_argument("--files", nargs="+", help="these instead of the test_*.py here")
    parser.add_argument("--also", nargs="+", default=[], help="these too")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()

    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    if arguments.build:
        environment["BSVPEER_BUILD"] = os.path.abspath(arguments.build)
    if arguments.long:
        environment["BSVPEER_LONG"] = "1"
    timeout = arguments.timeout or (7200 if environment.get("BSVPEER_LONG") == "1" else 900)
    files = arguments.files or sorted(glob.glob(os.path.join(HERE, "test_*.py")))
    if arguments.names:
        files = [f for f in files if any(n in os.path.basename(f) for n in arguments.names)]
    files = sorted(map(os.path.abspath, files + arguments.also), key=slow_first)

    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    failed_names = []
    started = time.monotonic()
    with (scratch.in_memory(environment) as environment,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as workers):
        jobs = {workers.submit(run_file, f, environment, timeout): f for f in files}
        for job in concurrent.futures.as_completed(jobs):
            name = os.path.basename(jobs[job])
            code, output, seconds = job.result()
            words = LINE.findall(output)
            print(f"{name} ({seconds:.1f} s)")
            print("".join("  " + line + "\n" for line in output.splitlines()), end="", flush=True)
            for word in words:
                counts[word] += 1
            no_reason = "FAILED" not in words and (code != 0 or not output.strip())
            if no_reason:
                counts["FAILED"] += 1
                print(f"  [  FAILED  ] {name}: exit code {code}, {len(words)} cases")
            if code != 0 or no_reason:
                failed_names += FAILED_CASE.findall(output) or [name]
                keep_failures(arguments, name, output)
    print(f"-- {arguments.label}: {counts['PASSED']} passed, {counts['FAILED']} failed, "
          f"{counts['SKIPPED']} skipped ({time.monotonic() - started:.1f} s)")
    if failed_names:
        print("   failed: " + " ".join(sorted(failed_names)))
    if arguments.totals:
        with open(arguments.totals, "a", encoding="ascii") as totals:
            totals.write(f"{counts['PASSED']} {counts['FAILED']} {counts['SKIPPED']} "
                         + " ".join(failed_names) + "\n")
    return 1 if counts["FAILED"] or not counts["PASSED"] else 0


if __name__ == "__main__":
    sys.exit(main())
