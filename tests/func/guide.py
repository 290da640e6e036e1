"""Commands that a guide shows, run as they stand there."""

import os
import re
import subprocess

from framework import BUILD, TOP, equal, free_port, within


def part_of(name, heading):
    """The text of doc/NAME under a heading of the second level."""
    with open(os.path.join(TOP, "doc", name), encoding="utf-8") as file:
        return file.read().split("\n## " + heading, 1)[1].split("\n## ", 1)[0]


def commands_of(name, heading):
    """The lines that are set in by four blanks."""
    return [line.strip() for line in part_of(name, heading).splitlines()
            if line.startswith("    ")]


def shell(line, home, **variables):
    """With the programs in the PATH."""
    environment = dict(os.environ, HOME=home, PATH=BUILD + os.pathsep + os.environ["PATH"],
                       **variables)
    return subprocess.run(line, shell=True, cwd=home, env=environment, capture_output=True,
                          text=True, timeout=within(60), check=False)


class Shell:
    """What is typed one line after the other: variables stay as they were set."""

    def __init__(self, home):
        self.home, self.variables = home, {}

    def type(self, line):
        """What it prints; it must not fail."""
        name = re.match("([A-Z_]+)=", line)
        told = line + f'; printf %s "${name[1]}"' if name else line
        done = shell(told, self.home, **self.variables)
        equal(done.returncode, 0, line + ": " + done.stderr)
        if name:
            self.variables[name[1]] = done.stdout
        return done.stdout


class TwoNodes(Shell):
    """The first commands of the guide to direct channels, at ports that are free."""
    PORTS = ("18444", "18542", "18543", "39944", "39945")

    def __init__(self, t):
        super().__init__(t.path("home"))
        self.t = t
        os.makedirs(os.path.join(self.home, "alice"))
        self.ports = {port: str(free_port()) for port in self.PORTS}
        with open(os.path.join(self.home, "alice", "bsvpeer.conf"), "w", encoding="ascii") as file:
            file.write(f"port={self.ports['18444']}\nrpcport={free_port()}\n"
                       f"channelport={self.ports['39944']}\n")
        t.cleanups.append(self.end)
        for command in commands_of("channels.md", "From nothing to a message"):
            self.type(command.replace("mkdir alice bob", "mkdir bob"))

    def type(self, line):
        """With its ports, of which a free one may be another's of the guide."""
        return super().type(re.sub("|".join(self.ports), lambda m: self.ports[m[0]], line))

    def end(self):
        shell("$A stop; $B stop", self.home, **self.variables)
        for name in ("alice", "bob"):
            lock = os.path.join(self.home, name, "regtest", "bsvpeerd.pid")
            self.t.wait(lambda lock=lock: not os.path.exists(lock), what="the end of a daemon")
