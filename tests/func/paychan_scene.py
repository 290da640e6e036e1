"""Plays scenarios of payment channels (channels 8.10) as lists of steps, between any two of which
daemons are killed: whatever is killed when, the end is the same.

A scenario is a class and a text: steps with their numbers, separated by semicolons. A step is a
method of the class, its name with blanks for underscores. The last steps look at the end.
"""
import os
import random
import shutil

from framework import LONG, SEED, Skip, case
from identities import FAULT
from paychannels import copy_parts, put_back_parts

KILLS = 2  # in it


class Scene:
    """Daemons of one chain, the first of which is the payer; names tells what they are."""

    def __init__(self, t, **nodes):
        self.t, self.names = t, {}
        self.options = {}  # with which each starts at the moment
        self.off = set()
        for name, node in nodes.items():
            self.add(node, name)

    def add(self, node, name):
        self.names[node], self.options[node] = name, []

    def running(self):
        return [node for node in self.names if node not in self.off]

    def same_tip(self):
        self.t.wait_same_tip(*self.running())

    def victims(self):
        """Who may be killed now: each alone, and all together."""
        running = self.running()
        return [(node,) for node in running] + [tuple(running)] * (len(running) > 1)

    def is_together(self):
        """Those that are to have sessions have them."""

    # --- kills ---

    def blocks(self):
        return self.blocks_of(self.running()[0])

    def blocks_of(self, node):
        rpc = node.rpc
        hashes = [r["result"] for r in rpc.batch([("getblockhash", [h]) for h in
                                                  range(1, rpc.getblockcount() + 1)])]
        return [r["result"] for r in rpc.batch([("getblock", [h, 0]) for h in hashes])]

    def gets_back(self, node, blocks):
        """What it had not written of the chain."""
        for block in blocks[max(0, node.rpc.getblockcount() - 20):]:
            node.rpc.submitblock(block)

    def starts(self, node, **env):
        node.start(*self.options[node], env=env)
        self.off.discard(node)

    def restarts(self, node, *options):
        """With these options from now on."""
        self.same_tip()
        node.stop()
        self.options[node] = list(options)
        self.starts(node)
        self.same_tip()

    def survive(self, *victims):
        """Killed together. What none of them had written of the chain comes back."""
        self.same_tip()
        blocks = self.blocks()
        for node in victims:
            node.kill()
        for node in victims:
            self.starts(node)
        for node in victims:
            self.gets_back(node, blocks)
        self.same_tip()
        self.is_together()

    def dies_at(self, node, setting, act, returns=True):
        """It ends by itself at that call on its journal, in the course of what is done."""
        if not os.path.exists(FAULT):
            raise Skip("the library that makes writes fail is not built")
        self.same_tip()
        blocks, marker = self.blocks(), self.t.path("armed")
        node.stop()
        self.starts(node, LD_PRELOAD=FAULT, BSVPEER_FAULT=setting, BSVPEER_FAULT_AFTER=marker,
                    BSVPEER_FAULT_PATH=node.file("paychannels/"))
        self.gets_back(node, blocks)
        self.is_together()
        self.t.wait(lambda: len(os.listdir(node.file("paychannels"))) == 1, what="one journal")
        with open(marker, "wb"):
            pass
        act()
        self.t.wait(lambda: node.process.poll() is not None, what=f"the end at {setting}")
        os.unlink(marker)
        node.kill()
        self.off.add(node)
        if returns:
            self.starts(node)
            self.gets_back(node, blocks)
            self.same_tip()
            self.is_together()

    # --- copies of what a node knows of channels ---

    PARTS = ("paychannels", "channels")

    def keep(self, node):
        """A copy of it as it is now."""
        node.stop()
        copy_parts(node, self.t.path("kept"), *self.PARTS)
        self.starts(node)

    def put_back(self, node):
        node.stop()
        put_back_parts(node, self.t.path("kept"), *self.PARTS)
        self.starts(node)


def steps_of(scene_class, text):
    """(name, method, numbers) of each."""
    for step in text.split(";"):
        words = step.split()
        numbers = [int(word) for word in words if word.isdigit()]
        name = "_".join(word for word in words if not word.isdigit())
        yield step.strip(), getattr(scene_class, name), numbers


def play(t, scene_class, text, choose):
    """choose(number of the step, victims) tells whom to kill after it."""
    scene, told = scene_class(t), []
    steps = list(steps_of(scene_class, text))
    try:
        for i, (name, step, numbers) in enumerate(steps):
            told.append(name)
            step(scene, *numbers)
            victims = choose(i, scene.victims()) if i < len(steps) - 1 else ()
            if victims:
                told.append(f"[{' and '.join(scene.names[v] for v in victims)} killed]")
                scene.survive(*victims)
    except Skip:
        raise
    except Exception as error:
        raise AssertionError(f"{'; '.join(told)}: {error} (seed {SEED})") from error
    for node in scene.running():
        node.kill()
    t.nodes.clear()  # what went well needs no explanation
    shutil.rmtree(t.path("kept"), ignore_errors=True)


def play_all(t, scene_class, text):
    """Without a kill, then once for each kill that there can be."""
    possible = []

    def note(i, victims):
        possible.extend((i, v) for v in range(len(victims)))
        return ()

    play(t, scene_class, text, note)
    for at, who in possible:
        play(t, scene_class, text,
             lambda i, victims: victims[who] if i == at else ())  # pylint: disable=W0640


def play_some(t, scene_class, text, name):
    """Once, with a few kills: other ones with another seed."""
    rng = random.Random(SEED + name)
    chosen = rng.sample(range(text.count(";")), KILLS)
    play(t, scene_class, text, lambda i, victims: rng.choice(victims) if i in chosen else ())


def scenarios(scene_class, texts):
    """Makes a case of each."""
    for name, text in texts.items():
        list(steps_of(scene_class, text))  # all of them are there

        def run(t, text=text, name=name):
            if LONG:
                play_all(t, scene_class, text)
            else:
                play_some(t, scene_class, text, name)
        run.__name__ = name.replace(" ", "_")
        case(timeout=3600 if LONG else 120)(run)
