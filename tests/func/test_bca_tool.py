"""bsvpeer-bca: every command, option and exit status, over a registration made here and over the
published vectors; and a program of somebody else's that uses the library."""
import hashlib
import hmac
import ipaddress
import json
import os
import shutil
import struct
import subprocess

from framework import BUILD, TOP, Skip, case, check, equal, is_in, main, vector

TOOL = os.path.join(BUILD, "bsvpeer-bca")
VALID, INVALID, UNDETERMINED, USAGE = 0, 1, 2, 64
SEED = bytes(range(32))
KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
PREFIX = "2001:db8:0:1::/64"


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256d(data):
    return sha256(sha256(data))


# --- a registration in a block of regtest ---------------------------------------------------------

def compact(n):
    return bytes([n]) if n < 253 else b"\xfd" + struct.pack("<H", n)


def tx_out(value, script):
    return struct.pack("<q", value) + compact(len(script)) + script


def transaction(outs, spends=b"\x11" * 32):
    return (struct.pack("<i", 1) + b"\x01" + spends + struct.pack("<I", 0) + b"\x00" + b"\xff" * 4 +
            compact(len(outs)) + b"".join(outs) + bytes(4))


def modifiers(n, seed=SEED):
    return [hmac.digest(seed, b"BCA modifier" + bytes([i]), "sha256")[:16] for i in range(n)]


def rows_of(leaves, join):
    """All rows of a tree from its leaves to its root; a last node without a partner is its own."""
    rows = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1] + rows[-1][-1:] * (len(rows[-1]) % 2)
        rows.append([join(row[i] + row[i + 1]) for i in range(0, len(row), 2)])
    return rows


def siblings(rows, index):
    found = []
    for row in rows[:-1]:
        found.append(row[min(index ^ 1, len(row) - 1)])
        index //= 2
    return found


def mine(previous, root, time, zero_bits=1):
    """A header whose hash begins with so many zero bits, as sec asks and bits do not."""
    for nonce in range(1 << 32):
        header = (struct.pack("<i", 4) + previous + root +
                  struct.pack("<III", time, 0x207fffff, nonce))
        if int.from_bytes(sha256d(header), "little") >> (256 - zero_bits) == 0:
            return header
    raise AssertionError("no nonce")


class Registration:
    """Third of five transactions, n modifiers, marker or not; four more headers around it."""

    def __init__(self, n=8, marker=True, zero_bits=1):
        self.modifiers = modifiers(n)
        self.rows = rows_of([sha256(m) for m in self.modifiers], sha256)
        script = b"\x00\x6a\x04BCA\x01\x40" + sha256(KEY) + self.rows[-1][0]
        self.script = script
        outs = [tx_out(0, script)] + [tx_out(1, b"\x76\xa9\x14" + bytes(20) + b"\x88\xac")] * marker
        self.tx = transaction(outs)
        self.txs = [transaction([tx_out(i, b"\x51")]) for i in range(5)]
        self.txs[2] = self.tx
        self.tx_rows = rows_of([sha256d(t) for t in self.txs], sha256d)
        first = mine(bytes(32), b"\x01" * 32, 1700000000)
        self.headers = [first]
        for i in range(1, 5):
            root = self.tx_rows[-1][0] if i == 2 else bytes([i]) * 32
            bits = zero_bits if i == 2 else 1
            self.headers.append(mine(sha256d(self.headers[-1]), root, 1700000000 + 600 * i, bits))
        self.header = self.headers[2]
        self.block = self.header + compact(5) + b"".join(self.txs)

    def address(self, index, prefix=PREFIX, count=0, sec=0):
        network = ipaddress.IPv6Network(prefix).network_address.packed[:8]
        h = sha256(self.modifiers[index] + self.header + network + bytes([count]) + self.tx)
        return network + bytes([h[0] & 0x1c | sec << 5]) + h[1:8]

    def params(self, index, prefix=PREFIX, count=0):
        network = ipaddress.IPv6Network(prefix).network_address.packed[:8]
        tx_proof, proof = siblings(self.tx_rows, 2), siblings(self.rows, index)
        return (b"\x01" + self.modifiers[index] + KEY + compact(len(self.tx)) + self.tx +
                self.header + network + bytes([count]) + struct.pack("<I", 2) +
                bytes([len(tx_proof)]) + b"".join(tx_proof) + bytes([index, len(proof)]) +
                b"".join(proof))

    def files(self, t):
        """Its files in the directory of the case, by name."""
        content = {"seed": SEED, "block": self.block, "headers": b"".join(self.headers)}
        for name, data in content.items():
            with open(t.path(name), "wb") as file:
                file.write(data)
        return {name: t.path(name) for name in content}


