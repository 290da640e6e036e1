"""Runs the scripts of this folder with the packages that tests/npm/run has installed."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "func"))

from framework import BUILD, Skip, equal, within  # noqa: E402

PLACE = os.path.join(BUILD, "npm")


def run_script(name, *args):
    """The JSON a script prints. Scripts run in the folder that has the modules."""
    if not os.path.isdir(os.path.join(PLACE, "node_modules")):
        raise Skip("npm packages are not installed: tests/npm/run installs them")
    done = subprocess.run(["node", "--no-deprecation", name] + [str(a) for a in args], cwd=PLACE,
                          capture_output=True, text=True, timeout=within(60), check=False)
    equal(done.returncode, 0, f"exit code of {name}; {done.stderr[-600:]} {done.stdout[-600:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
