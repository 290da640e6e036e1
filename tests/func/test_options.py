"""Options and configuration files (spec rpc 6, product.md): broken ones end the start with one line
that names the option; unknown ones in a file are warned about."""
import os
import subprocess

from framework import DAEMON, case, check, equal, free_port, is_in, main


def refused(t, *args, network="-regtest"):
    """The one line of a start that must fail with exit code 1."""
    directory = t.path("refused")
    os.makedirs(directory, exist_ok=True)
    line = [DAEMON, f"-rpcport={free_port()}", f"-port={free_port()}", "-connect=0", "-dnsseed=0"]
    if not any(a.startswith("-datadir") for a in args):
        line.append("-datadir=" + directory)
    if network:
        line.append(network)
    done = subprocess.run(line + list(args), capture_output=True, text=True, timeout=20,
                          check=False)
    what = " ".join(args)
    equal(done.returncode, 1, f"exit code of {what}; {done.stdout} {done.stderr}")
    lines = [l for l in done.stderr.splitlines() if l.strip()]
    equal(len(lines), 1, f"lines for {what}: {done.stderr}")
    return lines[0]


# option as given, words its message must contain
BROKEN = [
    (["-nosuchoption"], ["nosuchoption"]),
    (["-maxconections=5"], ["maxconections", "maxconnections"]),
    (["-rpcport=70000"], ["rpcport", "65535"]),
    (["-rpcport=abc"], ["rpcport"]),
    (["-port=0"], ["port"]),
    (["-checklevel=9"], ["checklevel", "4"]),
    (["-onlynet=ipv7"], ["onlynet", "ipv4", "ipv6"]),
    (["-testnet"], ["-testnet", "-regtest"]),
    (["-excessiveblocksize=1000"], ["excessiveblocksize", "1000000"]),
    (["-excessiveblocksize=12XB"], ["excessiveblocksize"]),
    (["-excessiveblocksize=2000000", "-blockmaxsize=2000001"],
     ["blockmaxsize", "excessiveblocksize"]),
    (["-dbcache=-5"], ["dbcache"]),
    (["-prune=-1"], ["prune"]),
    (["-prune=5"], ["prune"]),
    (["-bind=nonsense:xyz"], ["bind"]),
    (["-bind=[::1"], ["bind"]),
    (["-whitelist=hello"], ["whitelist"]),
    (["-whitelist=::1/200"], ["whitelist"]),
    (["-whitebind=hello"], ["whitebind"]),
    (["-whitebind=::1"], ["whitebind", "port"]),
    (["-loadblock=/nonexistent/file.blk"], ["loadblock", "/nonexistent/file.blk"]),
    (["-proxy=a b c"], ["proxy"]),
    (["-channelbind=1.2.3.4"], ["channelbind", "1.2.3.4"]),
    (["-channelbind=[::1"], ["channelbind"]),
    (["-channelport=0"], ["channelport"]),
    (["-channelblock=bob"], ["channelblock=bob", "key", "block"]),
    (["-channelblock=" + "05" * 33], ["channelblock"]),
    (["-channelsessions=5", "-channelsessionsreserved=6"], ["channelsessionsreserved"]),
    (["-channelhandshakes=5", "-channelhandshakesreserved=6"], ["channelhandshakesreserved"]),
    (["-channelwindows=2MiB", "-channelwindowsstrangers=3MiB"], ["channelwindowsstrangers"]),
    (["-channelrate=voice,500,20"], ["channelrate", "256"]),
    (["-channelrate=voice"], ["channelrate=voice", "service,bytes"]),
    (["-channelpadding=128"], ["channelpadding", "off", "256"]),
    (["-channelservice=web"], ["channelservice=web", "name,target"]),
    (["-channelservice=web,[2a00::1]:80,bob"], ["channelservice", "this machine"]),
    (["-channelservice=a,echo:", "-channelservice=a,echo:"], ["channelservice", "twice"]),
    (["-externalip=hello"], ["externalip"]),
    (["-rpcallowip=300.1.1.1"], ["rpcallowip"]),
    (["-rpcauth=nothing"], ["rpcauth"]),
    (["-debug=nosuchcategory"], ["debug", "nosuchcategory"]),
    (["-minimumchainwork=xyz"], ["minimumchainwork"]),
    (["-assumevalid=12"], ["assumevalid", "64"]),
    (["-invalidateblock=zz"], ["invalidateblock"]),
    (["-magicbytes=12"], ["magicbytes"]),
    (["-uacomment=a/b"], ["uacomment"]),
    (["-minminingtxfee=1.123456789"], ["minminingtxfee"]),
    (["-maxmempool=0"], ["maxmempool"]),
    (["-mempoolmaxpercentcpfp=101"], ["mempoolmaxpercentcpfp", "100"]),
    (["-limitcpfpgroupmemberscount=0"], ["limitcpfpgroupmemberscount"]),
    (["-maxtxsizepolicy=5"], ["maxtxsizepolicy", "99999"]),
    (["-maxstdtxvalidationduration=2000"], ["maxstdtxvalidationduration",
                                            "maxnonstdtxvalidationduration"]),
    (["-genesisactivationheight=0"], ["genesisactivationheight"]),
    (["-chronicleactivationheight=10", "-genesisactivationheight=20"],
     ["chronicleactivationheight"]),
    (["-datadir=/nonexistent/place"], ["datadir", "/nonexistent/place"]),
    (["-conf=missing.conf"], ["conf", "missing.conf"]),
    (["hello"], ["hello"]),
]


