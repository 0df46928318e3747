"""How fast the library runs on this machine, and how to time what runs in JAX."""
