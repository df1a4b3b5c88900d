"""Runs tonic 1.7 on events, for tests/transforms.rs: python transforms.py > transforms.toml

Two recordings: sample_nmnist.bin beside this file, and events drawn here. A case has the text of a transform, the shift of its events in
time, and the output: all columns for the drawn events, their number and a checksum for the real ones.
"""

import pathlib

import numpy as np
import tonic
from tonic import transforms as tt

SENSOR = (34, 34, 2)
FIELDS = [("x", int), ("y", int), ("t", int), ("p", int)]


def nmnist():
    raw = np.frombuffer((pathlib.Path(__file__).parent / "sample_nmnist.bin").read_bytes(), np.uint8).reshape(-1, 5).astype(int)
    events = np.zeros(len(raw), FIELDS)
    events["x"], events["y"], events["p"] = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    events["t"] = ((raw[:, 2] & 127) << 16) | (raw[:, 3] << 8) | raw[:, 4]
    return events


def drawn():
    r = np.random.default_rng(5)
    events = np.zeros(240, FIELDS)
    # Few pixels, so that neighbours interact; some simultaneous events.
    events["x"], events["y"] = r.integers(0, 34, 240) // 3 * 3 % 34, r.integers(10, 16, 240)
    events["x"][::7], events["y"][::7] = 33, 33
    events["t"], events["p"] = np.sort(r.integers(0, 3000, 240)) * 10, r.integers(0, 2, 240)
    return events


CASES = [
    ("Denoise(filter_time = 10000)", tt.Denoise(10000), 10000),
    ("Denoise(filter_time = 350.5)", tt.Denoise(350.5), 351),
    ("Decimation(n = 1)", tt.Decimation(1), 0),
    ("Decimation(n = 2)", tt.Decimation(2), 0),
    ("Decimation(n = 5)", tt.Decimation(5), 0),
    ("RefractoryPeriod(delta = 1000)", tt.RefractoryPeriod(1000), 1),
    ("RefractoryPeriod(delta = 0)", tt.RefractoryPeriod(0), 1),
    ("CropTime(min = 1000, max = 20000)", tt.CropTime(1000, 20000), 0),
    ("CropTime(min = 12340)", tt.CropTime(12340), 0),
    ("TimeAlignment", tt.TimeAlignment(), 777),
    ("TimeSkew(coefficient = 1.3, offset = 50.5)", tt.TimeSkew(1.3, 50.5), 0),
    ("TimeSkew(coefficient = 0.3, offset = -100)", tt.TimeSkew(0.3, -100), 0),
    ("Downsample(time_factor = 0.001)", tt.Downsample(time_factor=0.001), 0),
    ("Downsample(spatial_factor = 0.5)", tt.Downsample(spatial_factor=0.5), 0),
    ("Downsample(time_factor = 0.7, spatial_factor = [0.25, 0.3])", tt.Downsample(0.7, (0.25, 0.3)), 0),
    ("Downsample(target_size = [17, 12])", tt.Downsample(sensor_size=SENSOR, target_size=(17, 12)), 0),
    ("Downsample(spatial_factor = 2)", tt.Downsample(spatial_factor=2), 0),
    ("CenterCrop(size = 21)", tt.CenterCrop(SENSOR, 21), 0),
    ("CenterCrop(size = [20, 40])", tt.CenterCrop(SENSOR, (20, 40)), 0),
    ("CenterCrop(size = [39, 34])", tt.CenterCrop(SENSOR, (39, 34)), 0),
    ("RandomFlipLR(p = 1)", tt.RandomFlipLR(SENSOR, 1.0), 0),
    ("RandomFlipUD(p = 1)", tt.RandomFlipUD(SENSOR, 1.0), 0),
    ("RandomFlipPolarity(p = 1)", tt.RandomFlipPolarity(1.0), 0),
    ("RandomTimeReversal(p = 1)", tt.RandomTimeReversal(1.0), 0),
    ("RandomTimeReversal(p = 1, flip_polarities = false)", tt.RandomTimeReversal(1.0, False), 0),
    ("DropPixel(coordinates = [[33, 33], [3, 12], [40, 1]])", tt.DropPixel([[33, 33], [3, 12], [40, 1]]), 0),
    ("DropPixel(hot_pixel_frequency = 50)", tt.DropPixel(hot_pixel_frequency=50), 0),
    ("Decimation(n = 2), RandomFlipLR(p = 1), CropTime(max = 25000)",
     tt.Compose([tt.Decimation(2), tt.RandomFlipLR(SENSOR, 1.0), tt.CropTime(0, 25000)]), 0),
]

