"""bsvpeer-cli: output, errors and exit codes of the reference's client (spec rpc 7)."""
import json
import os
import shutil
import subprocess
import threading
import time

from framework import (ADDRESS, BUILD, CLIENT, DAEMON, TOP, Skip, case, check, equal, free_port,
                       is_in, main)
from blocks import GENESIS_HASH_HEX


@case()
def results_are_printed_as_the_reference_does(t):
    node = t.node()
    equal(node.cli("getbestblockhash"), (0, GENESIS_HASH_HEX + "\n", ""), "a string comes raw")
    equal(node.cli("getblockcount"), (0, "0\n", ""))
    equal(node.cli("setmocktime", 0), (0, "", ""), "null prints nothing")
    code, out, _ = node.cli("getblockchaininfo")
    equal(code, 0)
    equal(json.loads(out)["blocks"], 0)
    equal(out.splitlines()[:2], ["{", '  "chain": "regtest",'], "objects are indented by two")
    equal(node.cli("echojson", "[1,{\"a\":2}]", "true")[1],
          '[\n  [\n    1,\n    {\n      "a": 2\n    }\n  ],\n  true\n]\n')


@case()
def errors_go_to_standard_error_with_the_code_as_exit_status(t):
    node = t.node()
    code, out, err = node.cli("getblock", "00" * 32)
    equal((code, out), (5, ""))
    equal(err, "error code: -5\nerror message:\nBlock not found\n")
    equal(node.cli("getblockhash", 1000)[0], 8)
    equal(node.cli("nosuchmethod")[0], 89, "32601 in eight bits")
    equal(node.cli("submitblock", "00")[0], 22)
    equal(node.cli("getblockhash")[0], 1, "help text as error")


@case()
def mistakes_of_the_caller_exit_with_one(t):
    node = t.node()
    for args, options, text in [
            ((), (), "too few parameters"),
            (("getblockhash", "x"), (), "Error parsing JSON"),
            (("getblockhash", "5"), ("-named",), "="),
            (("getblockcount",), ("-nosuchoption",), "nosuchoption"),
            (("getblockcount",),
             ("-rpcconnect=[::1]:%d" % free_port(), "-rpcport=%d" % free_port()),
             "couldn't connect"),
            (("getblockcount",), ("-rpcuser=a", "-rpcpassword=wrong"),
             "incorrect rpcuser or rpcpassword")]:
        code, out, err = node.cli(*args, options=options)
        equal((code, out), (1, ""), f"{options} {args}")
        check(err.startswith("error: "), err)
        is_in(text, err)


@case()
def missing_credentials_are_explained(t):
    directory = t.path("empty")
    os.mkdir(directory)
    done = subprocess.run([CLIENT, "-regtest", "-datadir=" + directory, "getblockcount"],
                          capture_output=True, text=True, timeout=10, check=False)
    equal(done.returncode, 1)
    is_in("Could not locate RPC credentials", done.stderr)


@case()
def named_arguments_and_standard_input(t):
    node = t.node()
    code, out, err = node.cli("getblock", f"blockhash={GENESIS_HASH_HEX}", "verbosity=0",
                              options=["-named"])
    equal((code, err), (0, ""))
    equal(len(out.strip()), 2 * 285, "hex of the genesis block")
    equal(node.cli("getblock", f"verbose=0", f"blockhash={GENESIS_HASH_HEX}",
                   options=["-named"])[1],
          out, "alias, any order")
    equal(node.cli("getblock", options=["-stdin"], stdin=GENESIS_HASH_HEX + "\n0\n")[1], out)
    equal(node.cli("getblock", GENESIS_HASH_HEX, "0")[1], out, "verbosity as a string")


@case()
def rpcwait_waits_for_the_node(t):
    node = t.make_node()
    results = []
    waiting = threading.Thread(target=lambda: results.append(
        node.cli("getblockcount", options=["-rpcwait"])))
    waiting.start()
    time.sleep(1.2)
    equal(results, [], "it waits")
    node.start()
    waiting.join(60)
    equal(results, [(0, "0\n", "")])


