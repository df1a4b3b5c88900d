#!/usr/bin/env python3
"""Time of a training step against the number of devices: `spiq bench --devices N`, the same batch on 1, 2 and 4 CPU devices.

    python3 benches/devices.py [--spiq FILE] [--picture docs/devices.svg] [--seconds 5]

CPU devices share the machine's cores, of which one device uses all; so more devices cannot be faster here, and the times show what dividing a
step costs.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path


SHAPES = {"M": "128,64,128,128,20", "L": "96,128,700,1024,20"}
MODES = ("fp32", "int8+bf16")
DEVICES = (1, 2, 4)


def main():
    arguments = parse()
    times = {}
    print(f"{os.cpu_count()} cores; milliseconds of a training step, median (quartiles)\n")
    print("| network | arithmetic | " + " | ".join(f"{count} device{'s' * (count > 1)}" for count in DEVICES) + " |")
    print("|---" * (2 + len(DEVICES)) + "|")
    for name, shape in SHAPES.items():
        rows = {count: measured(arguments, shape, count) for count in DEVICES}
        for mode in MODES:
            times[name, mode] = [rows[count][mode] for count in DEVICES]
            cells = [f"{middle:.2f} ({low:.2f}–{high:.2f})" for middle, low, high in times[name, mode]]
            print(f"| {name} | {mode} | " + " | ".join(cells) + " |", flush=True)
    if arguments.picture:
        arguments.picture.write_text(picture(times))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spiq", default="target/release/spiq", help="an already built command")
    parser.add_argument("--picture", type=Path, help="an SVG file to write")
    parser.add_argument("--seconds", default="5", help="least measuring time of a shape on one number of devices")
    return parser.parse_args()


def measured(arguments, shape, devices):
    """Median and quartiles of a step in each mode."""
    command = [arguments.spiq, "bench", "--shape", shape, "--modes", ",".join(MODES), "--devices", str(devices)]
    run = subprocess.run([*command, "--seconds", arguments.seconds, "--json"], check=True, capture_output=True, text=True)
    names = ("train_step_ms", "train_step_ms_low", "train_step_ms_high")
    return {row["mode"]: tuple(row[name] for name in names) for row in json.loads(run.stdout)["modes"]}


COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")
WIDTH, HEIGHT, LEFT, TOP, ROOM = 560, 300, 60, 30, 170


def picture(times):
    """Lines: the time of a step relative to one device, against the number of devices."""
    ratios = {key: [middle / rows[0][0] for middle, _, _ in rows] for key, rows in times.items()}
    top = max(1.25, max(max(values) for values in ratios.values()) * 1.1)
    right, bottom = WIDTH - ROOM, HEIGHT - 45
    x = lambda place: LEFT + place * (right - LEFT) / (len(DEVICES) - 1)
    y = lambda ratio: bottom - ratio / top * (bottom - TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">time of a training step, relative to one CPU device ({os.cpu_count()} cores)</text>',
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<path d="M{LEFT} {y(1):.1f}H{right}" stroke="#bbb" stroke-dasharray="4"/>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">devices</text>',
    ]
    for place, count in enumerate(DEVICES):
        parts.append(f'<text x="{x(place):.1f}" y="{bottom + 16}" text-anchor="middle">{count}</text>')
    step = 0.5 if top > 1.6 else 0.25
    for tick in range(int(top / step) + 1):
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick * step) + 4:.1f}" text-anchor="end">{tick * step:g}</text>')
    for (key, values), colour in zip(ratios.items(), COLOURS):
        line = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(values))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        row = list(ratios).index(key)
        parts.append(f'<path d="M{right + 14} {TOP + 10 + 20 * row}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{right + 38}" y="{TOP + 14 + 20 * row}">{key[0]}, {key[1]}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
