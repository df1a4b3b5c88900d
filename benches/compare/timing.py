"""Times functions by calling them in turn, like `spiq bench`."""

import statistics
import time

RUN = 0.01


def in_turn(functions, seconds, runs, wait=None):
    """The median of each in milliseconds, then the seconds that their first calls took beyond these, which is compilation.

    A function starts its work and returns what `wait` waits for, once per run; without `wait`, a function waits itself. After a
    warm-up, at least that many runs of 10 ms or more, in turn, until the seconds have passed.
    """

    def timed(function, calls):
        start = time.perf_counter()
        for _ in range(calls):
            started = function()
        if wait:
            wait(started)
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


def of_jax(functions, arguments):
    """`in_turn` of functions that return JAX's arrays, each call waited for; with --queued, then the milliseconds of queued calls."""
    import jax

    waiting = [lambda function=function: jax.block_until_ready(function()) for function in functions]
    found = in_turn(waiting, arguments.seconds, arguments.runs)
    if arguments.queued:
        found += in_turn(functions, arguments.seconds, arguments.runs, jax.block_until_ready)[:-1]
    return found
