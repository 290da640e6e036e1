"""Where the runners have tests write. Daemons and databases sync what they write all the time, and
a busy disk takes milliseconds for each: in memory an ordinary run takes half the time. What a test
makes fail or die at a write is seen by the program alike, on whatever it writes."""
import contextlib
import fcntl
import glob
import os
import shutil
import tempfile

MEMORY = "/dev/shm"
NAME = "bsvpeer-tests-"
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


def _lock(directory):
    """A descriptor that says that its run lives; None: another one's does. It ends with the
    process, however that ends, and no child has it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove_stale(memory=MEMORY):
    """What runs have left that were killed: nobody else would give the memory back."""
    for directory in glob.glob(os.path.join(memory, NAME + "*")):
        try:
            descriptor = _lock(directory)
        except OSError:
            continue  # another user's, or it is being removed
        if descriptor is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(descriptor)


def _made(memory):
    """A directory of this run and its lock, under its name only once it is locked."""
    directory = tempfile.mkdtemp(prefix="new-" + NAME, dir=memory)
    descriptor = _lock(directory)
    named = os.path.join(memory, NAME + os.path.basename(directory).removeprefix("new-" + NAME))
    os.rename(directory, named)
    return named, descriptor


@contextlib.contextmanager
def in_memory(environment):
    """The environment with a TMPDIR in memory, which is gone afterwards. One that is set stays; so
    does the disk in the long form, which writes far more, and where there is little memory."""
    if environment.get("TMPDIR") or environment.get("BSVPEER_LONG") == "1":
        yield environment
        return
    remove_stale()
    if not _is_roomy():
        yield environment
        return
    directory, descriptor = _made(MEMORY)
    try:
        yield dict(environment, TMPDIR=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(descriptor)
