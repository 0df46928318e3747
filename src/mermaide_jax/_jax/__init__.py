"""What JAX lacks: batching, caching, compiling, random numbers, C code and distributions."""
