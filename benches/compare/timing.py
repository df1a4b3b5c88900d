"""Times functions by calling them in turn, like `spiq bench`."""

import statistics
import time

RUN = 0.01


def in_turn(functions, seconds, runs):
    """The median of each in milliseconds, then the seconds that their first calls took beyond these, which is compilation.

    After a warm-up, at least that many runs of 10 ms or more, in turn, until the seconds have passed.
    """

    def timed(function, calls):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    first = sum(timed(function, 1) for function in functions)
    for calls in (2, 1):
        counts = [max(1, round(RUN / timed(function, calls) + 0.5)) for function in functions]
    samples = [[] for _ in functions]
    start = time.perf_counter()
    while len(samples[0]) < runs or time.perf_counter() - start < seconds:
        for function, calls, found in zip(functions, counts, samples):
            found.append(timed(function, calls))
    medians = [statistics.median(found) for found in samples]
    return [*(1e3 * median for median in medians), first - sum(medians)]
