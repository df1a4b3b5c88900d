"""Compares losses and outputs of a device with the CPU's, for each arithmetic of `spiq train`."""

import json
import math
import struct
from pathlib import Path

INT4 = '[[rules]]\nop_names = ["dot_general"]\nweight_qtype = "int4"\nact_qtype = "int8"\n'
FP8 = '[[rules]]\nop_names = ["dot_general"]\nweight_qtype = "float8_e4m3fn"\nact_qtype = "float8_e4m3fn"\n'

# The flags of each mode, and its rules if they differ from the recipe's int8.
MODES = {
    "fp32": (["--rules", "none"], None),
    "fp32 in full": (["--rules", "none", "--matmul-precision", "highest"], None),
    "int8": (["--grad-dtype", "f32"], None),
    "int8+bf16": (["--grad-dtype", "bf16"], None),
    "int8-qwix": (["--numerics", "qwix"], None),
    "int4": (["--grad-dtype", "f32"], INT4),
    "fp8": (["--grad-dtype", "f32"], FP8),
}
STEPS, SMALL_STEPS = 20, 2

# The flags of a mode that `spiq predict` does not find in the file.
PREDICTING = {"fp32 in full": ["--matmul-precision", "highest"]}

# Allowed distance in norm of the outputs from the CPU's. f32 products are tf32 on NVIDIA cards; sums of s8 and fp8 are exact.
BOUNDS = dict.fromkeys(MODES, 1e-5) | {"fp32": 0.2}


def modes(context):
    return ["fp32", "int8"] if context.small else list(MODES)


def train(context, mode, folder):
    flags, rules = MODES[mode]
    if rules:
        file = context.scratch / f"{mode}.toml"
        file.write_text(rules)
        flags = [*flags, "--rules", file]
    command = [context.spiq, "train", "--device", context.device, "--steps", SMALL_STEPS if context.small else STEPS, "--overwrite", "--out", folder,
               *flags]
    context.run(command, 120)


def predict(context, mode, trained, output):
    """Outputs for the parameters trained on the CPU, so that only the forward pass differs."""
    rules = trained / "rules.toml"
    flags = PREDICTING.get(mode, []) + (["--rules", rules] if rules.exists() else [])
    context.run([context.spiq, "predict", "--device", context.device, "--model", trained / "model.toml", "--params",
                 trained / "params.safetensors", "--data", trained.parent / "samples.safetensors", "--output", output, *flags], 120)


def write(context):
    """Writes the CPU's results of every mode into the reference folder."""
    folder = context.reference
    folder.mkdir(parents=True, exist_ok=True)
    write_samples(folder / "samples.safetensors")
    for mode in modes(context):
        train(context, mode, folder / mode)
        predict(context, mode, folder / mode, folder / mode / "outputs.safetensors")
        for left in ("checkpoint.safetensors", "training.svg"):
            (folder / mode / left).unlink(missing_ok=True)
        print(f"{mode}: loss {losses(folder / mode)[0]:.6f} to {losses(folder / mode)[-1]:.6f}", flush=True)


def compare(context, mode):
    """Distance of this device's losses and outputs from the CPU's."""
    reference = context.reference / mode
    here = context.scratch / f"parity-{mode}"
    train(context, mode, here)
    ours, theirs = losses(here), losses(reference)
    off = [abs(a - b) / abs(b) for a, b in zip(ours, theirs)]
    predict(context, mode, reference, here / "outputs.safetensors")
    got, want = outputs(here / "outputs.safetensors"), outputs(reference / "outputs.safetensors")
    distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(got, want)) / sum(b * b for b in want))
    return {"first loss off": off[0], "last loss off": off[-1], "first": ours[0], "last": ours[-1],
            "processor's last": theirs[-1], "outputs off": distance, "within bound": distance <= BOUNDS[mode],
            "outputs equal": sum(a == b for a, b in zip(got, want)) / len(want)}


def write_samples(file, count=128, side=8):
    """Images of random strokes, the same on every machine; their content does not matter for a comparison."""
    state, pixels = 1, bytearray()
    for _ in range(count * side * side):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        pixels.append((state >> 33) % 17)
    labels = struct.pack(f"<{count}i", *(index % 10 for index in range(count)))
    header = {"__metadata__": {"max": "16"},
              "images": {"dtype": "U8", "shape": [count, side * side], "data_offsets": [0, len(pixels)]},
              "labels": {"dtype": "I32", "shape": [count], "data_offsets": [len(pixels), len(pixels) + len(labels)]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + pixels + labels)


def losses(folder):
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def outputs(file):
    """The f32 array `outputs` of a safetensors file, as numbers."""
    data = Path(file).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    start, end = header["outputs"]["data_offsets"]
    return struct.unpack(f"<{(end - start) // 4}f", data[8 + length + start:8 + length + end])
