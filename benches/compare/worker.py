"""The command line that the scripts of all sides share."""

import argparse
import json

from networks import named


def run(text, modes, measure):
    """Prints {mode: [step, forward, compilation]}, in milliseconds and the last in seconds, from `measure(network, mode, arguments)` in
    each mode; with --queued, the step and the forward pass of queued calls follow."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", "--shape", required=True, metavar="NAME", help="S, M, L, X, conv, recurrent or T,B,IN,H,C[,hidden layers]")
    parser.add_argument("--modes", default=",".join(modes), help=f"some of {','.join(modes)} [default: all]")
    parser.add_argument("--seconds", type=float, default=0.5, help="least measuring time for each mode")
    parser.add_argument("--runs", type=int, default=10, help="least number of runs")
    parser.add_argument("--unroll", type=int, default=1, help="steps in an iteration of a scan, in hand-written JAX")
    parser.add_argument("--queued", action="store_true", help="also time calls that are waited for once per run, in JAX")
    arguments = parser.parse_args()
    network = named(arguments.network)
    print(json.dumps({mode: measure(network, mode, arguments) for mode in arguments.modes.split(",")}))
