"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import statistics
import sys
import time
from collections import deque
from typing import Any

import numpy as np
from tqdm import tqdm

from mermaide_jax.training import Progress

_LINES = 10
"""Plain lines for each principal, when there is no terminal."""


class TrainingProgress:
    """Shows the training of one principal after the other; pass it as ``on_progress``."""

    def __init__(self, principals: list[str], updates: int, steps_per_update: int) -> None:
        self._principals, self._updates = principals, updates
        self._steps = steps_per_update
        self._bar: tqdm | None = None
        self._current = ""
        self._started = self._since = time.monotonic()
        self._rates: deque[float] = deque(maxlen=5)
        self._lines, self._compiled = 0, False

    def __enter__(self) -> "TrainingProgress":
        if self._principals and not sys.stderr.isatty():
            _say(f"training {', '.join(self._principals)}: {self._updates} updates each")
        elif self._principals:
            self._start(self._principals[0])
        return self

    def __exit__(self, *failure: Any) -> None:
        self._close()

    def __call__(self, principal: str, progress: Progress) -> None:
        """Shows the state after a chunk of updates."""
        if principal != self._current:
            self._start(principal)
        measures = self._measures(progress)
        if self._bar is not None:
            self._bar.set_postfix(measures, refresh=False)
            self._bar.update(progress.update - self._bar.n)
            if progress.update == self._updates:
                self._close()
                self._start_next()
            return
        line = progress.update * _LINES // self._updates
        if line > self._lines:
            self._lines = line
            text = ", ".join(f"{name} {value}" for name, value in measures.items())
            elapsed = time.monotonic() - self._started
            _say(f"{principal}: update {progress.update}/{self._updates}, {text}, {elapsed:.0f} s")

    def _measures(self, progress: Progress) -> dict[str, str]:
        """Means over streams of the latest update, and the median rate of the latest chunks.

        The first chunk compiles, so it has no rate; the median passes over a later one that does.
        """
        now = time.monotonic()
        if self._compiled:
            self._rates.append(progress.length * self._steps / max(now - self._since, 1e-9))
        self._compiled, self._since = True, now
        score = float(np.mean(np.asarray(progress.history.score)[:, -1]))
        paid = float(np.mean(np.asarray(progress.history.interventions)[:, -1]))
        measures = {"score": f"{score:.2f}", "paid/ep": f"{paid:.1f}"}
        if self._rates:
            measures["steps/s"] = f"{statistics.median(self._rates):,.0f}"
        return measures

    def _start(self, principal: str) -> None:
        """Begins with another principal."""
        self._close()
        self._current, self._lines, self._compiled = principal, 0, False
        self._rates.clear()
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._updates, desc=principal, unit="update", dynamic_ncols=True)

    def _start_next(self) -> None:
        """Begins with the principal after this one, so that its compilation shows."""
        following = self._principals[self._principals.index(self._current) + 1 :]
        if following:
            self._start(following[0])

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class EvaluationProgress:
    """Shows which principal is tested; pass it as ``on_principal``."""

    __test__ = False  # no test class of pytest's

    def __init__(self, principals: int) -> None:
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=principals, unit="principal", dynamic_ncols=True)
        self._begun = False

    def __enter__(self) -> "EvaluationProgress":
        return self

    def __exit__(self, *failure: Any) -> None:
        if self._bar is not None:
            self._bar.update(1 if failure[0] is None and self._begun else 0)
            self._bar.close()

    def __call__(self, principal: str) -> None:
        """Called before ``principal`` is tested."""
        if self._bar is None:
            _say(f"testing {principal}")
            return
        self._bar.update(1 if self._begun else 0)
        self._bar.set_description(f"testing {principal}")
        self._begun = True


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
