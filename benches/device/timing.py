"""Times functions by calling them in turn, like `spiq bench`."""

import statistics
import time

LEAST_RUNS, RUN = 10, 0.01


def in_turn(functions, seconds):
    """Medians in milliseconds: after a warm-up, runs of at least 10 ms, in turn, until the given seconds have passed."""

    def timed(function, calls):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    for calls in (2, 1):
        counts = [max(1, round(RUN / timed(function, calls) + 0.5)) for function in functions]
    samples = [[] for _ in functions]
    start = time.perf_counter()
    while len(samples[0]) < LEAST_RUNS or time.perf_counter() - start < seconds:
        for function, calls, found in zip(functions, counts, samples):
            found.append(timed(function, calls))
    return [1e3 * statistics.median(found) for found in samples]
