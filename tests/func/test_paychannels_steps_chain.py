"""Scenarios as in test_paychannels_steps, of what the chain does with closes and refunds: older ones,
late ones, forks, and the bounds of the sum."""
import random

from framework import LONG, SEED, case, main
from paychan_pair import Pair
from paychan_scene import scenarios
from paychannels import channel, in_pool, mine, spender, state

SCENARIOS = {
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
