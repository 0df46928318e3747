"""The parent's side of a worker: starting it, asking it with a time limit, ending it."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.contender import ONE_THREAD, Contender

_ROOT = Path(__file__).resolve().parents[2]
"""What workers import `benchmarks` from, wherever the parent was started."""
_ENVIRONMENT = ("JAX_COMPILATION_CACHE_DIR", "JAX_DEBUG_KEY_REUSE", "JAX_ENABLE_X64")


class NotMeasured(Exception):
    """A contender could not be measured; the message says why in one line."""


class Worker:
    """One worker process; use it as a context, so that it ends."""

    def __init__(self, contender: Contender) -> None:
        """Starts the process."""
        self.contender = contender
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(contender.environment),
            text=True,
            encoding="utf-8",
        )
        # A thread, since reading a pipe with a time limit is not portable otherwise.
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def prepare(self, cores: list[int]) -> dict[str, Any]:
        """Sets the contender up; returns what that took and its facts.

        Args:
          cores: cores to pin it to meanwhile; empty for none.

        Raises:
          NotMeasured: it failed, took too long, or lacks a library.
        """
        return self._ask(
            do="prepare",
            factory=self.contender.factory,
            options=dict(self.contender.options),
            cores=cores,
        )

    def pin(self, cores: list[int]) -> None:
        """Moves all its threads to these cores.

        Raises:
          NotMeasured: it died.
        """
        self._ask(do="pin", cores=cores)

    def run(self, calls: int) -> dict[str, Any]:
        """Times ``calls`` calls in a row.

        Raises:
          NotMeasured: it failed or took too long.
        """
        return self._ask(do="run", calls=calls)

    def close(self) -> None:
        """Ends the process, by force if it does not end by itself, and waits for it."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        """Passes lines on; an empty one says that there will be no more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died; the answer says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        limit = self.contender.limit_s
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            self._process.kill()
            raise NotMeasured(f"took longer than {limit:g} s to {request['do']}") from None
        if not line:
            raise NotMeasured(self._death(request["do"]))
        answer = json.loads(line)
        if answer.get("missing"):
            raise NotMeasured(f"not installed: {answer['missing']}")
        if "error" in answer:
            raise NotMeasured(" ".join(answer["error"].split())[:300])
        return answer

    def _death(self, doing: str) -> str:
        """How the process ended and the last it said."""
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if line.strip()]
        last = f": {said[-1].strip()[:200]}" if said else ""
        return f"its process died while asked to {doing} ({how}){last}"


def environment(differing: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: this one, one thread everywhere, and what differs."""
    inherited = {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT}
    found = {**inherited, **ONE_THREAD, **differing}
    path = [str(_ROOT), *filter(None, [found.get("PYTHONPATH")])]
    return found | {"PYTHONPATH": os.pathsep.join(path)}
