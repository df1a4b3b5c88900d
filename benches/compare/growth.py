"""A picture of how costs grow: a column for each size, a row for each cost, both axes logarithmic."""

import math

COSTS = ((1, "training step, ms"), (2, "forward pass, ms"), (0, "compile time, s"), (3, "peak memory, MB"))
SIDES = ((1, "spiq", "#1f77b4"), (2, "Spyx", "#d62728"))
WIDTH, HEIGHT, LEFT, TOP, GAP = 150, 110, 74, 44, 46


def picture(tables, where):
    """An SVG of tables: lists of (value, spiq's costs, Spyx's costs) by the name of the size. Missing costs are left out."""
    width, height = LEFT + len(tables) * (WIDTH + GAP), TOP + len(COSTS) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">costs as one size grows ({where}; fp32)</text>',
    ]
    for place, (_, name, colour) in enumerate(SIDES):
        x = LEFT + 330 + 70 * place
        parts.append(f'<path d="M{x} 14h18" stroke="{colour}" stroke-width="2"/><text x="{x + 24}" y="18">{name}</text>')
    for row, (cost, title) in enumerate(COSTS):
        top = TOP + row * (HEIGHT + GAP)
        middle = top + HEIGHT / 2
        parts.append(f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{title}</text>')
        range_of_row = extent([costs[cost] for table in tables.values() for _, *both in table for costs in both if costs])
        for column, (size, table) in enumerate(tables.items()):
            parts += panel(LEFT + column * (WIDTH + GAP), top, size, table, cost, range_of_row)
    return "\n".join([*parts, "</svg>", ""])


def extent(values):
    """Whole powers of ten around the values."""
    return 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values) * 1.001))


def panel(left, top, size, table, cost, heights):
    values = [value for value, *_ in table]
    x = lambda value: left + 8 + (WIDTH - 16) * math.log(value / values[0]) / math.log(values[-1] / values[0])
    y = lambda number: top + HEIGHT * (1 - math.log(number / heights[0]) / math.log(heights[1] / heights[0]))
    parts = [f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>']
    power = heights[0]
    while power <= heights[1] * 1.001:
        parts.append(f'<path d="M{left} {y(power):.1f}h{WIDTH}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{left - 4}" y="{y(power) + 4:.1f}" text-anchor="end">{power:g}</text>')
        power *= 10
    for value in values:
        parts.append(f'<text x="{x(value):.1f}" y="{top + HEIGHT + 13}" text-anchor="middle" font-size="9">{value}</text>')
    parts.append(f'<text x="{left + WIDTH / 2}" y="{top + HEIGHT + 27}" text-anchor="middle">{size}</text>')
    for side, _, colour in SIDES:
        points = [(x(row[0]), y(row[side][cost])) for row in table if row[side]]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{colour}"/>' for a, b in points]
    return parts
