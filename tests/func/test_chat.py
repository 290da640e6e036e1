"""bsvpeer-cli chat, driven through pipes as a program would."""
import os
import select
import subprocess
import time

from channel_guest import M_SEND, Guest, m_send, receipts
from channels import connected_pair, pair, session, talker
from framework import case, check, equal, is_in, main, within


class Chat:
    def __init__(self, t, node, contact):
        self.process = subprocess.Popen(node.cli_line() + ["chat", contact], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.got = b""
        t.cleanups.append(self.process.kill)

    def say(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read(self, want):
        """What is printed until this line."""
        until = time.monotonic() + within(20)
        while want.encode() + b"\n" not in self.got:
            left = until - time.monotonic()
            check(left > 0, f"no {want!r} in {self.got!r}")
            if select.select([self.process.stdout], [], [], left)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                check(piece, f"the end before {want!r}: {self.got!r}")
                self.got += piece
        return self.got.decode()

    def end(self):
        self.process.stdin.close()
        equal(self.process.wait(within(20)), 0)
        return (self.got + self.process.stdout.read()).decode()


@case()
def two_people_talk(t):
    a, b = connected_pair(t)
    alice, bob = Chat(t, a, "bob"), Chat(t, b, "alice")
    alice.say("good morning\n")
    bob.read("alice: good morning")
    alice.read("[1 read]")  # it was on his screen
    bob.say("to you\ntoo")
    alice.read("bob: to you")
    check(b"too" not in alice.got)
    bob.say("!\n\n")  # an empty line is none
    alice.read("bob: too!")
    is_in("[", bob.end())
    equal([m["text"] for m in a.rpc.listmessages("bob")["messages"]],
          ["good morning", "to you", "too!"])
    alice.end()


@case()
def what_was_not_read_is_shown_at_the_start(t):
    a, b = connected_pair(t)
    for text in ("one", "two"):
        a.rpc.sendmessage("bob", text)
    t.wait(lambda: len(b.rpc.listmessages()["messages"]) == 2)
    b.rpc.readmessage(b.rpc.listmessages()["messages"][0]["number"])
    code, out, _ = b.cli("chat", "alice", stdin="")
    equal((code, out), (0, "alice: two\n"))
    code, out, _ = b.cli("chat", "alice", stdin="")
    equal((code, out), (0, ""))


@case()
def one_that_comes_late_hides_none(t):
    """It stands where its sender sent it, before others that have lower numbers here."""
    node, key = talker(t)
    guest = Guest(node, key)
    t.cleanups.append(guest.close)
    node.rpc.contactadd(guest.key, "carol")
    guest.connect()
    now = int(time.time() * 1000)
    for text, seq in (("one", 1), ("three", 3), ("four", 4), ("two", 2)):
        guest.put(M_SEND, m_send(os.urandom(16), now, text.encode(), seq=seq))
    receipts(guest, 4)
    code, out, _ = node.cli("chat", "carol", stdin="")
    lines = [line for line in out.splitlines() if line.startswith("carol")]
    equal((code, lines), (0, [f"carol: {text}" for text in ("one", "two", "three", "four")]))
    equal({m["state"] for m in node.rpc.listmessages("carol")["messages"]}, {"read"})
    code, out, _ = node.cli("chat", "carol", stdin="")
    equal((code, out), (0, ""))


@case()
def a_last_line_without_its_end_is_sent(t):
    a, b = pair(t)
    b.stop()
    code, out, _ = a.cli("chat", "bob", stdin="first\nlast")
    equal((code, out), (0, "[1 queued]\n[2 queued]\n"))
    equal([m["text"] for m in a.rpc.listmessages("bob")["messages"]], ["first", "last"])
    check(not session(a, "bob"))


@case()
def nothing_of_others_reaches_the_terminal_as_a_command(t):
    a, b = connected_pair(t)
    a.rpc.sendmessage("bob", "\x1b[31mred\x07\u009b2J\nbob: forged\ttab")
    a.rpc.sendmessage("bob", {"type": "image/png", "hex": "89504e47"})
    t.wait(lambda: len(b.rpc.listmessages()["messages"]) == 2)
    code, out, _ = b.cli("chat", "alice", stdin="")
    equal((code, out), (0, "alice: ?[31mred??2J\n    bob: forged?tab\n"
                           "alice: (4 bytes, message 2)\n"))


@case()
def what_is_refused_is_said_and_the_next_line_goes_on(t):
    a, b = pair(t)
    b.stop()
    code, out, err = a.cli("chat", "bob", stdin="x" * 60001 + "\nshort\n")
    equal((code, out), (0, "[1 queued]\n"))
    is_in("too long", err)
    code, out, err = a.cli("chat", "nobody", stdin="x\n")
    equal((code, out), (5, ""))
    is_in("nobody", err)
    for arguments in ([], [""]):
        code, out, err = a.cli("chat", *arguments)
        equal((code, out), (1, ""))
        is_in("chat <contact>", err)
    is_in("chat <contact>", a.cli("-help")[1])


if __name__ == "__main__":
    main()
