"""Random programs as data: what they are in JAX (operations, control), how they are drawn (draw), how far rounding goes (noise)."""
