"""The guide to direct channels, run as it stands there."""
import json

from framework import case, equal, main
from guide import TwoNodes


@case()
def commands_of_the_guide_bring_a_message(t):
    shell = TwoNodes(t)
    t.wait(lambda: json.loads(shell.type("$B listmessages"))["messages"], what="the message")
    out = json.loads(shell.type("$B listmessages"))
    equal([(m["contact"], m["text"]) for m in out["messages"]], [("alice", "good morning")])


if __name__ == "__main__":
    main()