def text_of(address):
    return str(ipaddress.IPv6Address(address))


# --- calls ---------------------------------------------------------------------------------------

def tool(*args, stdin=b"", code=VALID):
    """Output and errors of a call that must end with this status."""
    done = subprocess.run([TOOL, *args], input=stdin, capture_output=True, timeout=60, check=False)
    equal(done.returncode, code, f"status of {' '.join(args)[:200]}: {done.stderr.decode()}")
    return done.stdout.decode(), done.stderr.decode()


def tool_json(*args, stdin=b"", code=VALID):
    return json.loads(tool(*args, "--json", stdin=stdin, code=code)[0])


def refused(text, *args, stdin=b""):
    """Wrong usage: one line that has the text, and nothing on standard output."""
    out, err = tool(*args, stdin=stdin, code=USAGE)
    equal(out, "")
    equal(len(err.splitlines()), 1, err)
    check(err.startswith("bsvpeer-bca: "), err)
    is_in(text, err)


# --- cases ---------------------------------------------------------------------------------------

@case()
def verify_says_valid_and_what_it_saw(t):
    r = Registration()
    address, params = text_of(r.address(3)), r.params(3).hex()
    report = tool_json("verify", "--network=regtest", address, params)
    equal(report, {
        "result": "valid", "failed_step": None, "network": "regtest", "address": address, "sec": 0,
        "security_bits": 59, "public_key": KEY.hex(), "block": sha256d(r.header)[::-1].hex(),
        "txid": sha256d(r.tx)[::-1].hex(), "marker_output": 1, "confirmations": None,
        "chain_checked": False, "revocation_checked": False})
    out, err = tool("verify", "--network=regtest", address, params)
    equal(err, "")
    equal(out.splitlines()[:2], ["result: valid", "network: regtest"])
    is_in("revocation_checked: false", out)


@case()
def parameters_come_as_digits_from_files_and_from_standard_input(t):
    r = Registration(marker=False)
    address, raw = text_of(r.address(0)), r.params(0)
    with open(t.path("raw"), "wb") as file:
        file.write(raw)
    with open(t.path("hex"), "w", encoding="ascii") as file:
        file.write("\n".join(raw.hex()[i:i + 64] for i in range(0, 2 * len(raw), 64)) + "\n")
    verify = ["verify", "-network=regtest"]
    for given, stdin in [(raw.hex(), b""), ("@" + t.path("raw"), b""), ("@" + t.path("hex"), b""),
                         ("-", raw), ("-", raw.hex().upper().encode() + b"\n")]:
        report = tool_json(*verify, address, given, stdin=stdin)
        equal((report["result"], report["marker_output"]), ("valid", None), given[:20])
    equal(tool_json("verify", address, "-", "--network=regtest", stdin=raw)["result"], "valid",
          "options after the operands")
    equal(tool_json(*verify, r.address(0).hex(), raw.hex())["address"], address, "32 digits")


@case()
def each_fault_is_named(t):
    r = Registration()
    address, params = r.address(3), r.params(3)
    at = {"transaction": 1 + 16 + 33 + 1, "header": 1 + 16 + 33 + 1 + len(r.tx)}

    def changed(offset, to=None):
        altered = bytearray(params)
        altered[offset] = altered[offset] ^ 1 if to is None else to
        return bytes(altered)

    rows = [
        ("decode", address, params[:-1]), ("decode", address, params + b"\0"),
        ("decode", address, b""),
        ("decode", address, b"\x01" + bytes(100_000)),
        ("collision_count", address, changed(at["header"] + 88, 3)),
        ("subnet_prefix", address, changed(at["header"] + 80)),
        ("public_key", address, changed(17, 5)), ("key_hash", address, changed(17, 3)),
        ("transaction", address, changed(at["transaction"] + 4, 0)),
        ("registration", address, changed(at["transaction"] + 4 + 1 + 41 + 1 + 8 + 1 + 6)),
        ("tx_proof", address, changed(at["header"] + 89 + 5)),
        ("modifier_proof", address, changed(1)),
        ("pow_target", address, changed(at["header"] + 75, 0x10)),
        ("pow_sec", address[:8] + bytes([address[8] | 0xe0]) + address[9:], params),
        ("hash1", address[:15] + bytes([address[15] ^ 1]), params)]
    for step, ip, raw in rows:
        report = tool_json("verify", "--network=regtest", text_of(ip), "-", stdin=raw, code=INVALID)
        equal((report["result"], report["failed_step"]), ("invalid", step))
        if step == "decode":
            equal(report["public_key"], None)
    out, _ = tool("verify", "--network=regtest", text_of(address), params[:-1].hex(), code=INVALID)
    equal(out.splitlines()[:2], ["result: invalid", "failed_step: decode"])


