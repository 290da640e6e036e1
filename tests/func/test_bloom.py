"""Bloom filters of SPV clients (spec p2p 3, 5, 6; BIP37), behind -peerbloomfilters."""
import struct
import time

from framework import case, check, equal, main
from blocks import ANYONE, Chain, Key, Tx, TxIn, TxOut, sha256d, var_bytes
from p2p import MSG_TX, inventory, parse_inventory
from proofs import parse_merkleblock
from txs import coin, move, node_with_coins, output, send

MSG_FILTERED_BLOCK = 3


# --- the client's side ---------------------------------------------------------------------------

def murmur3(seed, data):
    mask = 0xffffffff

    def rotate(x, n):
        return (x << n | x >> (32 - n)) & mask

    def scramble(k):
        return rotate(k * 0xcc9e2d51 & mask, 15) * 0x1b873593 & mask
    h = seed
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        h = (rotate(h ^ scramble(int.from_bytes(data[at:at + 4], "little")), 13) * 5
             + 0xe6546b64) & mask
    if data[whole:]:
        h ^= scramble(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85ebca6b & mask
    h = (h ^ h >> 13) * 0xc2b2ae35 & mask
    return h ^ h >> 16


def filter_of(*elements, size=200, hashes=12, tweak=5, flags=0):
    """Payload of filterload."""
    bits = bytearray(size)
    for element in elements:
        for n in range(hashes):
            bit = murmur3((n * 0xfba4c795 + tweak) & 0xffffffff, element) % (size * 8)
            bits[bit // 8] |= 1 << bit % 8
    return var_bytes(bytes(bits)) + struct.pack("<IIB", hashes, tweak, flags)


# --- scenes --------------------------------------------------------------------------------------

def make_chain():
    """Block 111 pays to three keys and to anybody; block 112 spends what went to the first key."""
    chain = Chain(start_time=int(time.time()) - 1000).grow(110)
    keys = [Key(k) for k in (11, 12, 13)]
    paying = [Tx([TxIn(chain.at(i + 1).txs[0].txid(), 0)],
                 [TxOut(10**8, key.script), TxOut(5, ANYONE)]) for i, key in enumerate(keys)]
    chain.add(*paying)
    spending = Tx([TxIn(paying[0].txid(), 0)], [TxOut(1000, ANYONE)])
    spending.sign_input(0, keys[0], 10**8, keys[0].script)
    chain.add(spending)
    return chain, keys, paying, spending


def filtered(peer, block_hash):
    """(ids that match, transactions that came)"""
    peer.send("getdata", inventory((MSG_FILTERED_BLOCK, block_hash)))
    proof = peer.wait_for("merkleblock", match=lambda p: sha256d(p[:80]) == block_hash)
    first = len(peer.seen)
    peer.ping()
    came = [p for c, p in peer.seen[first:] if c == "tx"]
    header, _, matched, root = parse_merkleblock(proof)
    equal(root, header.root)
    return matched, came


@case()
def the_service_is_offered_on_request(t):
    node = t.node()
    equal(t.peer(node).their_version["services"] & 4, 0)
    node.restart("-peerbloomfilters=1")
    equal(t.peer(node).their_version["services"] & 4, 4)


@case()
def a_filtered_block_is_a_proof_and_its_transactions(t):
    chain, keys, paying, _ = make_chain()
    node = t.node_at(chain, "-peerbloomfilters")
    peer = t.peer(node)
    peer.send("filterload", filter_of(keys[1].script[3:23]))
    equal(filtered(peer, chain.hash_at(111)), ([paying[1].txid()], [paying[1].serialize()]))
    equal(filtered(peer, chain.hash_at(112)), ([], []))
    equal(filtered(peer, chain.hash_at(5)), ([], []))
    peer.send("filterload", filter_of(paying[2].txid(), chain.at(111).txs[0].txid()))
    wanted = [chain.at(111).txs[0], paying[2]]
    equal(filtered(peer, chain.hash_at(111)),
          ([x.txid() for x in wanted], [x.serialize() for x in wanted]))


@case()
def a_matching_output_makes_its_spending_match(t):
    chain, keys, paying, spending = make_chain()
    node = t.node_at(chain, "-peerbloomfilters")
    element = paying[0].txid()  # the spending has neither this nor a push of it
    for flags, expected in ((0, []), (1, [spending.txid()])):
        peer = t.peer(node)
        peer.send("filterload", filter_of(keys[0].script[3:23], flags=flags))
        equal(filtered(peer, chain.hash_at(111))[0], [element])
        equal(filtered(peer, chain.hash_at(112))[0], expected, f"flags {flags}")


@case()
def elements_are_added_and_filters_taken_away(t):
    chain, keys, paying, _ = make_chain()
    node = t.node_at(chain, "-peerbloomfilters")
    peer = t.peer(node)
    peer.send("filterload", filter_of())
    equal(filtered(peer, chain.hash_at(111)), ([], []))
    peer.send("filteradd", var_bytes(keys[2].script[3:23]))
    equal(filtered(peer, chain.hash_at(111))[0], [paying[2].txid()])
    peer.send("filterclear")
    peer.send("getdata", inventory((MSG_FILTERED_BLOCK, chain.hash_at(111))))
    first = len(peer.seen)
    peer.ping()
    check("merkleblock" not in [c for c, _ in peer.seen[first:]], "no filter, no answer")
    peer.send("filteradd", var_bytes(b"x"))  # nothing to add it to
    equal(peer.ping().score(node), 0)


@case()
def a_filter_without_bits_matches_everything(t):
    """CVE-2013-5700: no division by zero."""
    chain, _, _, _ = make_chain()
    node = t.node_at(chain, "-peerbloomfilters")
    peer = t.peer(node)
    peer.send("filterload", b"\0" + struct.pack("<IIB", 5, 0, 1))
    equal(filtered(peer, chain.hash_at(111))[0], [x.txid() for x in chain.at(111).txs])


@case()
def oversize_is_punished(t):
    node = t.node("-peerbloomfilters")
    good = t.peer(node)
    good.send("filterload", filter_of(size=36000, hashes=50))
    good.send("filteradd", var_bytes(bytes(520)))
    equal(good.ping().score(node), 0)
    for command, payload in (("filterload", filter_of(size=36001)),
                             ("filterload", filter_of(hashes=51)),
                             ("filteradd", var_bytes(bytes(521)))):
        peer = t.peer(node)
        peer.send(command, payload)
        check(peer.is_closed(), command)


@case()
def a_filter_that_selects_too_much_ends_the_connection(t):
    chain = Chain(start_time=int(time.time()) - 1000).grow(101)
    big = Tx([TxIn(chain.at(1).txs[0].txid(), 0)], [TxOut(0, b"\x00\x6a" + bytes(9 << 20))])
    chain.add(big)
    node = t.node_at(chain, "-peerbloomfilters", "-genesisactivationheight=1")
    peer = t.peer(node)
    peer.send("filterload", filter_of(big.txid()))
    peer.send("getdata", inventory((MSG_FILTERED_BLOCK, chain.tip)))
    check(peer.is_closed(), "left")
    equal(node.rpc.listbanned(), [])


@case()
def filtered_blocks_end_with_the_upload_target(t):
    chain, _, _, _ = make_chain()
    large = chain.add(Tx([TxIn(chain.at(5).txs[0].txid(), 0)],
                         [TxOut(0, b"\x00\x6a" + bytes(1_200_000))]))
    node = t.node_at(chain, "-peerbloomfilters", "-maxuploadtarget=1",
                     "-genesisactivationheight=1")
    peer = t.peer(node)
    peer.send("filterload", filter_of())
    equal(filtered(peer, chain.hash_at(111)), ([], []))
    peer.get_block(large.hash_hex)
    peer.send("getdata", inventory((MSG_FILTERED_BLOCK, chain.hash_at(111))))
    check(peer.is_closed(), "left")


def told(peer):
    return [h for c, p in peer.seen if c == "inv" for kind, h in parse_inventory(p)
            if kind == MSG_TX]


@case()
def announcements_pass_the_filter(t):
    """Of a chain of payments, who watches one key hears of its payment and what spends it."""
    node, chain = node_with_coins(t, "-peerbloomfilters", "-whitelist=::1")
    key = Key(14)
    other = move(coin(chain, 1))
    paying = move(coin(chain, 2), script=key.script)
    spending = move(output(paying))
    spending.sign_input(0, key, paying.outputs[0].value, key.script)
    last = move(coin(chain, 3))
    client, everything, none = t.peer(node), t.peer(node), t.peer(node, relay=0)
    client.send("filterload", filter_of(key.script[3:23], flags=1))
    none.send("filterload", filter_of(last.txid()))
    client.ping(), none.ping()
    for tx in (other, paying, spending, last):
        send(node, tx)
    everything.wait_for("inv", match=lambda p: last.txid() in told(everything))
    none.wait_for("inv", match=lambda p: last.txid() in told(none), seen=True)
    equal(told(none), [last.txid()], "its filter asks for relay")
    client.send("filteradd", var_bytes(last.txid()))
    client.send("mempool")
    client.wait_for("inv", match=lambda p: last.txid() in told(client), seen=True)
    check(other.txid() not in told(client), "what it does not want")
    equal(told(client)[:2], [paying.txid(), spending.txid()])


if __name__ == "__main__":
    main()
