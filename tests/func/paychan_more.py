"""Steps of scenarios in which a third node keeps the payee's channels, nothing but words is left of
the payer, or the payee says what is not so (see paychan_scene)."""
import shutil
import struct

from channels import talker
from framework import check, equal, raises_rpc
from identities import identity
from paychan_guest import FAIL, UNKNOWN
from paychan_pair import MARGIN, Pair
from paychan_payee_guest import Payee
from paychan_scene import Scene
from paychannels import CAPACITY, GENESIS, channel, mine, mine_to, spender, state, sums
from wallet_rpc import WalletRpc

WALLET = "again"


class Kept(Pair):
    """The payee has a helper, whom it calls carol."""
    OPTIONS = Pair.OPTIONS + ("-paychannelhelper=carol", "-paychannelhelperinterval=1")

    def __init__(self, t):
        super().__init__(t)
        self.c = t.node(GENESIS, "-connect=" + self.a.p2p, f"-paychannelmargin={MARGIN}")
        self.add(self.c, "helper")
        self.same_tip()
        mine_to(self.c)
        self.same_tip()
        self.c.rpc.bcaregister("me", 2)
        mine(self.c, 2)
        self.same_tip()
        for node, other, name in ((self.b, self.c, "carol"), (self.c, self.b, "bob")):
            key = identity(other, "me")["public_key"]
            node.rpc.contactadd(f"{key}@{other.channel}", name)

    def kept(self):
        return next((k for k in self.c.rpc.listkeptchannels() if k["id"] == self.id), None)

    def helper_has_it(self):
        self.t.wait(lambda: (self.kept() or {}).get("paid") == self.paid, what="the newest state")

    def payee_is_off(self):
        self.same_tip()
        self.b.kill()
        self.off.add(self.b)

    def payee_is_on_again(self):
        self.starts(self.b)
        self.same_tip()
        self.is_together()

    def comes_before_the_helper_closes(self):
        self.comes_to(self.expiry - MARGIN - 1)
        equal((self.kept()["closing"], spender(self.a, self.id)), (False, None))

    def helper_closes(self):
        self.comes_to(self.expiry - MARGIN)
        self.t.wait(lambda: self.kept()["closing"])
        self.t.wait(lambda: channel(self.a, self.id).get("spend_height") or
                    spender(self.a, self.id), what="the close of the helper")

    def is_mined(self):
        """By the helper, which has its close again after a kill."""
        def is_in_a_block():
            if self.c.rpc.getrawmempool():
                mine(self.c)
            return channel(self.a, self.id).get("spend_height")

        self.t.wait(is_in_a_block, what="a spend in a block")
        self.same_tip()

    def is_known_to_all(self):
        self.t.wait(lambda: channel(self.b, self.id).get("settled_paid") == self.paid)
        self.t.wait(lambda: self.kept().get("spend_height"))


class Words(Pair):
    """The payer has nothing but its phrase, and what the payee shows or a file has."""

    def payer_is_left_with_its_phrase(self):
        phrase, key = self.a.rpc.getwalletphrase(), identity(self.b, "me")["public_key"]
        self.same_tip()
        self.a.kill()
        shutil.rmtree(self.a.net_directory)
        self.options[self.a] = []
        self.starts(self.a)
        self.a.rpc.createwallet(wallet_name=WALLET, phrase=phrase)
        self.gets_back(self.a, self.blocks_of(self.b))
        self.same_tip()
        wallet = WalletRpc(self.a, WALLET)
        self.t.wait(lambda: wallet.getwalletinfo()["height"] == self.a.rpc.getblockcount())
        equal(wallet.bcarecover(), ["recovered-1"])
        self.a.restart("-wallet=" + WALLET)
        self.options[self.a] = ["-wallet=" + WALLET]
        self.a.rpc.contactadd(f"{key}@{self.b.channel}", "bob")
        self.same_tip()
        self.is_together()

    def payer_knows_it_again(self):
        self.t.wait(lambda: channel(self.a, self.id), what="the channel")
        self.agree()

    def payer_writes_a_file(self):
        self.path = self.t.path("channels.dat")
        self.a.rpc.exportchannels(self.path, True)

    def payer_reads_the_file(self):
        restored = self.a.rpc.importchannels(self.path)
        check(restored[0]["restored"] or state(self.a, self.id), restored)


