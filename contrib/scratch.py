"""Where the runners have tests write. Daemons and databases sync what they write all the time, and
a busy disk takes milliseconds for each: in memory an ordinary run takes half the time. What a test
makes fail or die at a write is seen by the program alike, on whatever it writes."""
import contextlib
import os
import shutil
import tempfile

MEMORY = "/dev/shm"
ROOM = 6 << 30  # bytes that must be free; a run needs less than a third


def _is_roomy():
    try:
        space = os.statvfs(MEMORY)
        with open("/proc/meminfo", encoding="ascii") as file:
            facts = dict(line.split(":") for line in file)
    except (OSError, ValueError):
        return False
    free = min(space.f_bavail * space.f_frsize, 1024 * int(facts["MemAvailable"].split()[0]))
    return free >= ROOM and os.access(MEMORY, os.W_OK)


@contextlib.contextmanager
def in_memory(environment):
    """The environment with a TMPDIR in memory, which is gone afterwards. One that is set stays; so
    does the disk in the long form, which writes far more, and where there is little memory."""
    if environment.get("TMPDIR") or environment.get("BSVPEER_LONG") == "1" or not _is_roomy():
        yield environment
        return
    directory = tempfile.mkdtemp(prefix="bsvpeer-run-", dir=MEMORY)
    try:
        yield dict(environment, TMPDIR=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
