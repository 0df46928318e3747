"""Contenders for the tests of the framework, run by real workers."""

import importlib
import itertools
import os
import time

from mermaide_jax.throughput.timing import Run


def constant(value=1.0, burn_s=0.0):
    """Takes ``burn_s`` of CPU time."""

    def run():
        end = time.process_time() + burn_s
        while time.process_time() < end:
            pass
        return value

    return run


def counts():
    """Returns how often it was called."""
    calls = itertools.count(1)
    return lambda: float(next(calls))


def with_facts():
    print("a library that talks on standard output")
    return Run(lambda: 2.0, compile_s=1.5, temp_bytes=7, core=sorted(os.sched_getaffinity(0)))


def sleeps(seconds):
    def run():
        time.sleep(seconds)
        return 0.0

    return run


def needs(library):
    importlib.import_module(library)
    return lambda: 0.0


def raises():
    def run():
        raise ValueError("no such\nluck")

    return run


def dies():
    def run():
        os.write(2, b"last words\n")
        os._exit(3)

    return run


def environment(name):
    return Run(lambda: 0.0, value=os.environ.get(name))
