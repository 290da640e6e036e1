"""A disk of its own for a database of a node, which a test fills and makes room on."""
import errno
import os
import shutil

from framework import Skip, equal


def on_small_disk(node, name):
    """It starts with the database `name` on a disk of its own, of 32 MiB; the folder."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise Skip("a disk of its own takes root and unshare")
    folder, line = node.file(name), node.command
    script = 'cp -a "$0" "$0.was" && mount -t tmpfs -o size=32m none "$0" && ' \
        'cp -a "$0.was/." "$0" && exec "$@"'
    node.stop()
    node.command = lambda *more: ["unshare", "-m", "sh", "-c", script, folder, *line(*more)]
    try:
        node.start()
    except AssertionError as error:
        if "mount" in str(error) or "unshare" in str(error):
            raise Skip("no mount namespaces") from None
        raise
    return f"/proc/{node.process.pid}/root{folder}"


def fill(folder):
    """But for what is left of pages that are begun."""
    with open(folder + "/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError as error:
            equal(error.errno, errno.ENOSPC)


def make_room(folder):
    os.unlink(folder + "/filler")


def crash_off_small_disk(node, folder):
    """It is killed and starts with what is on its small disk now, which is one no more."""
    home, kept = node.file(os.path.basename(folder)), node.file("crashed")
    shutil.copytree(folder, kept)
    node.kill()
    del node.command
    shutil.rmtree(home)
    os.rename(kept, home)
    node.start()
