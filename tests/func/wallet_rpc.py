"""One wallet of a node that has several."""
from framework import Rpc


class WalletRpc(Rpc):
    """As Rpc, at the address of one wallet."""

    def __init__(self, node, wallet):
        super().__init__(node.rpc_port, node.cookie)
        self.wallet = wallet

    def post(self, body, headers=None):
        return super().post(body, headers, "/wallet/" + self.wallet)


def balances(rpc):
    info = rpc.getwalletinfo()
    return tuple(info[k] for k in ("balance", "unconfirmed_balance", "immature_balance"))