@case()
def networks_and_sec_decide(t):
    r = Registration(zero_bits=16)
    address, params = text_of(r.address(1, sec=1)), r.params(1).hex()
    for options, step in [(["--network=regtest"], None),
                          (["--network=regtest", "--min-sec=1"], None),
                          (["--network=regtest", "--min-sec=2"], "min_sec"),
                          ([], "pow_target"), (["--network=test"], "pow_target"),
                          (["--network=stn"], "pow_target"), (["--network=main"], "pow_target")]:
        report = tool_json("verify", *options, address, params, code=INVALID if step else VALID)
        equal(report["failed_step"], step, str(options))


@case()
def headers_decide_about_the_chain(t):
    r = Registration()
    address, params = text_of(r.address(3)), r.params(3).hex()

    def verify(headers, *options, code):
        path = t.path("headers")
        with open(path, "wb") as file:
            file.write(headers)
        return tool_json("verify", "--network=regtest", "--headers=" + path, *options, address,
                         params, code=code)

    whole = b"".join(r.headers)
    report = verify(whole, code=VALID)
    equal((report["confirmations"], report["chain_checked"]), (3, True))
    verify(whole.hex().encode() + b"\n", "--min-conf=3", code=VALID)
    report = verify(whole, "--min-conf=4", code=INVALID)
    equal((report["failed_step"], report["confirmations"], report["chain_checked"]),
          ("chain", 3, False))
    equal(verify(b"".join(r.headers[1:]), code=VALID)["confirmations"], 3, "not from the first one")
    report = verify(b"".join(r.headers[:2]), code=UNDETERMINED)
    equal((report["result"], report["failed_step"]), ("undetermined", "chain"), "after the last")
    verify(b"".join(r.headers[3:]), code=UNDETERMINED)
    stale = [mine(sha256d(r.headers[1]), b"\x77" * 32, 1700001200)]
    stale.append(mine(sha256d(stale[0]), b"\x78" * 32, 1700001800))
    report = verify(b"".join(r.headers[:2] + stale), code=INVALID)
    equal((report["failed_step"], report["confirmations"]), ("chain", None), "another block there")

    refused("header 1 of the list does not follow", "verify", "--network=regtest",
            "--headers=" + bad_file(t, r.headers[0] + r.headers[2]), address, params)
    refused("no proof of work", "verify", "--headers=" + bad_file(t, whole), address, params)
    refused("80 bytes", "verify", "--headers=" + bad_file(t, whole[:-1]), address, params)


def bad_file(t, content):
    with open(t.path("bad"), "wb") as file:
        file.write(content)
    return t.path("bad")


@case()
def a_registration_script_comes_from_key_and_modifiers(t):
    r = Registration(8)
    files = r.files(t)
    key = "--public-key=" + KEY.hex()
    answer = tool_json("registration", key, "--seed=@" + files["seed"], "--modifier-count=8")
    equal(answer, {"script": r.script.hex(), "modifiers": 8})
    out, _ = tool("registration", key, "--modifiers=" + b"".join(r.modifiers).hex())
    equal(out, f"script: {r.script.hex()}\nmodifiers: 8\n")
    answer = tool_json("registration", key, "--seed=-", stdin=SEED)
    equal((answer["script"], answer["modifiers"]), (Registration(32).script.hex(), 32))


