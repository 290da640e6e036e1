"""What tests of files over direct channels share."""
MIB = 1 << 20


def make(t, name, size, seed=1):
    """A file of bytes that do not repeat soon."""
    path = t.path(name)
    with open(path, "wb") as out:
        block = bytes((i * 7 + i // 256 + seed) % 256 for i in range(65536))
        for at in range(0, size, 65536):
            out.write((at.to_bytes(8, "big") + block)[:min(65536, size - at)])
    return path


def same(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        while True:
            piece = x.read(MIB)
            if piece != y.read(MIB):
                return False
            if not piece:
                return True


def transfer(node, id):
    return next((f for f in node.rpc.listtransfers() if f["id"] == id), None)


def state(node, id):
    found = transfer(node, id)
    return found and found["state"]


def offer(t, sender, receiver, contact, path):
    """Until the receiver knows of it; the id."""
    id = sender.rpc.sendfile(contact, path)
    t.wait(lambda: state(receiver, id) == "waiting")
    return id
