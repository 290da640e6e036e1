"""A daemon whose system has no random generator, or a broken one (attacks E14): it does not start;
when that happens while it runs, no key, nonce, seed or id is made, and the rest goes on."""
import os
import time

from channel_guest import M_ACK, M_SEND, Guest, m_send, receipts
from channels import is_up, talker
from framework import BUILD, RpcError, Skip, case, check, equal, is_in, main
from identities import grow

LIBRARY = os.path.join(BUILD, "tests", "fault", "fault.so")
FEATURES = b"\x88"  # messages and payments, optional
RULES = ["-paychannels", "-genesisactivationheight=1"]
BROKEN = {"ENOSYS": "Function not implemented", "zeros": "repeats itself",
          "same": "repeats itself"}
GENERATOR = "random generator of the system "


def environment(what, **more):
    if not os.path.exists(LIBRARY):
        raise Skip(LIBRARY + " is not built")
    return {"LD_PRELOAD": LIBRARY, "BSVPEER_FAULT_RANDOM": what, **more}


@case()
def it_does_not_start_without_random_numbers(t):
    for what, text in BROKEN.items():
        for more in ([], ["-daemon"]):
            node = t.make_node()
            node.launch(*more, env=environment(what))
            equal(node.wait_exit(), 1, what)
            node.process = None
            is_in("Error: the " + GENERATOR, node.errors())
            is_in(text, node.errors())
            check(not os.path.exists(os.path.join(node.net_directory, "wallets")), "nothing made")


def refused(call, *args):
    """The text with which the call fails, which names the generator."""
    try:
        result = call(*args)
    except RpcError as error:
        is_in(GENERATOR, error.message)
        return error.message
    raise AssertionError(f"no error of {args}: {result}")


def expect_no_secrets(node):
    """Each command that draws one: refused, and nothing of it is left."""
    rpc = node.rpc
    address = rpc.getnewaddress()
    before = rpc.bcalist(), rpc.listmessages("guest"), rpc.getwalletinfo(), rpc.getbalance()
    refused(rpc.createwallet, "other")
    check(not os.path.exists(os.path.join(node.net_directory, "wallets", "other", "keys")),
          "no wallet is left")
    refused(rpc.encryptwallet, "a passphrase")
    refused(rpc.bcaregister, "second", 2)
    refused(rpc.sendmessage, "guest", "hello")
    refused(rpc.requestpayment, "guest", 1000)
    refused(rpc.openchannel, "guest", 100_000)
    refused(rpc.brc77sign, address, "text")
    equal((rpc.bcalist(), rpc.listmessages("guest"), rpc.getwalletinfo(), rpc.getbalance()), before)


def expect_no_handshake(node, key):
    guest = Guest(node, key)
    try:
        guest.knock()
    except (OSError, EOFError):
        return
    finally:
        guest.close()
    raise AssertionError("an act 2 without random numbers")


def expect_talk(guest):
    """The session goes on: what it needs was drawn before."""
    identifier = os.urandom(16)
    guest.put(M_SEND, m_send(identifier, int(1000 * time.time())))
    equal(receipts(guest, 1), [(M_ACK, identifier, 0)])


def broken_while_it_runs(t, what):
    trigger = t.path("broken-" + what)
    node, key = talker(t, *RULES)
    node.stop()
    node.start(env=environment(what, BSVPEER_FAULT_RANDOM_WHILE=trigger))
    guest = Guest(node, key, features=FEATURES)
    node.rpc.contactadd(guest.key, "guest")
    guest.connect()
    t.wait(lambda: is_up(node, "guest"))
    with open(trigger, "w", encoding="ascii"):
        pass
    expect_no_secrets(node)
    expect_no_handshake(node, key)
    expect_talk(guest)
    grow(node)  # what needs no secret is as ever
    is_in(GENERATOR, node.log())
    os.unlink(trigger)
    node.rpc.createwallet("other")
    node.rpc.sendmessage("guest", "hello")
    guest.read(M_SEND)
    guest.close()  # else it is asked first whether it is still there
    Guest(node, key, guest.secret, FEATURES).connect()
    check(node.is_alive(), "it goes on")


@case(timeout=120)
def a_generator_that_fails_makes_no_secret(t):
    broken_while_it_runs(t, "ENOSYS")


@case(timeout=120)
def one_that_gives_zeros_makes_no_secret(t):
    broken_while_it_runs(t, "zeros")


@case(timeout=120)
def one_that_repeats_itself_makes_no_secret(t):
    broken_while_it_runs(t, "same")


if __name__ == "__main__":
    main()
