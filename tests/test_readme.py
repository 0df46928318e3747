"""The README's library example runs as it stands."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_library_example_runs_and_prints_one_score_for_each_k(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict = {}
    exec(compile(code, str(README), "exec"), namespace)
    printed = capsys.readouterr().out.strip().strip("[]").split()
    scores = np.array(printed, float)
    assert scores.shape == (6,)
    # Paying for a while beats never (k = 0) and always (k = T).
    assert scores.argmax() not in (0, 5)


def test_library_example_is_about_fifteen_lines():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
