"""What the machine can do on one thread: the two limits of the roofline."""

from benchmarks.harness.contender import Case, Contender

COPY, PRODUCT = "memory copy", "matrix product"


def cases(quick: bool) -> list[Case]:
    """What the machine can do on one thread: multiply matrices, copy memory."""
    size, megabytes = 1024, 64 if quick else 512
    machine = "benchmarks.harness.machine:"
    product = Contender(PRODUCT, machine + "matrix_product", {"size": size}, work=2.0 * size**3)
    copy = Contender(
        COPY, machine + "memory_copy", {"megabytes": megabytes}, work=2.0 * megabytes * 2**20
    )
    return [
        Case("machine", "machine_product", "FLOP", (product,), {"size": size}),
        Case("machine", "machine_copy", "bytes", (copy,), {"megabytes": megabytes}),
    ]