@case(timeout=90)
def broken_options_are_named_in_one_line(t):
    problems = []
    for args, words in BROKEN:
        try:
            line = refused(t, *args)
            for word in words:
                is_in(word, line, "message of " + " ".join(args))
        except AssertionError as error:
            problems.append(str(error))
        except subprocess.TimeoutExpired:
            problems.append(f"{' '.join(args)}: it started")
    check(not problems, "\n".join(["all are refused:"] + problems))


@case()
def switches_of_regtest_are_refused_elsewhere(t):
    for option in ("-mocktime=1600000000", "-genesisactivationheight=5",
                   "-chronicleactivationheight=20000000"):
        is_in(option.split("=")[0], refused(t, option, network=None))


@case()
def broken_configuration_names_file_line_and_option(t):
    node = t.make_node()
    path = os.path.join(node.directory, "bsvpeer.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("# a comment\n\nchecklevel=9\n")
    line = refused(t, "-datadir=" + node.directory)
    is_in("checklevel", line)
    is_in("bsvpeer.conf", line)
    is_in("3", line)


@case()
def unknown_keys_of_a_file_are_warned_about(t):
    node = t.make_node()
    with open(os.path.join(node.directory, "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write("stalekey=1\nmaxconections=7\nuacomment=from-file\nminrelaytxfee=0.00001\n")
    node.start()
    log = node.log()
    is_in("stalekey", log)
    is_in("maxconnections", log, "nearest known name")
    is_in("minrelaytxfee", log, "ignored option")
    is_in("from-file", node.rpc.getnetworkinfo()["subversion"])


@case()
def bitcoin_conf_is_read_when_there_is_no_other(t):
    node = t.make_node()
    with open(os.path.join(node.directory, "bitcoin.conf"), "w", encoding="ascii") as file:
        file.write("uacomment=old-name\n")
    node.start()
    is_in("bitcoin.conf", node.log())
    is_in("old-name", node.rpc.getnetworkinfo()["subversion"])
    with open(os.path.join(node.directory, "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write("uacomment=new-name\n")
    node.restart()
    is_in("new-name", node.rpc.getnetworkinfo()["subversion"])
    check("old-name" not in node.rpc.getnetworkinfo()["subversion"], "only one file is read")


@case()
def command_line_wins_over_the_file_and_the_first_of_the_file_counts(t):
    node = t.make_node("-checkblocks=3")
    with open(os.path.join(node.directory, "bsvpeer.conf"), "w", encoding="ascii") as file:
        file.write("checkblocks=4\nchecklevel=2\nchecklevel=1\nnocheckpoints=1\n")
    node.start()
    shown = node.rpc.dumpparameters()
    is_in("checkblocks=3", shown)
    is_in("checklevel=2", shown)


@case()
def another_file_is_read_with_conf(t):
    node = t.make_node("-conf=other.conf")
    with open(os.path.join(node.directory, "other.conf"), "w", encoding="ascii") as file:
        file.write("uacomment=other\nrpcuser=alice\nrpcpassword=secret\n")
    node.rpc.credentials = lambda: "alice:secret"
    node.start()
    is_in("other", node.rpc.getnetworkinfo()["subversion"])
    check(not os.path.exists(node.file(".cookie")), "no cookie with a password")
    shown = " ".join(node.rpc.dumpparameters())
    check("secret" not in shown, "secrets are not shown")
    check("secret" not in node.log(), "nor logged")


@case()
def an_address_to_bind_is_heard_even_with_connect(t):
    port = free_port()
    node = t.make_node()
    line = [DAEMON, "-regtest", "-datadir=" + node.directory, f"-rpcport={node.rpc_port}",
            "-connect=0", f"-bind=[::1]:{port}"]
    node.process = subprocess.Popen(line, stdin=subprocess.DEVNULL)
    node.wait_ready()
    node.port = port
    t.peer(node).ping()


@case()
def help_and_version_print_and_exit(_t):
    for option, word in (("-help", "-datadir"), ("-?", "-datadir"), ("-version", "bsvpeerd"),
                         ("-help-debug", "-mocktime")):
        done = subprocess.run([DAEMON, option], capture_output=True, text=True, timeout=10,
                              check=False)
        equal(done.returncode, 0, option)
        is_in(word, done.stdout, option)
        equal(done.stderr, "", option)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([DAEMON, option], stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=10, check=False)
        equal((done.returncode, done.stderr), (1, "Error: cannot write to standard output\n"))


@case()
def settings_in_force_are_shown(t):
    node = t.node("-excessiveblocksize=2GB", "-minminingtxfee=0.00000300")
    settings = node.rpc.getsettings()
    equal(settings["excessiveblocksize"], 2000000000)
    equal(settings["maxstackmemoryusageconsensus"], 200000000)
    equal(str(settings["minminingtxfee"]), "0.00000300")


if __name__ == "__main__":
    main()
