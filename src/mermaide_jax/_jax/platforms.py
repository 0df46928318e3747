"""Whether JAX can compute at all on what it was told to use."""

import jax

from mermaide_jax.errors import refuse

_SETTING = "jax_platforms"  # what the variable sets


def check_platform() -> None:
    """Starts JAX's backend, and refuses a platform that this machine has not.

    Raises:
      ConfigError: naming ``JAX_PLATFORMS``, with what JAX says.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # which, hangs on the platform
        reason = f" ({error})" if str(error) else ""
        asked = getattr(jax.config, _SETTING)
        refuse("JAX_PLATFORMS", asked, f"platforms of this machine{reason}")
