"""Random programs as data: their JAX implementation (operations, control), how they are drawn (draw), the effect of rounding (noise)."""
