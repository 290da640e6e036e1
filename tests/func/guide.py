"""Commands that a guide shows, run as they stand there."""

import os
import subprocess

from framework import BUILD, TOP, within


def part_of(name, heading):
    """The text of doc/NAME under a heading of the second level."""
    with open(os.path.join(TOP, "doc", name), encoding="utf-8") as file:
        return file.read().split("\n## " + heading, 1)[1].split("\n## ", 1)[0]


def commands_of(name, heading):
    """The lines that are set in by four blanks."""
    return [line.strip() for line in part_of(name, heading).splitlines()
            if line.startswith("    ")]


def shell(line, home):
    """With the programs in the PATH."""
    environment = dict(os.environ, HOME=home, PATH=BUILD + os.pathsep + os.environ["PATH"])
    return subprocess.run(line, shell=True, cwd=home, env=environment, capture_output=True,
                          text=True, timeout=within(60), check=False)