@case()
def an_address_is_formed_from_a_block_or_a_proof(t):
    r = Registration(8, zero_bits=16)
    files = r.files(t)
    identity = ["address", "--network=regtest", "--public-key=" + KEY.hex(),
                "--seed=@" + files["seed"], "--modifier-count=8"]
    block = identity + ["--block=@" + files["block"]]
    made = tool_json(*block, "--prefix=" + PREFIX, "--modifier-index=5")
    equal(made["address"], text_of(r.address(5)))
    equal(made["params"], r.params(5).hex())
    equal((made["sec"], made["collision_count"], made["security_bits"]), (0, 0, 59))
    report = tool_json("verify", "--network=regtest", made["address"], made["params"])
    equal(report["result"], "valid")

    proof = ["--transaction=" + r.tx.hex(), "--header=" + r.header.hex(), "--tx-index=2",
             "--tx-siblings=" + b"".join(siblings(r.tx_rows, 2)).hex()]
    prefix = "2001:db8:5::/64"
    made = tool_json(*identity, *proof, "--prefix=20010db800050000", "--modifier-index=7",
                     "--sec=1", "--collision-count=2")
    equal(made["address"], text_of(r.address(7, prefix, 2, 1)))
    equal(made["params"], r.params(7, prefix, 2).hex())
    out, _ = tool(*block, "--prefix=2001:db8:0:1::")
    equal(out.splitlines()[0], "address: " + text_of(r.address(0)))


@case()
def what_would_not_verify_is_not_formed(t):
    r = Registration(8)
    files = r.files(t)
    identity = ["address", "--network=regtest", "--seed=@" + files["seed"], "--prefix=" + PREFIX]
    key = "--public-key=" + KEY.hex()
    failed = tool_json(*identity, key, "--modifier-count=8", "--block=@" + files["block"],
                       "--sec=7", code=INVALID)
    equal(failed, {"result": "invalid", "failed_step": "pow_sec"})
    _, err = tool(*identity, key, "--modifier-count=16", "--block=@" + files["block"], code=INVALID)
    is_in("no transaction registers this key", err)
    failed = tool_json(*identity, key, "--modifier-count=8", "--transaction=" + r.tx.hex(),
                       "--header=" + r.header.hex(), code=INVALID)
    equal(failed["failed_step"], "tx_proof")


@case()
def decode_shows_all_fields(t):
    r = Registration(8)
    raw = r.params(3, count=1)
    d = tool_json("decode", raw.hex())
    equal(d["modifier"], r.modifiers[3].hex())
    equal((d["public_key"], d["transaction"], d["header"]), (KEY.hex(), r.tx.hex(), r.header.hex()))
    equal(d["txid"], sha256d(r.tx)[::-1].hex())
    equal(d["block"], sha256d(r.header)[::-1].hex())
    equal((d["registration_output"], d["marker_output"], d["version"]), (0, 1, 1))
    equal((d["key_hash"], d["modifier_root"]), (sha256(KEY).hex(), r.rows[-1][0].hex()))
    equal((d["subnet_prefix"], d["collision_count"], d["tx_index"], d["tx_depth"]),
          ("20010db800000001", 1, 2, 3))
    equal(d["tx_siblings"], [s.hex() for s in siblings(r.tx_rows, 2)])
    equal((d["modifier_index"], d["modifier_depth"]), (3, 3))
    equal(d["modifier_siblings"], [s.hex() for s in siblings(r.rows, 3)])
    check(d["block_zero_bits"] >= 1)
    out, _ = tool("decode", "-", stdin=raw)
    is_in("\ntx_siblings: " + " ".join(d["tx_siblings"]) + "\n", out)
    equal(tool_json("decode", raw[:-1].hex(), code=INVALID),
          {"result": "invalid", "failed_step": "decode"})
    is_in("the version is not 1", tool("decode", "02", code=INVALID)[1])


@case()
def output_that_cannot_be_written_exits_with_64(t):
    r = Registration(8)
    proof = text_of(r.address(3)), r.params(3).hex()
    for args in (["--help"], ["--version"], ["--help-man"], ["decode", proof[1]],
                 ["verify", "--network=regtest", *proof]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=60, check=False)
        equal((done.returncode, done.stderr),
              (64, "bsvpeer-bca: cannot write to standard output\n"), args)


