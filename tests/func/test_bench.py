"""contrib/bench at its smallest size: every row is there and says something."""
import os
import re
import subprocess
import sys

from framework import BUILD, TOP, case, check, equal, is_in, main, within

# What each row of the table begins with; a number in a name is any number.
EXPECTED = """
bare verification loop
sync, all scripts checked (one key)
  ratio to the bare loop
sync, signatures skipped
-reindex, all scripts checked
header sync
block of # GB, wire to tip
  peak memory
bare request loop, 1 connection
getblockcount, 1 connection
  ratio to the bare request loop
getblockheader, 1 connection
getrawtransaction, 1 connection
bare request loop, 16 connections
getblockcount, 16 connections
  ratio to the bare request loop
getblockheader, 16 connections
getrawtransaction, 16 connections
getblock, block of # MB, raw, 1 connection
getblock, block of # MB, verbosity 1, 1 connection
getblock, block of # MB, verbosity 2, 1 connection
getblock, block of # MB, raw
  first byte
getblock, block of # MB, verbosity 1
  first byte
getblock, block of # MB, raw
  first byte
getblock, block of # MB, verbosity 1
  first byte
  memory it took
from a peer, 200 independent
  CPU a transaction
from a peer, 200 in chains of 25
  CPU a transaction
relay from peer to peer, 1 hop
relay from peer to peer, 2 hops
sendrawtransactions of 1,000, 200 independent
  CPU a transaction
sendrawtransactions of 1,000, 200 in chains of 25
  CPU a transaction
sendrawtransaction, 1 connection
sendrawtransaction, 16 connections
block of 200 unknown transactions
block of 200 known transactions
  known to unknown
BCA proofs of 1,480 bytes verified, one core
BCA addresses formed, one core
wallet of 1,000 coins: balance
wallet of 1,000 coins: coins chosen for a payment, most of them needed
wallet of 1,000 coins: memory, and time to apply
rescan, a transaction of 2 inputs and 2 outputs of others
wallet of 1,000 keys: opened
  the first time, when all are derived
rescan with 1,000 keys, to reading the same blocks from memory
rescan of a chain, to reading its blocks
bare record loop, # KiB records on loopback
file of # GB between two daemons
  ratio to the bare record loop
  its records, one hash, reading and writing
  CPU of the daemons to that
bare record loop, a thread a side
stream of # GB between two cores, a thread a side
  ratio to the bare record loop
bare record loop beside the stream
stream of # GB from a command to a pipe
  ratio to the bare record loop
  ratio to the bare loop between the same commands
round trip of a priority-0 stream, quiet link, median and 99th percentile
  while both directions are full (# GB meanwhile)
curve operations of one handshake
handshake, responder, on an open socket
  ratio to the curve operations
message, sent until receipt, both on disk
  those that wait for the pace (18 a second)
memory of an idle session
flood of handshakes, connections a second
  contacts that got a session meanwhile
  round trip of a priority-0 stream, quiet
  while a port of nobody is flooded
  while the daemon is flooded
  memory of the daemon before, and at most
  CPU of the daemon, of the machine's cores
bare flush of a sector on disk
bare signature, verification; both on all cores
payments, durable on both sides, one channel on disk
  payments for one bare flush, and of what both sides' signatures allow
  CPU time of payer and payee; by that all cores together
payments, durable on both sides, 3 channels on disk
  payments for one bare flush, and of what both sides' signatures allow
  CPU time of payer and payee; by that all cores together
  one payment, asked for until acknowledged, 1 at a time on disk
  one payment, asked for until acknowledged, 16 at a time on disk
bare flush of a sector in memory
bare signature, verification; both on all cores
payments, durable on both sides, one channel in memory
  payments for one bare flush, and of what both sides' signatures allow
  CPU time of payer and payee; by that all cores together
payments, durable on both sides, 3 channels in memory
  payments for one bare flush, and of what both sides' signatures allow
  CPU time of payer and payee; by that all cores together
  one payment, asked for until acknowledged, 1 at a time in memory
  one payment, asked for until acknowledged, 16 at a time in memory
traffic, no padding: kinds told apart, by chance 20 %
  bytes a second, message, payment, file, voice, idle
traffic, -channelpadding=256: kinds told apart, by chance 20 %
  bytes a second, message, payment, file, voice, idle
traffic, -channelrate of 2048,20: kinds told apart, by chance 20 %
  bytes a second, message, payment, file, voice, idle
""".strip("\n").splitlines()


def bench(*arguments, code=0):
    done = subprocess.run([sys.executable, os.path.join(TOP, "contrib", "bench"), "--build", BUILD,
                           *arguments], capture_output=True, text=True, timeout=within(300), check=False)
    equal(done.returncode, code, done.stderr)
    return done


@case(timeout=300)
def the_table_has_all_rows(t):
    output = bench("--size", "tiny").stdout
    table = output[output.index("\n\n") + 2:].splitlines()
    names = [re.split(r"(?<=\S)  ", line)[0] for line in table]
    expected = EXPECTED
    if "not measured" in output:  # the flood takes network namespaces, and so root
        at = expected.index("flood of handshakes, connections a second")
        expected = expected[:at + 1] + expected[at + 7:]
    equal([re.sub(r"[0-9.]+ (?=[MG]B|KiB)", "# ", n) for n in names], expected)
    for name, line in zip(names, table):
        check(re.search(r"\d", line[len(name):]), "a number in: " + line)


@case()
def rows_are_chosen_by_name(t):
    output = bench("--size", "tiny", "verify").stdout
    is_in("bare verification loop", output)
    check("sync" not in output, output)
    is_in("no row nonsense", bench("nonsense", code=1).stderr)


if __name__ == "__main__":
    main()
