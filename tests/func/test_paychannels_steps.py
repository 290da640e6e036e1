"""Scenarios of payment channels between two daemons, killed between any two steps, and within some
(see paychan_scene). The number of each is that of channels 8.10; tests/README.md has all of them. The
ordinary run kills twice in each, elsewhere each time; the long one has a run for each kill."""
import concurrent.futures
import signal
import time

from framework import Rpc, RpcError, case, check, equal, main
from paychan_pair import Pair
from paychan_scene import scenarios
from paychannels import CAPACITY, connect, payers

SCENARIOS = {
    "1 the payer closes": """opens; is funded; pays 700 1 299; pays 4; payer closes; is mined;
        ends closed""",
    "1 the payee closes": """opens; is funded; pays 5000; pays 5000; payee closes; is mined;
        ends closed""",
    "1 a thousand payments": """opens; is funded; pays times 3 500; pays times 7 500; payer closes;
        is mined; ends closed""",

    "2 the payee vanishes before it accepts": """payee vanishes before it accepts; days pass 1;
        ends unopened""",
    "2 the payee vanishes after it accepts": """both vanish after the accept; expires; is mined;
        ends refunded""",
    "2 the payee vanishes after the funding": "opens; payee goes; expires; is mined; ends refunded",
    "2 the payee vanishes when it is open": """opens; is funded; payee goes;
        comes before the expiry; expires; is mined; ends refunded""",
    "2 the payee vanishes after payments": """opens; is funded; pays 3000; payee goes;
        comes before the expiry; expires; is mined; ends refunded""",

    "3 the payer vanishes before it is answered": """payer vanishes before it is answered;
        days pass 3; ends unopened""",
    "3 the payer vanishes after the accept": """payer vanishes after the accept; days pass 3;
        ends unopened""",
    "3 the payer vanishes after the funding": """opens; is funded; payer goes;
        comes before the margin; is due; payer comes back; expires; is mined; ends refunded""",
    "3 the payer vanishes after payments": """opens; is funded; pays 3000 4; payer goes;
        comes before the margin; is due; is mined; ends closed""",

    "4 the payer dies amid a payment": """opens; is funded; pays 100;
        payer dies before it writes a payment; payer dies between write and send; pays 5;
        payer dies between send and ack; pays 9; payer closes; is mined; ends closed""",
    "5 the payee dies amid a payment": """opens; is funded; pays 100;
        payee dies before it writes a payment; pays 3; payee dies between write and ack;
        payee closes; is mined; ends closed""",
}

scenarios(Pair, SCENARIOS)


@case()
def a_payee_that_vanishes_before_it_accepts_locks_up_nothing(t):
    a, b = payers(t)
    before = a.rpc.getbalance()
    b.process.send_signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        opening = pool.submit(lambda: Rpc(a.rpc_port, a.cookie).openchannel("bob", CAPACITY))
        t.wait(lambda: [c["state"] for c in a.rpc.listpaychannels()] == ["opening"])
        b.kill()
        a.rpc.setmocktime(int(time.time()) + 61)  # it waits for a minute
        check(isinstance(opening.exception(90), RpcError), "it says that nothing was opened")
    b.start()
    t.wait_same_tip(a, b)
    connect(t, a, b)
    t.wait(lambda: not a.rpc.listpaychannels(), 90)
    equal((a.rpc.getbalance(), a.rpc.getrawmempool()), (before, []))


if __name__ == "__main__":
    main()
