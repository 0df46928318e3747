"""Numbers and columns as a terminal shows them."""

from collections.abc import Sequence

__all__ = ["aligned", "rate", "seconds"]


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """Joins rows of cells to columns of even width: first and last to the left, others right.

    Example:
      >>> print(aligned([("case", "a call", "unit"), ("simulate", "3", "ms")]))
        case      a call  unit
        simulate       3  ms
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = []
    for line in lines:
        first, *middle, last = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
        out.append("  " + "  ".join([*cells, last]).rstrip())
    return "\n".join(out)


def seconds(value: float | None) -> str:
    """Formats a duration to three digits, such as ``1.23 ms``; "" for None.

    Example:
      >>> seconds(0.00123), seconds(None)
      ('1.23 ms', '')
    """
    if value is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def rate(value: float) -> str:
    """Formats a number to three digits, such as ``1.23 M``.

    Example:
      >>> rate(1_234_567)
      '1.23 M'
    """
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g}"
