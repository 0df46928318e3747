"""The example of docs/explanation/oracles.md runs as it stands."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "oracles.md"


def test_the_example_prints_values_in_their_order(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    values, intervention, played = capsys.readouterr().out.splitlines()
    belief, known = map(float, values.split())
    assert 0 < belief < known
    assert intervention in "01"
    assert 0 < float(played) < known