@case()
def addresses_of_the_node_are_understood(t):
    node = t.node()
    for options in (["-rpcconnect=[::1]"], ["-rpcconnect=::1"], ["-rpcconnect=127.0.0.1"],
                    ["-rpcconnect=localhost"]):
        equal(node.cli("getblockcount", options=options), (0, "0\n", ""), options[0])
    line = [CLIENT, "-regtest", "-datadir=" + node.directory, "getblockcount"]
    line.insert(1, f"-rpcconnect=[::1]:{node.rpc_port}")
    done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
    equal((done.returncode, done.stdout), (0, "0\n"), "port beside the address")


@case()
def password_from_standard_input(t):
    node = t.make_node("-rpcuser=bob", "-rpcpassword=open sesame")
    node.rpc.credentials = lambda: "bob:open sesame"
    node.start()
    code, out, _ = node.cli("getblockcount", options=["-rpcuser=bob", "-stdinrpcpass"],
                            stdin="open sesame\n")
    equal((code, out), (0, "0\n"))


@case()
def getinfo_tells_people_the_state(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    code, out, err = node.cli(options=["-getinfo"])
    equal((code, err), (0, ""))
    is_in("3", out)
    is_in("regtest", out)


@case()
def version_and_help_need_no_node(_t):
    for option, word in (("-version", "bsvpeer-cli"), ("-help", "-rpcconnect"), ("-?", "-named")):
        done = subprocess.run([CLIENT, option], capture_output=True, text=True, timeout=10,
                              check=False)
        equal((done.returncode, done.stderr), (0, ""), option)
        is_in(word, done.stdout)


@case()
def output_that_cannot_be_written_is_an_error(t):
    node = t.node()
    endpoint = ["-datadir=" + node.directory, f"-rpcport={node.rpc_port}", "-regtest"]
    for args in (["-help"], ["-version"], ["-help-man"], [*endpoint, "getblockcount"],
                 [*endpoint, "-getinfo"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CLIENT, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=30, check=False)
        equal((done.returncode, done.stderr), (1, "error: cannot write to standard output\n"), args)


@case()
def help_lists_categories_and_explains_commands(t):
    node = t.node()
    code, out, _ = node.cli("help")
    equal(code, 0)
    for heading in ("== Blockchain ==", "== Control ==", "== Network ==", "== Rawtransactions =="):
        is_in(heading, out)
    check("invalidateblock" not in out, "hidden commands are not listed")
    is_in("getblock", node.cli("help", "getblock")[1])


@case()
def bash_completes_options_and_commands(t):
    node = t.node()
    if not shutil.which("bash"):
        raise Skip("no bash")
    script = os.path.join(TOP, "contrib", "completion", "bsvpeer.bash")
    options = ["-regtest", f"-rpcport={node.rpc_port}", "-datadir=" + node.directory]

    def complete(program, *words):
        quoted = " ".join(f"'{w}'" for w in (program,) + words)
        done = subprocess.run(["bash", "-c", f"source '{script}'; COMP_WORDS=({quoted}); "
                               f"COMP_CWORD={len(words)}; "
                               f"_bsvpeer_complete '{program}' '{words[-1]}'; "
                               "printf '%s\\n' \"${COMPREPLY[@]}\""],
                              capture_output=True, text=True, timeout=10, check=False)
        return done.stdout.split()
    equal(complete(DAEMON, "-printto"), ["-printtoconsole"])
    equal(complete(CLIENT, "-rpcconn"), ["-rpcconnect="])
    equal(complete(CLIENT, *options, "getblockh"), ["getblockhash", "getblockheader"])
    equal(complete(CLIENT, *options, "help", "getblockh"), ["getblockhash", "getblockheader"])
    equal(complete(CLIENT, *options, "getblock", "00"), [])
    verifier = os.path.join(BUILD, "bsvpeer-bca")
    equal(complete(verifier, "ver"), ["verify"])
    equal(complete(verifier, "verify", "-min-c"), ["-min-conf="])


if __name__ == "__main__":
    main()
