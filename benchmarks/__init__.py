"""Benchmarks: the library against named peers, interleaved in one call, each in its own process."""
