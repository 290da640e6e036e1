"""Large blocks travel between two daemons with the memory of product.md: less than 1 GB above the
coin cache for a block of 1 GB. The regular run takes 64 MB, the long one 1 GB."""
import json
import os
import subprocess
import time

from framework import BUILD, LONG, Skip, case, check, equal, main, wait_until

GEN_CHAIN = os.path.join(BUILD, "contrib", "gen_chain")
SIZE = 1_000_000_000 if LONG else 64_000_000
MIB = 1 << 20


def generate(t, size):
    if not os.path.exists(GEN_CHAIN):
        raise Skip(GEN_CHAIN + " is not built")
    path = t.path("big.blk")
    done = subprocess.run([GEN_CHAIN, "-out=" + path, "-inputs=10", f"-big={size}"],
                          capture_output=True, text=True, timeout=600, check=True)
    return path, json.loads(done.stdout)


@case(timeout=900 if LONG else 90)
def big_block_travels_within_the_memory_ceiling(t):
    path, info = generate(t, SIZE)
    a = t.node("-loadblock=" + path, "-whitelist=::1", "-dbcache=16")
    a.wait_import(info["height"], 300)
    b = t.make_node("-connect=" + a.p2p, "-dbcache=16")
    b.start()
    before = b.memory()
    started = time.monotonic()
    wait_until(lambda: b.tip() == info["tip"], 300, "tip", pause=0.02)
    seconds = time.monotonic() - started
    peak_a, peak_b = a.memory("VmHWM"), b.memory("VmHWM")
    print(f"{SIZE // 10**6} MB in {seconds:.1f} s; peak of the sender {peak_a // MIB} MiB, "
          f"of the receiver {peak_b // MIB} MiB (at start {before // MIB})")
    check(peak_b < 1000 * MIB, f"receiver at {peak_b // MIB} MiB")
    check(peak_a < 1000 * MIB, f"sender at {peak_a // MIB} MiB")
    if not LONG:
        check(peak_b < 250 * MIB, f"receiver at {peak_b // MIB} MiB for a block of 64 MB")
    equal(a.utxo_hash(), b.utxo_hash())
    size = b.rpc.getblock(info["tip"], 1)["size"]
    check(size > SIZE, f"size {size}")


@case(timeout=900 if LONG else 90)
def big_block_is_answered_by_rpc_in_a_stream(t):
    path, info = generate(t, SIZE // 4)
    node = t.node("-loadblock=" + path, "-dbcache=16")
    node.wait_import(info["height"], 300)
    before = node.memory()
    node.reset_peak_memory()
    node.rpc.timeout = 300
    raw = node.rpc.getblock(info["tip"], 0)
    check(len(raw) > SIZE // 2, f"{len(raw)} hex digits")
    grown = node.memory_rise(before)
    check(grown < 400 * MIB, f"memory rose by {grown // MIB} MiB")


if __name__ == "__main__":
    main()
