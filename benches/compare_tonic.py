"""Reads, bins and packs an SHD-sized HDF5 file with spiq, with tonic, and with h5py and NumPy alone; compares times, memory, frames.

    python benches/compare_tonic.py target/release/spiq
    python benches/compare_tonic.py target/release/spiq --channels 140 --samples 1000

Each reader runs in a separate process and writes its frames to a file, so that its peak memory can be measured; they take turns.
Needs tonic 1.7, h5py and numpy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BINS, DT = 100, 0.01


def with_tonic(source, target, channels):
    """tonic's own reader of SHD and its transforms, sample by sample."""
    import h5py
    import numpy as np
    import tonic
    from tonic.datasets.hsd import HSD

    class Here(HSD):
        def __init__(self, path):
            super().__init__(str(path.parent))
            self.location_on_system, self.data_filename = str(path.parent), path.name

        def _check_exists(self):
            return True

    window = 1e6 * DT
    frames = tonic.transforms.ToFrame((channels, 1, 1), time_window=window, start_time=0, end_time=window * BINS)
    steps = [frames] if channels == 700 else [tonic.transforms.Downsample(spatial_factor=channels / 700), frames]
    data = Here(source)
    data.transform = tonic.transforms.Compose(steps)
    packed = np.zeros((len(data), BINS, channels), np.uint8)
    labels = np.zeros(len(data), np.int32)
    for place in range(len(data)):
        sample, labels[place] = data[place]
        packed[place] = sample.reshape(BINS, channels)
    np.savez(target, inputs=packed, labels=labels)


def with_numpy(source, target, channels):
    """What a careful user would write: the file opened once, and vectorized counting instead of a loop over events."""
    import h5py
    import numpy as np

    with h5py.File(source) as file:
        times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"][:].astype(np.int32)
        packed = np.zeros((len(labels), BINS, channels), np.uint8)
        for place in range(len(labels)):
            microseconds = np.floor(times[place].astype(np.float64) * 1e6 + 0.5)
            frame = (microseconds / (1e6 * DT)).astype(np.int64)
            channel = units[place].astype(np.int64) * channels // 700
            inside = frame < BINS
            counts = np.bincount(frame[inside] * channels + channel[inside], minlength=BINS * channels)
            packed[place] = np.minimum(counts, 255).reshape(BINS, channels)
    np.savez(target, inputs=packed, labels=labels)


def run(command, shown=False):
    """Wall-clock seconds, CPU seconds (less affected by other programs), and peak memory in GB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=None if shown else subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed")
    # A child's peak memory includes what its parent had in memory at the fork, so this process imports nothing large.
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def frames_of_spiq(path):
    import numpy as np

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))["inputs"]
    return np.memmap(path, np.uint8, "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))


def compare(ours, theirs, _):
    """Prints how many elements differ, and the sums of both."""
    import numpy as np

    ours, theirs = frames_of_spiq(ours), np.load(theirs)["inputs"]
    count = sums = other = 0
    for start in range(0, len(ours), 256):
        a, b = ours[start : start + 256], theirs[start : start + 256]
        count, sums, other = count + int((a != b).sum()), sums + int(a.sum(dtype=np.int64)), other + int(b.sum(dtype=np.int64))
    print(f"  {count} of {ours.size} elements differ; {sums} and {other} events")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spiq", help="the command")
    parser.add_argument("--samples", type=int, default=8156)
    parser.add_argument("--events", type=int, default=8000)
    parser.add_argument("--channels", type=int, default=700)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--files", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.files:
        side = {"tonic": with_tonic, "numpy": with_numpy, "compare": compare}[arguments.spiq]
        return side(*arguments.files, arguments.channels)

    channels = str(arguments.channels)
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder) / name for name in ["made.h5", "spiq.safetensors", "theirs.npz"])
        make = [arguments.spiq, "data", "make", "--output", source, "--samples", str(arguments.samples), "--events", str(arguments.events)]
        print(f"made in %.1f s (%.1f s of CPU time), peak memory %.2f GB" % run(make), f"({source.stat().st_size / 1e6:.0f} MB)")
        convert = [arguments.spiq, "data", "convert", source, "--output", ours, "--bins", str(BINS), "--dt", str(DT)]
        sides = {"spiq": convert + ([] if arguments.channels == 700 else ["--channels", channels])}
        side = lambda name, files: [sys.executable, __file__, name, "--files", *files, "--channels", channels]
        sides |= {name: side(name, [source, theirs]) for name in ["numpy", "tonic"]}
        runs = {name: [] for name in sides}
        for turn in range(arguments.rounds):
            for name, command in sides.items():
                runs[name].append(run(command))
                if name != "spiq" and turn == 0:
                    print(f"spiq and {name}:", flush=True)
                    run(side("compare", [ours, theirs]), shown=True)
        best = {name: [min(column) for column in zip(*found)] for name, found in runs.items()}
        print(f"{arguments.samples} samples of {arguments.events} events, {BINS} bins of {DT} s, {channels} channels, {os.cpu_count()} cores, best of {arguments.rounds}")
        for name, (wall, cpu, memory) in best.items():
            ratios = f"{wall / best['spiq'][0]:.1f} and {cpu / best['spiq'][1]:.1f} times those of spiq"
            print(f"{name:6} {wall:6.1f} s  {cpu:6.1f} s of CPU time  {memory:.2f} GB peak  {ratios}", flush=True)


if __name__ == "__main__":
    main()
