"""The measured networks, as lists of layers from which each side builds its own model.

A layer is a tuple of its kind and sizes: ("linear", inputs, outputs), ("conv", inputs, outputs, window), ("max_pool", window), ("flatten",),
("lif", shape), ("recurrent", neurons), ("li", neurons). No layer has a bias; images are [height, width, channels].
"""

from dataclasses import dataclass

# T, B, IN, H, C of Linear LIF Linear LIF Linear LI.
SHAPES = {
    "S": (16, 8, 32, 64, 10),
    "M": (128, 64, 128, 128, 20),
    "L": (96, 128, 700, 1024, 20),
    "X": (100, 256, 700, 512, 20),
}
DENSITY = 0.1


@dataclass(frozen=True)
class Network:
    times: int
    batch: int
    inputs: tuple
    classes: int
    layers: tuple

    @property
    def x(self):
        """The shape of the spikes."""
        return (self.times, self.batch, *self.inputs)

    def toml(self):
        """The model file of spiq."""
        return "\n".join(f"[[layers]]\n{TOML[kind](*sizes)}\n" for kind, *sizes in self.layers)


def dense(times, batch, inputs, hidden, classes, depth=2):
    """`depth` hidden layers."""
    sizes = [inputs, *[hidden] * depth]
    layers = [layer for before, after in zip(sizes, sizes[1:]) for layer in (("linear", before, after), ("lif", (after,)))]
    return Network(times, batch, (inputs,), classes, (*layers, ("linear", hidden, classes), ("li", classes)))


def convolutions():
    """The network for N-MNIST of Spyx's paper (its notebook research/paper/NMNIST_jax.ipynb), with a smaller batch."""
    layers = [("conv", 2, 12, 5), ("lif", (30, 30, 12)), ("max_pool", 2), ("conv", 12, 32, 5), ("lif", (11, 11, 32)), ("max_pool", 2),
              ("flatten",), ("linear", 800, 10), ("li", 10)]
    return Network(64, 16, (34, 34, 2), 10, tuple(layers))


def recurrent():
    layers = [("linear", 128, 128), ("recurrent", 128), ("linear", 128, 20), ("li", 20)]
    return Network(128, 64, (128,), 20, tuple(layers))


def named(text):
    """The network of a name, or of the sizes T,B,IN,H,C and optionally the number of hidden layers."""
    special = {"conv": convolutions, "recurrent": recurrent}
    if text in special:
        return special[text]()
    return dense(*(SHAPES.get(text) or map(int, text.split(","))))


NAMES = [*SHAPES, "conv", "recurrent"]
SURROGATE = 'activation = { type = "triangular" }'
TOML = {
    "linear": lambda a, b: f'type = "Linear"\nin_features = {a}\nout_features = {b}\nuse_bias = false',
    "conv": lambda a, b, size: f'type = "Conv"\nin_features = {a}\nout_features = {b}\nkernel_size = [{size}, {size}]\npadding = "VALID"\nuse_bias = false',
    "max_pool": lambda size: f'type = "MaxPool"\nwindow_shape = [{size}, {size}]\nstrides = [{size}, {size}]',
    "flatten": lambda: 'type = "Flatten"',
    "lif": lambda shape: f'type = "LIF"\nhidden_shape = {list(shape)}\n{SURROGATE}',
    "recurrent": lambda size: f'type = "LIF"\nhidden_shape = {size}\nrecurrent = true\n{SURROGATE}',
    "li": lambda size: f'type = "LI"\nlayer_shape = {size}',
}