@case()
def wrong_usage_exits_with_64(t):
    r = Registration(8)
    files = r.files(t)
    address, params = text_of(r.address(3)), r.params(3).hex()
    key, seed = "--public-key=" + KEY.hex(), "--seed=@" + files["seed"]
    identity = ["address", key, seed, "--modifier-count=8", "--network=regtest"]
    block = "--block=@" + files["block"]
    for text, args in [
            ("no command", []), ("no command nonsense", ["nonsense"]),
            ("usage: bsvpeer-bca verify", ["verify", address]),
            ("too many", ["verify", "a", "b", "c"]),
            ("usage: bsvpeer-bca decode", ["decode"]), ("nosuch", ["decode", "--nosuch", params]),
            ("ADDRESS", ["verify", "2001::zz", params]),
            ("ADDRESS", ["verify", "127.0.0.1", params]),
            ("PARAMS", ["verify", address, "xyz"]), ("PARAMS", ["verify", address, "123"]),
            ("PARAMS", ["verify", address, "@/nonexistent/file"]),
            ("network", ["verify", "--network=testnet", address, params]),
            ("min-sec", ["verify", "--min-sec=8", address, params]),
            ("min-conf", ["verify", "--min-conf=x", address, params]),
            ("headers", ["verify", "--min-conf=3", address, params]),
            ("headers", ["verify", "--headers=/nonexistent/file", address, params]),
            ("option prefix: not for verify", ["verify", "--prefix=" + PREFIX, address, params]),
            ("option network: not for decode", ["decode", "--network=main", params]),
            ("public-key", ["registration", seed]), ("seed and modifiers", ["registration", key]),
            ("seed and modifiers", ["registration", key, seed, "--modifiers=00"]),
            ("modifier-count", ["registration", key, seed, "--modifier-count=3"]),
            ("modifier-count", ["registration", key, "--modifiers=" + "00" * 16,
                                "--modifier-count=1"]),
            ("modifiers", ["registration", key, "--modifiers=" + "00" * 48]),
            ("modifiers", ["registration", key, "--modifiers=" + "00" * 17]),
            ("seed", ["registration", key, "--seed=0011"]),
            ("public key", ["registration", "--public-key=" + "05" * 33, seed]),
            ("prefix is missing", [*identity, block]),
            ("prefix", [*identity, block, "--prefix=2001:db8::1/64"]),
            ("prefix", [*identity, block, "--prefix=2001:db8::/48"]),
            ("in this prefix", [*identity, block, "--prefix=ff02::/64"]),
            ("modifier-index", [*identity, block, "--prefix=" + PREFIX, "--modifier-index=8"]),
            ("collision-count", [*identity, block, "--prefix=" + PREFIX, "--collision-count=3"]),
            ("header", [*identity, block, "--prefix=" + PREFIX, "--header=00"]),
            ("no block", [*identity, "--block=0000", "--prefix=" + PREFIX]),
            ("transaction is missing", [*identity, "--prefix=" + PREFIX]),
            ("header is missing", [*identity, "--prefix=" + PREFIX, "--transaction=00"]),
            ("80 are needed", [*identity, "--prefix=" + PREFIX, "--transaction=00", "--header=00"]),
            ("tx-siblings", [*identity, "--prefix=" + PREFIX, "--transaction=00",
                             "--header=" + r.header.hex(), "--tx-siblings=0011"])]:
        refused(text, *args)


@case()
def the_seed_is_never_repeated_in_an_error(t):
    secret = "5e" * 31 + "zz"
    _, err = tool("registration", "--public-key=" + KEY.hex(), "--seed=" + secret, code=USAGE)
    check(secret not in err and "5e5e" not in err, err)


@case()
def help_version_and_manual_page_come_from_the_tables(t):
    help_text, _ = tool("--help")
    man, _ = tool("--help-man")
    for word in ["verify", "address", "registration", "decode", "-network=main|test|stn|regtest",
                 "-min-sec=", "-min-conf=", "-headers=", "-json", "-public-key=", "-seed=",
                 "-modifiers=", "-modifier-count=", "-modifier-index=", "-prefix=", "-sec=",
                 "-collision-count=",
                 "-block=", "-transaction=", "-header=", "-tx-index=", "-tx-siblings=", "64"]:
        is_in(word, help_text)
        is_in(word.split("=")[0].replace("-", "\\-"), man)
    check("help-man" not in help_text, "hidden options")
    check(all(len(line) <= 100 for line in help_text.splitlines()), "lines fit")
    check(man.startswith(".TH BSVPEER\\-BCA 1"), man[:30])
    is_in("bsvpeer-bca 0", tool("--version")[0])
    with open(os.path.join(BUILD, "bsvpeer-bca.1"), encoding="ascii") as page:
        equal(page.read(), man)


