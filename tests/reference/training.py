"""Reference values for training steps: snnTorch's losses, TET, optax's schedules and transformations.

    python3.11 -m venv venv
    venv/bin/pip install -r requirements.txt snntorch==1.0.0 torch
    venv/bin/python training.py

Writes training.safetensors beside this script.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import snntorch.functional as SF
import torch
from generate import Cases

WEIGHTS = [1.0, 2.0, 0.5, 1.5, 3.0]


def traces():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 4, 5)).astype(np.float32), np.asarray([3, 0, 4, 1], np.int32)


def snntorch_losses(cases):
    """snnTorch's losses of outputs [T, B, C]; class weights are a tensor."""
    x, labels = traces()
    table = (
        ("ce_rate_loss", {}),
        ("ce_count_loss", {}),
        ("ce_max_membrane_loss", {}),
        ("mse_count_loss", {}),
        ("mse_count_loss", {"correct_rate": 0.8, "incorrect_rate": 0.2}),
        ("mse_membrane_loss", {}),
        ("mse_membrane_loss", {"on_target": 2.0, "off_target": 0.5}),
    )
    number = 0
    for name, arguments in table:
        for weights in (None, WEIGHTS):
            # Its squared losses keep an axis that is missing from their weights.
            if weights and name.startswith("mse"):
                continue
            weight = None if weights is None else torch.tensor(weights)
            loss = getattr(SF, name)(**arguments, weight=weight)
            given = torch.tensor(x.tolist(), requires_grad=True)
            value = loss(given, torch.tensor(labels.tolist())).sum()
            value.backward()
            case = {"type": name} | arguments | ({"class_weights": weights} if weights else {})
            cases.add(f"loss/{number}", case, traces=x, targets=labels, value=value.item(), gradient=np.asarray(given.grad.tolist()))
            number += 1


def other_losses(cases):
    """Losses missing from snnTorch, in JAX, following the papers."""
    x, labels = traces()

    def entropy(scores, smoothing):
        targets = optax.smooth_labels(jax.nn.one_hot(labels, 5), smoothing)
        return optax.softmax_cross_entropy(scores, targets)

    def weighted(losses, weights):
        return losses.mean() if weights is None else (jnp.asarray(weights)[labels] * losses).mean()

    def tet(x, lambda_=1e-3, phi=1.0, smoothing=0.0):
        each = jnp.stack([entropy(step, smoothing) for step in x]).mean(0)
        return (1 - lambda_) * each + lambda_ * ((x - phi) ** 2).mean((0, 2))

    table = (
        ("ce_softmax_sum_loss", {}, lambda x, smoothing: entropy(jax.nn.softmax(x, -1).sum(0), smoothing)),
        ("ce_last_step_loss", {}, lambda x, smoothing: entropy(x[-1], smoothing)),
        ("ce_max_membrane_loss", {}, lambda x, smoothing: entropy(x.max(0), smoothing)),
        ("ce_rate_loss", {}, lambda x, smoothing: jnp.stack([entropy(step, smoothing) for step in x]).mean(0)),
        ("tet_loss", {}, lambda x, smoothing: tet(x, smoothing=smoothing)),
        ("tet_loss", {"lambda": 0.05, "phi": 0.5}, lambda x, smoothing: tet(x, 0.05, 0.5, smoothing)),
    )
    number = 0
    for name, arguments, losses in table:
        for smoothing, weights in ((0.0, None), (0.1, None), (0.2, WEIGHTS)):
            value, gradient = jax.value_and_grad(lambda x: weighted(losses(x, smoothing), weights))(jnp.asarray(x))
            case = {"type": name} | arguments | {"smoothing": smoothing} | ({"class_weights": weights} if weights else {})
            cases.add(f"other_loss/{number}", case, traces=x, targets=labels, value=value, gradient=gradient)
            number += 1


def schedules(cases):
    """Schedules by their command-line text, for 25 steps in epochs of 5, with a rate of 0.1."""
    table = (
        ("constant", optax.constant_schedule(0.1)),
        ("cosine(alpha = 0.1, exponent = 2)", optax.cosine_decay_schedule(0.1, 25, 0.1, 2.0)),
        ("warmup_constant(warmup = 0.2)", optax.warmup_constant_schedule(0.0, 0.1, 5)),
        ("warmup_constant(warmup = 4, init_value = 0.02)", optax.warmup_constant_schedule(0.02, 0.1, 4)),
        ("warmup_cosine(warmup = 0.2, end_value = 0.01)", optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, 25, 0.01)),
        ("cosine_onecycle", optax.cosine_onecycle_schedule(25, 0.1)),
        (
            "cosine_onecycle(pct_start = 0.5, div_factor = 10, final_div_factor = 100)",
            optax.cosine_onecycle_schedule(25, 0.1, 0.5, 10.0, 100.0),
        ),
        ("linear_onecycle", optax.linear_onecycle_schedule(25, 0.1)),
        (
            "linear_onecycle(pct_start = 0.2, pct_final = 0.6, div_factor = 5, final_div_factor = 10)",
            optax.linear_onecycle_schedule(25, 0.1, 0.2, 0.6, 5.0, 10.0),
        ),
        ("exponential", optax.exponential_decay(0.1, 25, 0.01)),
        (
            "exponential(decay_rate = 0.5, transition_steps = 4, staircase = true, end_value = 0.02)",
            optax.exponential_decay(0.1, 4, 0.5, 0, True, 0.02),
        ),
        ("exponential(decay_rate = 2, transition_steps = 6)", optax.exponential_decay(0.1, 6, 2.0)),
        ("piecewise(boundaries = [5, 0.6], scales = [0.5, 0.2])", optax.piecewise_constant_schedule(0.1, {5: 0.5, 15: 0.2})),
    )
    for number, (text, schedule) in enumerate(table):
        values = jnp.stack([jax.jit(schedule)(jnp.int32(step)) for step in range(28)])
        cases.add(f"schedule/{number}", {"text": text}, values=values)