class Doubt(Scene):
    """The payer is a daemon, which is killed; the payee comes again each time and shows nothing."""

    def __init__(self, t):
        self.node, key = talker(t, GENESIS)
        super().__init__(t, payer=self.node)
        self.payee, self.paid = Payee(self.node, key), 0
        t.cleanups.append(self.payee.close)
        self.node.rpc.contactadd(self.payee.key, "mallory")
        self.payee.connect()

    def is_together(self):
        self.payee.close()
        self.payee.connect()

    def known(self):
        return channel(self.node, self.id)

    def opens(self):
        self.payee.open("mallory", CAPACITY)
        self.id = self.payee.id.hex()
        mine(self.node)
        self.is_ready()

    def is_ready(self):
        """The payee says so in each session."""
        self.payee.ready(self.node.rpc.getblockcount())
        self.t.wait(lambda: self.known()["state"] == "open" and self.known()["limit"],
                    what="an open channel")

    def shows_what_was_never_signed(self):
        self.payee.sync(5, 5000, b"\1" * 64)
        self.t.wait(lambda: "never signed" in self.known().get("alarm", ""))

    def pays_no_more(self):
        self.is_ready()
        raises_rpc(-8, lambda: self.node.rpc.pay("mallory", 1), "never signed")
        equal(self.known()["paid"], 0)

    def loses_all_but_its_wallet(self):
        self.node.stop()
        for part in self.PARTS:
            shutil.rmtree(self.node.file(part))
        self.starts(self.node)
        equal(self.node.rpc.listpaychannels(), [])
        self.node.rpc.contactadd(self.payee.key, "mallory")
        self.is_together()

    def is_shown(self, copy=None):
        self.payee.sync(0, 0, bytes(64), copy)
        answer = self.payee.answer(FAIL)
        equal(answer[:34], self.payee.id + struct.pack(">H", UNKNOWN))
        equal(self.node.rpc.listpaychannels(), [])

    def is_shown_no_copy(self):
        self.is_shown()

    def is_shown_another_transaction(self):
        self.is_shown(self.payee.copy(outpoint=bytes(32) + self.payee.outpoint[32:]))

    def is_shown_another_output(self):
        self.is_shown(self.payee.copy(outpoint=self.payee.outpoint[:32] + b"\0\0\0\7"))

    def is_shown_another_key(self):
        self.is_shown(self.payee.copy(payer_key=bytes.fromhex(self.payee.key)))

    def is_shown_another_id(self):
        kept, self.payee.nonce_b = self.payee.nonce_b, bytes(32)
        self.is_shown(self.payee.copy())
        self.payee.nonce_b = kept

    def is_shown_the_copy(self):
        self.payee.sync(0, 0, bytes(64), self.payee.copy())
        self.t.wait(lambda: self.known(), what="the channel")

    def expires(self):
        mine(self.node, self.payee.expiry - self.node.rpc.getblockcount())
        self.t.wait(lambda: self.known().get("spend_height") or spender(self.node, self.id),
                    what="the refund")

    def ends_refunded(self):
        mine(self.node)
        self.t.wait(lambda: self.known().get("spend_height"))
        block = self.node.rpc.getblock(self.node.rpc.getblockhash(self.known()["spend_height"]))
        value, = sums(self.node.rpc.getrawtransaction(block["tx"][1], 1))
        check(288 <= CAPACITY - value < 400, f"a fee of {CAPACITY - value}")
        mine(self.node, 5)
        self.t.wait(lambda: state(self.node, self.id) == "refunded", what="refunded")
