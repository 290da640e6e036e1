#include "node/options.h"

#include "base/intmath.h"

#define K INT64_C(1000)
#define M (K * K)
#define G (K * M)
#define MIB (UINT64_C(1) << 20)

/* Kinds of rows, to keep one option on one line where it can be; high 0: no upper limit. */
#define SWITCH(option, value, text) { .name = option, .type = OPTION_BOOL, .def = value, .help = text, .category = CATEGORY }
#define NUMBER(option, value, low, high, what, text) \
    { .name = option, .type = OPTION_INT, .def = value, .min = low, .max = (high) ? (high) : INT64_MAX, .arg = what, .help = text, .category = CATEGORY }
#define SIZE(option, value, low, high, each, text) \
    { .name = option, .type = OPTION_SIZE, .def = value, .min = low, .max = (high) ? (high) : INT64_MAX, .unit = each, .arg = "<size>", .help = text, .category = CATEGORY }
#define TEXT(option, value, what, text) \
    { .name = option, .type = OPTION_STRING, .def = value, .arg = what, .help = text, .category = CATEGORY }
#define LIST(option, what, text) \
    { .name = option, .type = OPTION_STRING, .flags = OPTION_MULTI, .arg = what, .help = text, .category = CATEGORY }
#define IGNORED(option) \
    { .name = option, .type = OPTION_STRING, .flags = OPTION_MULTI | OPTION_TEXT_SWITCH | OPTION_IGNORED | OPTION_HIDDEN, \
      .arg = "<...>", .help = "Of the reference node; has no meaning here.", .category = "Accepted and ignored" }

