"""Operations replaced by others: within `jax.jit` too, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.operations import replace_operations


def test_named_operations_are_replaced_and_the_rest_is_as_before():
    def function(pair, scale):
        total = jnp.sqrt(pair["x"]) * scale + np.float32(1)
        return {"root": jax.jit(lambda x: jnp.sqrt(x + 1))(pair["x"]), "total": (total, pair["y"])}

    pair = {"x": jnp.array([4.0, 9.0]), "y": jnp.arange(2)}
    same = replace_operations(function, {})(pair, 3.0)
    jax.tree.map(np.testing.assert_array_equal, same, function(pair, 3.0))
    other = jax.jit(replace_operations(function, {"sqrt": lambda x: 10 * x}))(pair, 3.0)
    np.testing.assert_array_equal(other["root"], [50, 100])
    np.testing.assert_array_equal(other["total"][0], [121, 271])
    np.testing.assert_array_equal(other["total"][1], [0, 1])


def test_sums_of_derivatives_are_plain_sums():
    tangent = replace_operations(
        lambda x, d: jax.jvp(lambda x: x * jnp.sin(x), (x,), (d,)), {"add_any": jnp.add}
    )
    program = jax.make_jaxpr(tangent)(2.0, 1.0)
    assert "add_any" not in str(program)
    np.testing.assert_allclose(tangent(2.0, 1.0)[1], np.sin(2) + 2 * np.cos(2), rtol=1e-6)
