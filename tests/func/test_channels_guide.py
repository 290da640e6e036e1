"""The guide to direct channels, run as it stands there."""

import json
import os

from framework import case, equal, free_port, main
from guide import commands_of, shell

PORTS = ("18444", "18542", "18543", "39944", "39945")


@case()
def commands_of_the_guide_bring_a_message(t):
    home = t.path("home")
    os.makedirs(os.path.join(home, "alice"))
    ports = {port: str(free_port()) for port in PORTS}
    with open(os.path.join(home, "alice", "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write(f"port={ports['18444']}\nrpcport={free_port()}\n"
                   f"channelport={ports['39944']}\n")
    variables = ""
    try:
        for command in commands_of("channels.md", "From nothing to a message"):
            command = command.replace("mkdir alice bob", "mkdir bob")
            for port in PORTS:
                command = command.replace(port, ports[port])
            done = shell(variables + command, home)
            equal(done.returncode, 0, command + ": " + done.stderr)
            if "=" in command.split(" ", 1)[0] and not command.startswith("bsvpeerd"):
                variables += command + "; "
        t.wait(lambda: json.loads(shell(variables + "$B listmessages", home).stdout)["messages"],
               what="the message")
        out = json.loads(shell(variables + "$B listmessages", home).stdout)
        equal([(m["contact"], m["text"]) for m in out["messages"]], [("alice", "good morning")])
    finally:
        shell(variables + "$A stop; $B stop", home)
        for name in ("alice", "bob"):
            lock = os.path.join(home, name, "regtest", "bsvpeerd.pid")
            t.wait(lambda lock=lock: not os.path.exists(lock), what="the end of a daemon")


if __name__ == "__main__":
    main()