# Frames of ToFrame: text, arguments.
FRAMES = [
    ("ToFrame(n_time_bins = 7)", dict(n_time_bins=7)),
    ("ToFrame(n_event_bins = 7)", dict(n_event_bins=7)),
    ("ToFrame(time_window = 3000)", dict(time_window=3000)),
    ("ToFrame(time_window = 3000, overlap = 1000)", dict(time_window=3000, overlap=1000)),
    ("ToFrame(time_window = 3001, include_incomplete = true)", dict(time_window=3001, include_incomplete=True)),
    ("ToFrame(time_window = 4000, start_time = -5000, end_time = 40000)",
     dict(time_window=4000, start_time=-5000, end_time=40000)),
    ("ToFrame(event_count = 50)", dict(event_count=50)),
    ("ToFrame(event_count = 50, overlap = 20)", dict(event_count=50, overlap=20)),
    ("ToFrame(event_count = 50, include_incomplete = true)", dict(event_count=50, include_incomplete=True)),
    ("ToFrame(event_count = 100000)", dict(event_count=100000)),
]

MASK = (1 << 64) - 1


def checksum(columns):
    h = 0
    for column in columns:
        for value in column:
            h = (h * 1000003 + int(value) + 12345) & MASK
    return h


def columns(events):
    return [events[name] for name in ("t", "x", "y", "p")]


def row(numbers):
    return "[" + ", ".join(str(int(n)) for n in numbers) + "]"


def main():
    recordings = {"drawn": drawn(), "nmnist": nmnist()}
    print(f'# Made by transforms.py with tonic {tonic.__version__}.')
    print("[drawn]")
    for name, column in zip("txyp", columns(recordings["drawn"])):
        print(f"{name} = {row(column)}")
    for text, transform, later in CASES:
        print(f'\n[[case]]\ntransform = "{text}"\nlater = {later}')
        for name, events in recordings.items():
            events = events.copy()
            events["t"] += later
            after = transform(events)
            if hasattr(transform, "max") and text == "CropTime(min = 12340)":
                # It keeps the first recording's end for all later ones.
                transform.max = None
            print(f"{name}_count = {len(after)}")
            # TOML integers are signed 64-bit.
            print(f'{name}_checksum = "{checksum(columns(after))}"')
        print("after = [" + ", ".join(row(c) for c in columns(transform(shifted(recordings["drawn"], later)))) + "]")
        if text == "CropTime(min = 12340)":
            transform.max = None
    for text, arguments in FRAMES:
        print(f'\n[[frames]]\ntransform = "{text}"')
        for name, events in recordings.items():
            frames = tt.ToFrame(sensor_size=SENSOR, **arguments)(events.copy())
            # [T, P, H, W] to [T, H, W, P]
            frames = frames.transpose(0, 2, 3, 1)
            print(f"{name}_count = {len(frames)}")
            print(f"{name}_sums = {row(frames.sum(axis=(1, 2, 3)))}")
            print(f'{name}_checksums = [{", ".join(chr(34) + str(checksum([f.ravel()])) + chr(34) for f in frames)}]')


def shifted(events, later):
    events = events.copy()
    events["t"] += later
    return events


main()
