#!/usr/bin/env python3
"""Milliseconds of a training step and a forward pass of a network in snnTorch and Norse, in PyTorch on the CPU.

    python3 torch_networks.py --network NAME [--modes snntorch,norse]

Written as the users of each would: a loop over time steps in Python, with learned decays in snnTorch. PyTorch has no lion; the optimizer
is Adam. The neurons differ from Spyx's in details: Norse's reset to 0, and fire from the updated potential.
"""

import torch
import worker
from networks import DENSITY
from timing import in_turn

MODES = ("snntorch", "norse")
SYNAPSES = {
    "linear": lambda a, b: torch.nn.Linear(a, b, bias=False),
    "conv": lambda a, b, size: torch.nn.Conv2d(a, b, size, bias=False),
    "max_pool": torch.nn.MaxPool2d,
    "flatten": torch.nn.Flatten,
}


class SnnTorch(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        import snntorch
        from snntorch import surrogate

        leaky = lambda beta, **named: snntorch.Leaky(beta=torch.full((1,), beta), learn_beta=True, spike_grad=surrogate.triangular(), **named)
        make = SYNAPSES | {
            "lif": lambda shape: leaky(0.5),
            "recurrent": lambda size: snntorch.RLeaky(beta=0.5, linear_features=size, learn_beta=True, spike_grad=surrogate.triangular()),
            "li": lambda size: leaky(0.8, reset_mechanism="none"),
        }
        self.layers = torch.nn.ModuleList(make[kind](*sizes) for kind, *sizes in layers)

    def forward(self, x):
        states = [self.start(layer) for layer in self.layers]
        potentials = []
        for now in x:
            for place, layer in enumerate(self.layers):
                match states[place]:
                    case None:
                        now = layer(now)
                    case state:
                        now, *states[place] = layer(now, *state)
            potentials.append(states[-1][-1])
        return torch.stack(potentials)

    @staticmethod
    def start(layer):
        if hasattr(layer, "init_rleaky"):
            return list(layer.init_rleaky())
        return [layer.init_leaky()] if hasattr(layer, "init_leaky") else None


class Norse(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        import norse.torch as norse

        neurons = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), method="triangle", alpha=1.0)
        make = SYNAPSES | {
            "lif": lambda shape: norse.LIFBoxCell(neurons),
            "recurrent": lambda size: norse.LIFRecurrentCell(size, size, norse.LIFParameters(method="triangle", alpha=1.0)),
            "li": lambda size: norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=torch.tensor(200.0))),
        }
        self.model = norse.SequentialState(*(make[kind](*sizes) for kind, *sizes in layers))

    def forward(self, x):
        state, potentials = None, []
        for now in x:
            now, state = self.model(now, state)
            potentials.append(now)
        return torch.stack(potentials)


def measure(network, peer, arguments):
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = (torch.rand(network.x) < DENSITY).float()
    if len(network.inputs) == 3:
        x = x.permute(0, 1, 4, 2, 3).contiguous()
    labels = torch.randint(0, network.classes, (network.batch,))
    model = {"snntorch": SnnTorch, "norse": Norse}[peer](network.layers)
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss(label_smoothing=0.3)

    def step():
        optimizer.zero_grad()
        loss(model(x).sum(0), labels).backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            model(x)

    return in_turn([step, forward], arguments.seconds, arguments.runs)


if __name__ == "__main__":
    worker.run(__doc__, MODES, measure)
