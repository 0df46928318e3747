"""The activation of networks as plain arithmetic, which XLA vectorises wherever it is fused.

XLA on CPUs computes ``tanh`` and ``exp`` eight or sixteen numbers at a time where they stand alone,
but one at a time where they are fused with a broadcast: there polynomials take a tenth of the time.
"""

import chex
import jax
import jax.numpy as jnp

_BOUND = 8.0
"""From here on tanh is 1 to float32 rounding."""

# tanh(x) = x P(x^2) / Q(x^2) to a relative 7e-9 on [0, 8], before rounding: iteratively reweighted
# least squares in float64. No coefficient is negative, so nothing cancels.
_NUMERATOR = (1.523053300085e-08, 2.189474299205e-05, 3.571602897557e-03, 1.344450207547e-01, 1.0)
_DENOMINATOR = (8.522493085168e-07, 3.411300016290e-04, 2.616446144795e-02, 4.677782939709e-01, 1.0)


@jax.custom_jvp
def tanh(x: jax.Array) -> jax.Array:
    """Computes the hyperbolic tangent: float32 within 6 units in the last place, else `jnp.tanh`.

    Derivatives of every order are those of ``d tanh = (1 - tanh^2) dx``.

    Example:
      >>> x = jnp.array([-1.0, 0.0, 9.0])
      >>> bool(jnp.allclose(tanh(x), jnp.tanh(x)))
      True
    """
    if x.dtype != jnp.float32:
        return jnp.tanh(x)
    x = jnp.clip(x, -_BOUND, _BOUND)
    square = jnp.square(x)
    return x * _polynomial(_NUMERATOR, square) / _polynomial(_DENOMINATOR, square)


@tanh.defjvp
def _tanh_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]):
    (x,), (tangent,) = primals, tangents
    y = tanh(x)
    return y, (1.0 - jnp.square(y)) * tangent


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """Horner's rule, highest power first."""
    total: chex.Numeric = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return jnp.asarray(total)