def transformations(cases):
    """Optimizers by their command-line text, for parameters `core/layers/0/kernel` and `core/layers/1/beta`; 20 batches of given
    gradients and losses; the parameters after each, and their average if there is one."""
    batches = 20
    rng = np.random.default_rng(5)
    params = {"core/layers/0/kernel": rng.normal(size=(3, 4)), "core/layers/1/beta": rng.normal(size=4)}
    scales = 0.3 * np.exp(rng.normal(size=(batches, 1, 1)))
    grads = {
        "core/layers/0/kernel": scales * rng.normal(size=(batches, 3, 4)),
        "core/layers/1/beta": scales[:, 0] * rng.normal(size=(batches, 4)),
    }
    # Decreases, plateaus, decreases again.
    losses = np.concatenate([np.linspace(2.0, 1.0, 6), np.full(9, 1.0), np.linspace(0.9, 0.5, 5)])
    losses = jnp.asarray(losses, jnp.float32)
    params, grads = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, grads))
    cases.add(
        "given",
        {},
        losses=losses,
        **{f"params/{k}": v for k, v in params.items()},
        **{f"grads/{k}": v for k, v in grads.items()},
    )

    def beta(path):
        return "beta" if path.endswith("beta") else "rest"

    def groups(of_beta, rest):
        return optax.multi_transform({"beta": of_beta, "rest": rest}, {path: beta(path) for path in params})

    plateau = optax.contrib.reduce_on_plateau
    table = (
        ({"optimizer": "adamw(weight_decay = 0.1, b2 = 0.99)"}, optax.adamw(0.1, b2=0.99, weight_decay=0.1)),
        ({"optimizer": "sgd(momentum = 0.9, nesterov = true)"}, optax.sgd(0.1, 0.9, True)),
        ({"optimizer": "lion(b1 = 0.8, weight_decay = 0)"}, optax.lion(0.1, b1=0.8, weight_decay=0.0)),
        ({"optimizer": "adam", "clip": "1.0"}, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))),
        ({"optimizer": "sgd", "clip": "clip(max_delta = 0.2)"}, optax.chain(optax.clip(0.2), optax.sgd(0.1))),
        ({"optimizer": "adam", "accumulate": 3}, optax.MultiSteps(optax.adam(0.1), 3)),
        (
            {"optimizer": "sgd", "accumulate": 4, "schedule": "cosine"},
            optax.MultiSteps(optax.sgd(optax.cosine_decay_schedule(0.1, 5)), 4),
        ),
        (
            {"optimizer": "adamw(weight_decay = 0.1)", "groups": 'group(path = "beta", learning_rate = 0.01, weight_decay = 0)'},
            groups(optax.adamw(0.01, weight_decay=0.0), optax.adamw(0.1, weight_decay=0.1)),
        ),
        (
            {"optimizer": "sgd", "schedule": "plateau(factor = 0.5, patience = 2, accumulation_size = 2)"},
            optax.chain(optax.sgd(0.1), plateau(factor=0.5, patience=2, accumulation_size=2)),
        ),
        (
            {
                "optimizer": "sgd",
                "schedule": "plateau(factor = 0.2, patience = 1, rtol = 0.0, atol = 0.01, cooldown = 2, accumulation_size = 1, "
                "min_scale = 0.1)",
            },
            optax.chain(
                optax.sgd(0.1),
                plateau(factor=0.2, patience=1, rtol=0.0, atol=0.01, cooldown=2, accumulation_size=1, min_scale=0.1),
            ),
        ),
        ({"optimizer": "adam", "ema": 0.9}, optax.adam(0.1)),
        ({"optimizer": "adam", "ema": 0.5, "accumulate": 2}, optax.MultiSteps(optax.adam(0.1), 2)),
        ({"own": "ema(0.9)"}, optax.ema(0.9)),
        ({"own": "ema(0.9, debias=false)"}, optax.ema(0.9, debias=False)),
    )
    for number, (arguments, optimizer) in enumerate(table):
        optimizer = optax.with_extra_args_support(optimizer) if hasattr(optimizer, "_asdict") else optimizer
        average = optax.ema(arguments.get("ema", 0.0))
        every = arguments.get("accumulate", 1)
        state, now, averaged = optimizer.init(params), params, average.init(params)
        history, averages = [], []
        for batch in range(batches):
            given = {path: grad[batch] for path, grad in grads.items()}
            updates, state = optimizer.update(given, state, now, value=losses[batch])
            now = optax.apply_updates(now, updates)
            history.append(now)
            if "ema" in arguments and (batch + 1) % every == 0:
                mean, averaged = average.update(now, averaged)
                averages.append(mean)
        stacked = {f"params/{path}": jnp.stack([step[path] for step in history]) for path in params}
        if averages:
            stacked |= {f"average/{path}": jnp.stack([step[path] for step in averages]) for path in params}
        cases.add(f"transformation/{number}", arguments, **stacked)


def main():
    cases = Cases()
    snntorch_losses(cases)
    other_losses(cases)
    schedules(cases)
    transformations(cases)
    path = Path(__file__).with_name("training.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