const struct option_row node_options[] = {
#define CATEGORY "General"
    SWITCH("help", NULL, "Print this text and exit; -help-debug adds options for developers."),
    { .name = "?", .type = OPTION_BOOL, .flags = OPTION_HIDDEN, .help = "As -help.", .category = CATEGORY, .alias = "h" },
    { .name = "help-debug", .type = OPTION_BOOL, .flags = OPTION_HIDDEN, .help = "Show all options.", .category = CATEGORY },
    { .name = "help-man", .type = OPTION_BOOL, .flags = OPTION_HIDDEN, .help = "Print the manual page and exit.", .category = CATEGORY },
    SWITCH("version", NULL, "Print the version and exit."),
    TEXT("conf", NULL, "<file>", "Configuration file, relative to the data directory (default: bsvpeer.conf, else bitcoin.conf)."),
    TEXT("datadir", NULL, "<dir>", "Data directory (default: ~/.bsvpeer)."),
    TEXT("pid", "bsvpeerd.pid", "<file>", "File for the process number, relative to the network's data directory."),
    SWITCH("daemon", "0", "Run in the background."),
    SWITCH("server", "1", "Answer JSON-RPC."),
    SWITCH("testnet", "0", "Use the test network."),
    SWITCH("stn", "0", "Use the scaling test network."),
    SWITCH("regtest", "0", "Use a private chain with blocks on demand."),
    SWITCH("printtoconsole", "0", "Write the log to standard output too."),
    SWITCH("progress", "0", "Show one live line with the state of the download on standard output."),
    { .name = "debug", .type = OPTION_STRING, .flags = OPTION_MULTI | OPTION_TEXT_SWITCH, .arg = "<category>", .category = CATEGORY,
      .help = "Log details of a category (1 or none given: all); may be given several times." },
    LIST("debugexclude", "<category>", "Leave a category out of -debug."),
    SWITCH("logtimestamps", "1", "Begin lines of the log with the time."),
    SWITCH("logtimemicros", "0", "Microseconds in these times."),
    SIZE("maxlogsize", "200MB", 0, 0, 1, "Size at which the log file is rotated; 0: never."),
    SWITCH("logips", "0", "Show addresses of peers in the log."),
    SWITCH("sysperms", "0", "Leave the umask as it is instead of 077."),
    LIST("uacomment", "<text>", "Comment in the user agent."),
    TEXT("blocknotify", NULL, "<command>", "Run a command at each new tip; %s is the block hash."),
    SIZE("memory", NULL, 64 * MIB, 0, 1, "Ceiling for all caches and queues together (default: half of the machine's memory)."),
#undef CATEGORY
#define CATEGORY "Chain"
    SIZE("excessiveblocksize", "10GB", 0, 0, 1, "Largest block accepted, bytes; 0: unlimited, otherwise above 1000000."),
    SIZE("maxstackmemoryusageconsensus", "200MB", 0, 0, 1, "Memory one script may use in a block; 0: unlimited."),
    SIZE("maxstackmemoryusagepolicy", "100MB", 0, 0, 1, "The same for a transaction alone; 0: unlimited."),
    SIZE("dbcache", NULL, 4 * MIB, 0, MIB, "Memory for coins, MiB (default: a quarter of the machine's, at most 8 GB)."),
    { .name = "par", .type = OPTION_INT, .def = "0", .min = -64, .max = 256, .arg = "<n>", .category = CATEGORY, .alias = "threadsperblock",
      .help = "Threads that check scripts; 0: one a core, negative: leave that many cores free." },
    SWITCH("txindex", "0", "Keep an index of all transactions, for getrawtransaction."),
    NUMBER("prune", "0", 0, 0, "<MiB>", "Delete old blocks beyond this size; 1: by RPC only, 0: keep all."),
    NUMBER("pruneminblockstokeep", "288", 6, 0, "<n>", "Blocks never pruned below the tip."),
    SWITCH("reindex", "0", "Rebuild index and coins from the block files."),
    SWITCH("reindex-chainstate", "0", "Rebuild the coins from the blocks indexed."),
    LIST("loadblock", "<file>", "Import blocks from a file at start."),
    TEXT("assumevalid", NULL, "<hash>", "Scripts of this block's ancestors are taken as valid; 0: check all."),
    TEXT("minimumchainwork", NULL, "<hex>", "Work a chain must have before it is downloaded."),
    SWITCH("checkpoints", "1", "Refuse chains that leave out known blocks."),
    NUMBER("checkblocks", "6", 0, 0, "<n>", "Blocks verified at start; 0: all."),
    NUMBER("checklevel", "3", 0, 4, "<n>", "How thorough that is."),
    NUMBER("stopatheight", "0", 0, INT32_MAX, "<n>", "Stop after reaching this height."),
    SIZE("preferredblockfilesize", "128MiB", MIB, 0, 1, "Size past which a new block file begins."),
    NUMBER("maxtipage", "86400", 1, 0, "<s>", "A tip older than this means initial download."),
    LIST("invalidateblock", "<hash>", "Mark a block invalid at start."),
    { .name = "checkblockindex", .type = OPTION_BOOL, .flags = OPTION_HIDDEN, .def = "0", .help = "Consistency checks of the index.", .category = CATEGORY },
    { .name = "mocktime", .type = OPTION_INT, .flags = OPTION_HIDDEN, .def = "0", .min = 0, .max = UINT32_MAX, .arg = "<time>", .category = CATEGORY,
      .help = "Regtest: use this clock." },
    { .name = "genesisactivationheight", .type = OPTION_INT, .flags = OPTION_HIDDEN, .min = 1, .max = INT32_MAX, .arg = "<height>", .category = CATEGORY,
      .help = "Regtest: first block under Genesis rules." },
    { .name = "chronicleactivationheight", .type = OPTION_INT, .flags = OPTION_HIDDEN, .min = 1, .max = INT32_MAX, .arg = "<height>", .category = CATEGORY,
      .help = "Regtest: first block under Chronicle rules." },
#undef CATEGORY
#define CATEGORY "Peers"
    SWITCH("listen", "1", "Accept connections."),
    NUMBER("port", NULL, 1, 65535, "<port>", "Port for peers (8333, testnet 18333, stn 9333, regtest 18444)."),
    LIST("bind", "<addr>", "Listen on this address; [host]:port for IPv6."),
    LIST("whitebind", "<addr>", "Listen here too, and trust who connects."),
    LIST("whitelist", "<ip|net>", "Trust peers of this address or network."),
    LIST("connect", "<addr>", "Connect to these peers only; 0: to none."),
    LIST("addnode", "<addr>", "Keep a connection to this peer."),
    LIST("seednode", "<addr>", "Ask this peer for addresses, then leave it."),
    LIST("externalip", "<addr>", "Our own public address."),
    { .name = "onlynet", .type = OPTION_CHOICE, .flags = OPTION_MULTI, .arg = "ipv4|ipv6", .category = CATEGORY,
      .help = "Connect to peers of this kind of address only." },
    SWITCH("discover", "1", "Find our own addresses."),
    SWITCH("dns", "1", "Allow names in -addnode, -connect and -seednode."),
    SWITCH("dnsseed", "1", "Ask the DNS seeds when addresses are few."),
    SWITCH("forcednsseed", "1", "Ask them always."),
    SWITCH("fixedseeds", "1", "Use the built-in addresses when nothing else is known."),
    TEXT("proxy", NULL, "<ip:port>", "Connect through a SOCKS5 proxy."),
    NUMBER("timeout", "5000", 1, 600000, "<ms>", "Time to connect."),
    NUMBER("maxconnections", "125", 0, 100000, "<n>", "Connections at most."),
    NUMBER("maxoutboundconnections", "8", 0, 1000, "<n>", "Of these, chosen by us."),
    NUMBER("maxaddnodeconnections", "8", 0, 1000, "<n>", "Connections of -addnode."),
    NUMBER("maxconnectionsfromaddr", "0", 0, 100000, "<n>", "From one address; 0: no limit."),
    NUMBER("banscore", "100", 1, 1000000, "<n>", "Score at which a peer is banned."),
    NUMBER("bantime", "86400", 1, 0, "<s>", "How long."),
    LIST("banclientua", "<text>", "Refuse peers whose user agent contains this (default: abc, cash, bch)."),
    LIST("allowclientua", "<text>", "Never refuse peers whose user agent contains this."),
    SWITCH("blocksonly", "0", "Do not take part in the relay of transactions."),
    NUMBER("p2ptimeout", "1200", 1, 0, "<s>", "Silence after which a peer is left."),
    NUMBER("p2phandshaketimeout", "60", 1, 3600, "<s>", "Time for the handshake."),
    SIZE("maxreceivebuffer", "500000", 1000, 0, 1000, "Receive buffer of one peer, kB."),
    SIZE("maxsendbuffer", "500000", 1000, 0, 1000, "Send buffer of one peer, kB."),
    SIZE("maxprotocolrecvpayloadlength", "2097152", 1048576, G, 1, "Largest message of common kinds."),
    SIZE("maxuploadtarget", "0", 0, 0, MIB, "Upload a day, MiB; 0: no limit."),
    NUMBER("blockdownloadwindow", "1024", 1, 100000, "<n>", "How far blocks are fetched ahead of the tip."),
    NUMBER("blockstallingtimeout", "10", 1, 3600, "<s>", "How long one peer may hold up the window."),
    SIZE("blockstallingmindownloadspeed", "100", 0, 0, 1000, "Speed below which a peer is slow, kB/s."),
    NUMBER("blockdownloadslowfetchtimeout", "30", 1, 3600, "<s>", "When a slow block is asked from another peer too."),
    NUMBER("blockdownloadmaxparallelfetch", "3", 1, 4, "<n>", "From how many at most."),
    NUMBER("maxtimeadjustment", "0", 0, 0, "<s>", "Accepted; peers never adjust our clock, a large difference is warned about."),
    { .name = "magicbytes", .type = OPTION_STRING, .flags = OPTION_HIDDEN, .arg = "<8 hex digits>", .category = CATEGORY,
      .help = "Network magic, not on the main network." },
#undef CATEGORY
#define CATEGORY "RPC"
    TEXT("rpcuser", NULL, "<name>", "User name."),
    { .name = "rpcpassword", .type = OPTION_STRING, .flags = OPTION_SECRET, .arg = "<password>", .category = CATEGORY, .help = "Password; without one a cookie file is written." },
    { .name = "rpcauth", .type = OPTION_STRING, .flags = OPTION_MULTI | OPTION_SECRET, .arg = "<user:salt$hash>", .category = CATEGORY,
      .help = "User with a hashed password." },
    TEXT("rpccookiefile", ".cookie", "<file>", "Cookie file, relative to the network's data directory."),
    NUMBER("rpcport", NULL, 1, 65535, "<port>", "Port for RPC (8332, testnet and regtest 18332, stn 9332)."),
    LIST("rpcbind", "<addr>", "Listen on this address, with -rpcallowip."),
    LIST("rpcallowip", "<ip|net>", "Who may ask besides this machine."),
    NUMBER("rpcthreads", "4", 1, 256, "<n>", "Threads that work on requests."),
    NUMBER("rpcworkqueue", "16", 1, 100000, "<n>", "Requests that may wait."),
    NUMBER("rpcservertimeout", "30", 1, 86400, "<s>", "Idle time of a connection."),
    TEXT("rpccorsdomain", NULL, "<origin>", "Origin from which browsers may ask."),
#undef CATEGORY
#define CATEGORY "Policy"
    { .name = "minminingtxfee", .type = OPTION_AMOUNT, .def = "0.000001", .max = 100 * M, .arg = "<BSV/kB>", .category = CATEGORY,
      .help = "Fee rate from which a transaction is mined." },
    SWITCH("acceptnonstdtxn", NULL, "Accept unusual transactions (default: 0 on the main network, 1 elsewhere)."),
    SIZE("blockmaxsize", "128MB", 1, 0, 1, "Largest block to make."),
#undef CATEGORY
    /* Known options of the reference whose subject does not exist here, or not yet. */
    IGNORED("alertnotify"), IGNORED("shrinkdebugfile"), IGNORED("upnp"), IGNORED("multistreams"),
    IGNORED("multistreampolicies"), IGNORED("maxparallelblocks"), IGNORED("maxparallelblocksperpeer"),
    IGNORED("txnthreadsperblock"), IGNORED("numstdtxvalidationthreads"), IGNORED("numnonstdtxvalidationthreads"),
    IGNORED("scriptvalidatormaxbatchsize"), IGNORED("maxcoinsviewcachesize"), IGNORED("maxcoinsprovidercachesize"),
    IGNORED("maxcoinsdbfiles"), IGNORED("maxsigcachesize"), IGNORED("maxscriptcachesize"), IGNORED("maxpendingresponses_getheaders"), IGNORED("maxpendingresponses_gethdrsen"),
    IGNORED("invalidcsfreq"), IGNORED("invalidcsinterval"), IGNORED("blockdownloadlowerwindow"), IGNORED("blockdownloadtimeoutbasepercent"),
    IGNORED("blockdownloadtimeoutbaseibdpercent"), IGNORED("blockdownloadtimeoutperpeerpercent"), IGNORED("factormaxsendqueuesbytes"),
    IGNORED("maxmempool"), IGNORED("maxmempoolsizedisk"), IGNORED("mempoolexpiry"), IGNORED("mempoolmaxpercentcpfp"),
    IGNORED("maxmempoolnonfinal"), IGNORED("persistmempool"), IGNORED("limitancestorcount"), IGNORED("limitancestorsize"),
    IGNORED("limitdescendantcount"), IGNORED("limitdescendantsize"), IGNORED("limitcpfpgroupmemberscount"), IGNORED("maxorphantxsize"),
    IGNORED("maxtxsizepolicy"), IGNORED("maxscriptsizepolicy"), IGNORED("maxscriptnumlengthpolicy"), IGNORED("maxopsperscriptpolicy"),
    IGNORED("maxtxsigopscountspolicy"), IGNORED("maxpubkeyspermultisigpolicy"), IGNORED("datacarrier"), IGNORED("datacarriersize"),
    IGNORED("acceptnonstdoutputs"), IGNORED("minconsolidationfactor"), IGNORED("maxconsolidationinputscriptsize"),
    IGNORED("minconfconsolidationinput"), IGNORED("minconsolidationinputmaturity"), IGNORED("acceptnonstdconsolidationinput"),
    IGNORED("maxstdtxvalidationduration"), IGNORED("maxnonstdtxvalidationduration"), IGNORED("maxtxnvalidatorasynctasksrunduration"),
    IGNORED("maxtxchainvalidationbudget"), IGNORED("maxtxfee"), IGNORED("minrelaytxfee"), IGNORED("mintxfee"), IGNORED("dustrelayfee"),
    IGNORED("dustlimitfactor"), IGNORED("blockmintxfee"), IGNORED("blockassembler"), IGNORED("blockversion"), IGNORED("detectselfishmining"),
    IGNORED("genesisgracefulperiod"), IGNORED("chroniclegracefulperiod"), IGNORED("bytespersigop"), IGNORED("permitbaremultisig"),
    IGNORED("whitelistrelay"), IGNORED("whitelistforcerelay"), IGNORED("peerbloomfilters"), IGNORED("feefilter"), IGNORED("broadcastdelay"),
    IGNORED("txnpropagationfreq"), IGNORED("txnpropagationqlen"), IGNORED("recvinvqueuefactor"), IGNORED("maxrecvinvqueuefactor"),
    IGNORED("rejectmempoolrequest"), IGNORED("mempoolsyncpeer"), IGNORED("rest"), IGNORED("zmqpubhashblock"), IGNORED("zmqpubhashtx"),
    IGNORED("zmqpubrawblock"), IGNORED("zmqpubrawtx"), IGNORED("zmqpubhashblock2"), IGNORED("zmqpubhashtx2"), IGNORED("zmqpubrawblock2"),
    IGNORED("zmqpubrawtx2"), IGNORED("zmqpubinvalidtx"), IGNORED("zmqpubdiscardedfrommempool"), IGNORED("zmqpubremovedfrommempool"),
    IGNORED("zmqpubremovedfrommempoolblock"), IGNORED("invalidtxsink"), IGNORED("invalidtxfilesinkdatasize"), IGNORED("dsnotifylevel"),
    IGNORED("dsdetectedwebhookurl"), IGNORED("dsendpointport"), IGNORED("safemodewebhookurl"), IGNORED("disablesafemode"),
    IGNORED("softconsensusfreezeduration"), IGNORED("enableassumewhitelistedblockdepth"), IGNORED("assumewhitelistedblockdepth"),
    IGNORED("disablebip30checks"), IGNORED("maxgenesisgracefulperiod"), IGNORED("minerid"), IGNORED("mineridgeneratorurl"),
    IGNORED("minerinfo"), IGNORED("maxmerkletreediskspace"), IGNORED("preferredmerkletreefilesize"), IGNORED("maxmerkletreememcachesize"),
    IGNORED("wallet"), IGNORED("disablewallet"), IGNORED("keypool"), IGNORED("paytxfee"), IGNORED("fallbackfee"), IGNORED("txconfirmtarget"),
    IGNORED("spendzeroconfchange"), IGNORED("walletbroadcast"), IGNORED("salvagewallet"), IGNORED("upgradewallet"), IGNORED("zapwallettxes"),
    IGNORED("rescan"), IGNORED("usehd"), IGNORED("gen"), IGNORED("rpcssl"), IGNORED("rpcwebhookclientnumthreads"), IGNORED("debugnet"), IGNORED("printpriority"),
    IGNORED("rpcconnect"), IGNORED("rpcclienttimeout"), IGNORED("rpcwait"), IGNORED("standalone"),
};

const size_t node_options_count = COUNT_OF(node_options);
