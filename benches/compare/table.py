"""The results as Markdown."""

from networks import SHAPES

# Target speed-ups over Spyx fp32 (step, forward), Spyx int8 (forward) and the fastest mode of hand-written JAX (both). They were set on a
# machine with AMX.
TARGETS = {"S": (12, 10, 12, 2), "M": (5, 4, 4, 1.5), "L": (8, 10, 4, 3), "X": (6, 8, 4, 2), "conv": (3, 3, None, 1.2),
           "recurrent": (3, 3, None, 1.2)}
STEP, FORWARD = 0, 1
NOTE = """Milliseconds, training step / forward pass. Each speed-up is that of spiq's fastest mode, which is named after it, with the target
in parentheses."""


def table(rows):
    """A row per network, a column per side, then the speed-ups."""
    sides = list(dict.fromkeys(side for row in rows.values() for side in row))
    heads = [name for name, _, _, _ in SPEEDUPS if any(speedup(name, row) for row in rows.values())]
    lines = [["network", *sides, *heads]]
    lines.append(["---"] * len(lines[0]))
    for name, row in rows.items():
        cells = [shown(row.get(side)) for side in sides]
        called = f"{name} {','.join(map(str, SHAPES[name]))}" if name in SHAPES else name
        lines.append([called, *cells, *(with_target(speedup(head, row), name, head) for head in heads)])
    return NOTE + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(figures):
    return f"{figures[STEP]:.2f} / {figures[FORWARD]:.2f}" if figures else "–"


# Heading, the other sides, what is compared, and the place of the target.
SPEEDUPS = [
    ("step / Spyx fp32", "Spyx fp32", STEP, 0),
    ("forward / Spyx fp32", "Spyx fp32", FORWARD, 1),
    ("forward / Spyx int8", "Spyx + qwix int8", FORWARD, 2),
    ("step / fastest JAX", "JAX ", STEP, 3),
    ("forward / fastest JAX", "JAX ", FORWARD, 3),
]


def speedup(head, row):
    """(the ratio, spiq's fastest mode), or None if a side was not measured."""
    _, other, what, _ = next(one for one in SPEEDUPS if one[0] == head)
    theirs = [figures[what] for side, figures in row.items() if side.startswith(other)]
    ours = {side: figures[what] for side, figures in row.items() if side.startswith("spiq ")}
    if not theirs or not ours:
        return None
    fastest = min(ours, key=ours.get)
    return min(theirs) / ours[fastest], fastest.removeprefix("spiq ")


def with_target(found, name, head):
    if not found:
        return "–"
    place = next(one[3] for one in SPEEDUPS if one[0] == head)
    target = TARGETS.get(name, (None,) * 4)[place]
    return f"{found[0]:.2f}{f' ({target})' if target else ''}, {found[1]}"


def seconds_table(task, until, rows):
    lines = [f"| {task}, to {100 * until:g} % | seconds | epochs |", "|---|---|---|"]
    for side, seconds, epochs in rows:
        lines.append(f"| {side} | {f'{seconds:.1f}' if seconds else 'not reached'} | {epochs} |")
    return "\n".join(lines)
