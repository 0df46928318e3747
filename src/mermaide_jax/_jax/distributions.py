"""The one module that imports distrax, whose import warns of JAX symbols it still uses."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from distrax import Categorical

__all__ = ["Categorical"]
