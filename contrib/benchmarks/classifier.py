"""Tells kinds of traffic apart by what somebody on the path sees, sizes and times: the nearest of
known samples. Simple on purpose; who wants to know more has better ones."""
import math
import random

OUT, BACK = "out", "back"
SIZE_STEP, SIZES = 64, 25  # bytes; the last bin is everything above
GAPS = 14  # powers of two of a quarter of a millisecond
NEAREST = 3


def features(seen, began, seconds):
    """Of one window: (time, side, bytes) of pieces to numbers."""
    window = [x for x in seen if began <= x[0] < began + seconds]
    sizes = {side: [0] * SIZES for side in (OUT, BACK)}
    sums = {side: 0 for side in (OUT, BACK)}
    gaps = [0] * GAPS
    turns = 0
    for i, (at, side, n) in enumerate(window):
        sizes[side][min(n // SIZE_STEP, SIZES - 1)] += 1
        sums[side] += n
        if i:
            quarters = max(1.0, 4000 * (at - window[i - 1][0]))
            gaps[min(int(math.log2(quarters)), GAPS - 1)] += 1
            turns += side != window[i - 1][1]
    counts = [*sizes[OUT], *sizes[BACK], *gaps, turns, sums[OUT], sums[BACK], len(window)]
    return [math.log1p(n) for n in counts]


def scales(samples):
    """Mean and spread of each number that varies at all."""
    out = []
    for i in range(len(samples[0])):
        values = [s[i] for s in samples]
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        if spread > 1e-9:
            out.append((i, mean, spread))
    return out


def guess(known, sample, scale):
    def distance(other):
        return sum(((other[i] - sample[i]) / spread) ** 2 for i, _, spread in scale)
    nearest = sorted((distance(vector), kind) for kind, vector in known)[:NEAREST]
    kinds = [kind for _, kind in nearest]
    return max(kinds, key=lambda kind: (kinds.count(kind), -kinds.index(kind)))


def accuracy(samples, rounds=10):
    """samples: (kind, features), as many of each kind. Half of each is known, the others are
    guessed, for several divisions. The share that is right."""
    kinds = sorted({kind for kind, _ in samples})
    if len(kinds) < 2:
        raise ValueError("kinds to tell apart are needed")
    chance = random.Random(1)
    right = total = 0
    for _ in range(rounds):
        known, asked = [], []
        for kind in kinds:
            own = [s for s in samples if s[0] == kind]
            chance.shuffle(own)
            known += own[:len(own) // 2]
            asked += own[len(own) // 2:]
        scale = scales([vector for _, vector in known])
        right += sum(guess(known, vector, scale) == kind for kind, vector in asked)
        total += len(asked)
    return right / total
