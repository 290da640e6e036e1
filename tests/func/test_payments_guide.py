"""The guide to payments, run as it stands there: alice types what it shows, but for what is asked
of her."""
import json
import os
import re

from framework import case, equal, is_in, main
from guide import TwoNodes, commands_of, shell
from paychannels import CAPACITY, CLOSE_FEE, channel, in_pool, mine, payers, spender, state, sums


def home_of(t, node, name):
    """Of a user whose node this is: there is nothing to be said to the client."""
    home = t.path(name)
    os.mkdir(home)
    os.symlink(node.directory, os.path.join(home, ".bsvpeer"))
    with open(os.path.join(node.directory, "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write(f"regtest=1\nrpcport={node.rpc_port}\n")
    return home


class Users:
    def __init__(self, t):
        self.t = t
        self.a, self.b = payers(t)
        self.homes = {"bob": home_of(t, self.a, "alice"), "alice": home_of(t, self.b, "bob")}

    def types(self, line, id=""):
        """The answer. Who names alice is bob."""
        home = self.homes["alice" if " alice " in line else "bob"]
        done = shell(re.sub(r"\bID\b", id, line), home)
        equal((done.returncode, done.stderr), (0, ""), line)
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout


@case()
def commands_of_the_guide_lead_from_nothing_to_a_payment(t):
    shell = TwoNodes(t)
    for line in commands_of("payments.md", "From nothing to a payment"):
        shell.type(line)
    t.wait(lambda: [(c["state"], c.get("settled_paid")) for c in
                    json.loads(shell.type("$A listpaychannels"))] == [("closed", 1000)])
    paid = [(p["satoshis"], p["state"]) for p in json.loads(shell.type("$B listpayments"))
            if p["category"] == "payment"]
    equal(paid, [(7000, "accepted")])


@case()
def commands_of_the_guide_pay_over_a_channel(t):
    users = Users(t)
    a, b = users.a, users.b
    opens, lists, pays, closes = commands_of("payments.md", "Use")
    opened = users.types(opens)
    id = opened["id"]
    equal(channel(a, id)["capacity"], CAPACITY)
    in_pool(t, b, opened["txid"])
    mine(b)
    t.wait_same_tip(a, b)
    t.wait(lambda: state(a, id) == "open" and channel(a, id)["limit"])
    equal([(c["id"], c["state"]) for c in users.types(lists)], [(id, "open")])
    paid = users.types(pays)
    equal((paid["paid"], paid["acknowledged"]), (1000, True))
    users.types(closes, id)
    equal(sums(t.wait(lambda: spender(b, id))), [1000, CAPACITY - 1000 - CLOSE_FEE])
    in_pool(t, a, spender(b, id)["txid"])
    mine(a)
    t.wait_same_tip(a, b)
    t.wait(lambda: channel(b, id).get("settled_paid") == 1000)


@case()
def commands_of_the_guide_pay_by_a_transaction(t):
    users = Users(t)
    asks, lists, pays, pays_unasked = commands_of("payments.md", "Payments by a transaction")
    users.types(asks)
    request = t.wait(lambda: [p for p in users.types(lists) if p["category"] == "request"])[0]
    equal((request["satoshis"], request["memo"]), (7000, "the bill"))
    for line in (pays, pays_unasked):
        equal(users.types(line, request["id"])["state"], "accepted")
    got = [p for p in users.b.rpc.listpayments() if p["category"] == "payment"]
    equal([p["satoshis"] for p in got], [7000, 7000])
    is_in(request["id"], [p.get("request") for p in got])


if __name__ == "__main__":
    main()
