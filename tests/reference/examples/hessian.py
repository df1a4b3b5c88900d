"""Second derivatives: the Hessian, its product with a vector without the matrix, and the Jacobian of a vector."""
import jax
import jax.numpy as jnp


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def product(x, v):
    return jax.grad(lambda x: jax.grad(rosenbrock)(x) @ v)(x)


@jax.jit
def derivatives(x, v):
    return jax.hessian(rosenbrock)(x), product(x, v), jax.jacrev(jnp.cumprod)(x)


def run():
    return derivatives(jnp.array([0.5, -1.0, 1.5, 2.0]), jnp.array([1.0, 2.0, 0.0, -1.0]))


if __name__ == "__main__":
    print(run())
