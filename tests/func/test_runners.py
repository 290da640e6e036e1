"""The runners themselves: what failed is counted, named, and told once more at the end."""
import os
import subprocess
import sys

from framework import TOP, case, equal, is_in, main

CONTRIB = os.path.join(TOP, "contrib")
CMOCKA = """[==========] unit: Running 3 test(s).
[ RUN      ] good
words of the good one
[       OK ] good
[ RUN      ] bad
0x1 != 0x2
[   LINE   ] --- test_x.c:7: error: Failure!
[  FAILED  ] bad
[ RUN      ] {last}
"""
LISTED = """[==========] unit: 3 test(s) run.
[  PASSED  ] 2 test(s).
[  FAILED  ] unit: 1 test(s), listed below:
[  FAILED  ] bad

 1 FAILED TEST(S)
"""
CASES = '''import os
from framework import case, check, equal, main

@case()
def holds(t):
    print("words of the good one")

@case()
def does_not_hold(t):
    node = t.make_node()
    os.makedirs(node.net_directory)
    with open(node.errors_path, "w") as errors, open(node.log_path, "w") as log:
        errors.write("Error: no disk\\n")
        log.write("one\\n2026-11-29T20:00:00Z [error] two\\nthree\\n")
    equal(1, 2, "sum")

main()
'''


def program(t, name, output, code):
    path = t.path(name)
    with open(path, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\ncat <<'END'\n{output}END\nexit {code}\n")
    os.chmod(path, 0o755)


def run(script, *args, env=None):
    done = subprocess.run([sys.executable, script, *args], capture_output=True, text=True,
                          timeout=120, check=False, env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout


def kept(t):
    """What contrib/check shows at its end, and the totals."""
    totals = t.path("totals")
    code, shown = run(os.path.join(CONTRIB, "failures.py"), totals + ".failures")
    equal(code, 0)
    with open(totals, encoding="ascii") as file:
        return shown, file.read().splitlines()


@case()
def a_failed_case_of_a_program_is_told_with_its_message(t):
    program(t, "fine", CMOCKA.format(last="third").replace("FAILED  ", "      OK"), 0)
    program(t, "fails", CMOCKA.format(last="third") + "[       OK ] third\n" + LISTED, 1)
    program(t, "dies", CMOCKA.split("[ RUN      ] bad")[0] + "==7==ERROR: AddressSanitizer: x\n" +
            "".join(f"    #{i} frame\n" for i in range(40)) +
            "SUMMARY: AddressSanitizer: x test_x.c:9\n", 1)
    code, output = run(os.path.join(CONTRIB, "run_tests"), "--totals", t.path("totals"),
                       "--label", "units", t.directory, "fine", "fails", "dies")
    equal(code, 1)
    is_in("-- units: ", output)
    shown, totals = kept(t)
    equal([line.split()[1] for line in totals], ["2"])
    equal(sorted(totals[0].split()[3:]), ["dies", "fails:bad"])
    is_in("-- fails:bad (units)\n   0x1 != 0x2\n   [   LINE   ] --- test_x.c:7: error: Failure!\n",
          shown)
    lines = shown.splitlines()
    at = lines.index("-- dies (units)")
    equal((lines[at + 1], lines[at + 15]), ("   ==7==ERROR: AddressSanitizer: x",
                                            "   SUMMARY: AddressSanitizer: x test_x.c:9"))
    equal(("words" in shown, len(lines)), (False, 3 + 16))


@case()
def a_failed_functional_case_is_told_with_what_its_nodes_complained_of(t):
    with open(t.path("test_it.py"), "w", encoding="ascii") as file:
        file.write(CASES)
    env = {"PYTHONPATH": os.path.join(TOP, "tests", "func")}
    code, output = run(os.path.join(TOP, "tests", "func", "run.py"), "--totals", t.path("totals"),
                       "--files", t.path("test_it.py"), env=env)
    equal(code, 1)
    is_in("failed: it.does_not_hold", output)
    shown, totals = kept(t)
    equal(totals, ["1 1 0 it.does_not_hold"])
    lines = [line.strip() for line in shown.splitlines()]
    equal(lines[:3], ["-- it.does_not_hold (functional tests)", "Error: no disk",
                      "2026-11-29T20:00:00Z [error] two"])
    equal((lines[-1], "words" in shown), ("AssertionError: sum: got 1, expected 2", False))


@case()
def of_many_failures_each_gets_a_few_lines(t):
    with open(t.path("totals.failures"), "w", encoding="ascii") as file:
        for n in range(30):
            file.write(f"-- case{n}\n" + "".join(f"   line{i}\n" for i in range(15)))
    shown = run(os.path.join(CONTRIB, "failures.py"), t.path("totals.failures"))[1].splitlines()
    equal(len(shown), 30 * 5)
    equal(shown[-5:], ["-- case29", "   line11", "   line12", "   line13", "   line14"])


KILLED = """import os, signal, sys
sys.path.append(sys.argv[1])
import scratch
directory, _ = scratch._made(sys.argv[2])
open(os.path.join(directory, "left"), "w").close()
os.kill(os.getpid(), signal.SIGKILL)
"""


@case()
def what_a_killed_run_left_in_memory_is_removed_by_the_next(t):
    sys.path.append(CONTRIB)
    import scratch  # pylint: disable=import-error,import-outside-toplevel
    place = t.path("memory")
    os.mkdir(place)
    living, lock = scratch._made(place)  # pylint: disable=protected-access
    killed = subprocess.run([sys.executable, "-c", KILLED, CONTRIB, place], timeout=60, check=False)
    equal((killed.returncode, len(os.listdir(place))), (-9, 2))
    for _ in range(2):
        scratch.remove_stale(place)
        equal(os.listdir(place), [os.path.basename(living)], "that of a run that goes on stays")
    os.close(lock)
    scratch.remove_stale(place)
    equal(os.listdir(place), [])


if __name__ == "__main__":
    main()