@case()
def published_vectors_end_as_they_say(t):
    with open(vector("bca.json"), encoding="utf-8") as file:
        rows = json.load(file)
    n = 0
    for row in rows["valid"] + rows["invalid"]:
        if "chain" in row:
            continue  # a view of heights, not of headers: run by the unit test
        step = row.get("fails_at")
        report = tool_json("verify", "--network=" + row["network"],
                           f"--min-sec={row.get('min_sec', 0)}", row["address_text"], "-",
                           stdin=row["params"].encode(), code=INVALID if step else VALID)
        equal((report["failed_step"], report["address"]), (step, row["address_text"]), row["name"])
        if not step:
            equal((report["sec"], report["public_key"]), (row["sec"], row["public_key"]))
            equal(report["block"], row["block_hash"])
        n += 1
    check(n > 0, "no row")


@case()
def formed_addresses_are_those_of_the_vectors(t):
    with open(vector("bca.json"), encoding="utf-8") as file:
        rows = json.load(file)["valid"]
    for row in rows:
        made = tool_json("address", "--network=" + row["network"],
                         "--public-key=" + row["public_key"], "--seed=-",
                         f"--modifier-count={row['modifier_count']}",
                         f"--modifier-index={row['modifier_index']}",
                         "--prefix=" + row["subnet_prefix"],
                         f"--sec={row['sec']}", f"--collision-count={row['collision_count']}",
                         "--transaction=" + row["transaction"], "--header=" + row["header"],
                         f"--tx-index={row['tx_index']}",
                         "--tx-siblings=" + "".join(row["tx_siblings"]),
                         stdin=row["modifier_seed"].encode())
        equal((made["address"], made["params"]), (row["address_text"], row["params"]), row["name"])


@case()
def the_guide_shows_what_the_program_prints(t):
    """Each "    $ bsvpeer-bca" of doc/identity.md prints the lines that stand below it."""
    with open(os.path.join(TOP, "doc", "identity.md"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    shown = {}
    for line in lines:
        if line.startswith("    $ bsvpeer-bca "):
            expected = shown.setdefault(line[6:], [])
        elif line.startswith("    ") and not line.startswith("    $") and shown:
            expected.append(line[4:])
        elif line:
            expected = []  # the examples of other programs
    check(len(shown) >= 6, f"{len(shown)} commands")
    environment = dict(os.environ, PATH=BUILD + os.pathsep + os.environ["PATH"])
    for command, output in shown.items():
        done = subprocess.run(command, shell=True, cwd=os.path.join(TOP, "doc", "identity"),
                              env=environment, capture_output=True, text=True, timeout=60,
                              check=False)
        equal(done.stdout.splitlines(), output, command)


PROGRAM = r"""
#include <bsvpeer_bca.h>
#include <stdio.h>
int sha256(void) { return 7; } /* a name that the library has inside */
int main(void)
{
    static unsigned char address[16], params[4096];
    struct bsvpeer_bca_policy policy = { BSVPEER_BCA_REGTEST, BSVPEER_BCA_DEFAULT, 0, NULL };
    struct bsvpeer_bca_report report;
    if (fread(address, 1, 16, stdin) != 16)
        return 1;
    size_t len = fread(params, 1, sizeof params, stdin);
    if (bsvpeer_bca_verify(address, params, len, &policy, &report))
        return 2;
    printf("%s %s %d\n", bsvpeer_bca_result_name(report.result),
           report.failed_step ? report.failed_step : "-", sha256());
    return 0;
}
"""


@case()
def another_program_needs_the_library_libcrypto_and_libsecp256k1(t):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Skip("no C compiler")
    source, program = t.path("other.c"), t.path("other")
    with open(source, "w", encoding="ascii") as file:
        file.write(PROGRAM)
    done = subprocess.run([compiler, "-Wall", "-Werror", "-I" + os.path.join(TOP, "bca"), source,
                           "-o", program, "-L" + BUILD, "-lbsvpeerbca", "-lsecp256k1", "-lcrypto"],
                          capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, done.stderr)
    r = Registration()

    def run(params):
        return subprocess.run([program], input=r.address(3) + params, capture_output=True,
                              timeout=60, check=True).stdout

    equal(run(r.params(3)), b"valid - 7\n")
    equal(run(r.params(2)), b"invalid hash1 7\n")


if __name__ == "__main__":
    main()
