"""Scenarios of payment channels between two daemons, killed between any two steps, and within some
(see paychan_scene). The number of each is that of channels 8.10; tests/README.md has all of them. The
ordinary run kills twice in each, elsewhere each time; the long one has a run for each kill."""
import concurrent.futures
import random
import signal
import time

from framework import LONG, Rpc, RpcError, case, check, equal, main
from paychan_pair import Pair
from paychan_scene import SEED, scenarios
from paychannels import CAPACITY, channel, connect, in_pool, mine, payers, spender, state

SCENARIOS = {
    "1 the payer closes": """opens; is funded; pays 700 1 299; pays 4; payer closes; is mined;
        ends closed""",
    "1 the payee closes": """opens; is funded; pays 5000; pays 5000; payee closes; is mined;
        ends closed""",
    "1 a thousand payments": """opens; is funded; pays times 3 500; pays times 7 500; payer closes;
        is mined; ends closed""",

    "2 the payee vanishes before it accepts": """payee vanishes before it accepts; days pass 1;
        ends unopened""",
    "2 the payee vanishes after it accepts": """both vanish after the accept; expires; is mined;
        ends refunded""",
    "2 the payee vanishes after the funding": "opens; payee goes; expires; is mined; ends refunded",
    "2 the payee vanishes when it is open": """opens; is funded; payee goes;
        comes before the expiry; expires; is mined; ends refunded""",
    "2 the payee vanishes after payments": """opens; is funded; pays 3000; payee goes;
        comes before the expiry; expires; is mined; ends refunded""",

    "3 the payer vanishes before it is answered": """payer vanishes before it is answered;
        days pass 3; ends unopened""",
    "3 the payer vanishes after the accept": """payer vanishes after the accept; days pass 3;
        ends unopened""",
    "3 the payer vanishes after the funding": """opens; is funded; payer goes;
        comes before the margin; is due; payer comes back; expires; is mined; ends refunded""",
    "3 the payer vanishes after payments": """opens; is funded; pays 3000 4; payer goes;
        comes before the margin; is due; is mined; ends closed""",

    "4 the payer dies amid a payment": """opens; is funded; pays 100;
        payer dies before it writes a payment; payer dies between write and send; pays 5;
        payer dies between send and ack; pays 9; payer closes; is mined; ends closed""",
    "5 the payee dies amid a payment": """opens; is funded; pays 100;
        payee dies before it writes a payment; pays 3; payee dies between write and ack;
        payee closes; is mined; ends closed""",

    "10 an older close": """opens; is funded; pays 1000; payee is copied; pays 500; payer goes;
        payee is put back alone; payee closes; is mined; payer comes back; ends closed""",
    "11 the payee sleeps and the refund is first": """opens; is funded; pays 9000; payee goes;
        expires; is sent; is mined; payee comes back; ends lost""",
    "11 both sleep and the close is first": """opens; is funded; pays 9000; payee goes; payer goes;
        expires while both are away; payee comes back; is sent; payer comes back; is mined;
        ends closed""",

    "12 the funding and the close leave the chain": """opens; is funded; pays 1234;
        funding leaves the chain; funding is in a block again; pays 10; payer closes; is mined;
        close leaves the chain; is mined; ends closed""",

    "13 one satoshi": "opens; is funded; pays 1; payer closes; is mined; ends closed",
    "13 nothing": "opens; is funded; payer closes; is mined; ends closed",
    "13 the last satoshi": """opens; is funded; is deep; pays 1; pays all; payer closes; is mined;
        ends closed""",
}

scenarios(Pair, SCENARIOS)


@case()
def a_payee_that_vanishes_before_it_accepts_locks_up_nothing(t):
    a, b = payers(t)
    before = a.rpc.getbalance()
    b.process.send_signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        opening = pool.submit(lambda: Rpc(a.rpc_port, a.cookie).openchannel("bob", CAPACITY))
        t.wait(lambda: [c["state"] for c in a.rpc.listpaychannels()] == ["opening"])
        b.kill()
        a.rpc.setmocktime(int(time.time()) + 61)  # it waits for a minute
        check(isinstance(opening.exception(90), RpcError), "it says that nothing was opened")
    b.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: not a.rpc.listpaychannels(), 90)
    equal((a.rpc.getbalance(), a.rpc.getrawmempool()), (before, []))


def undone(t, scene, blockhash):
    """The block and all above it, at both."""
    t.wait_same_tip(*scene.running())
    for node in scene.running():
        node.rpc.invalidateblock(blockhash)
    t.wait_same_tip(*scene.running())


@case(timeout=3600 if LONG else 120)
def forks_of_any_depth_leave_everybody_what_is_theirs(t):
    """The close is undone after so many blocks, and comes back; the same before of the funding."""
    for depth in range(1, 11) if LONG else random.Random(int(SEED)).sample(range(1, 11), 1):
        scene = Pair(t)
        a, b = scene.running()
        scene.opens()
        scene.is_funded()
        scene.pays(1234)
        mine(b, depth - 1)
        undone(t, scene, b.rpc.getblockhash(channel(b, scene.id)["height"]))
        for node in (a, b):
            t.wait(lambda: channel(node, scene.id)["funding"]  # pylint: disable=W0640
                   == "unconfirmed", what="unconfirmed")
        t.wait(lambda: channel(a, scene.id)["limit"] == 0)
        in_pool(t, b, scene.funding)
        mine(b, depth + 1)  # more than what was undone
        t.wait_same_tip(a, b)
        scene.pays(1234)
        scene.payer_closes()
        scene.is_mined()
        mine(b, depth - 1)
        t.wait_same_tip(a, b)
        if depth >= 6:
            scene.wait_all("closed")
        undone(t, scene, b.rpc.getblockhash(channel(b, scene.id)["spend_height"]))
        t.wait(lambda: state(b, scene.id) == "closing"
               and "spend_height" not in channel(b, scene.id))
        t.wait(lambda: spender(b, scene.id))
        mine(b, depth + 1)
        scene.is_mined()
        scene.ends_closed()
        for node in scene.running():
            node.kill()


if __name__ == "__main__":
    main()
