"""Scores on the pages are those of the records, worked out anew."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import scipy.stats

from mermaide_jax import registry

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
FAMILIES = {"UCB": "ucb", "Epsilon-greedy": "epsilon_greedy"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def lines_of(page: Path) -> list[list[str]]:
    """The cells of all lines of tables."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in x.strip("|").split("|")] for x in lines if x.startswith("|")]


def middle(name: str) -> Any:
    """Interquartile means of scores and means of interventions, by family, principal and K."""
    path = RESULTS / name / "results.parquet"
    if not path.exists():
        pytest.skip("records stay in the repository")
    rows: Any = pd.read_parquet(path).groupby(["family", "principal", "k_shot"])
    return rows.agg(
        score=("score", lambda scores: scipy.stats.trim_mean(scores, 0.25)),
        interventions=("interventions", "mean"),
        success_rate=("success_rate", "mean"),
    )


def labels() -> dict[str, str]:
    """Labels as pages have them, to names."""
    members = registry.members("principal")
    short = {member.label.partition(" (")[0]: member.name for member in members}
    ends = ("", ", reference", ", ref.")
    names = {label + end: name for label, name in short.items() for end in ends}
    return names | {member.label: member.name for member in members}


def number(cell: str) -> float:
    """The first number of a cell."""
    found = NUMBER.search(cell)
    assert found, cell
    return float(found[0])


def test_the_table_of_the_readme():
    found, names, seen = middle("quick"), labels(), 0
    for cells in lines_of(ROOT / "README.md"):
        if cells[0] in names:
            for family, cell in zip(("ucb", "epsilon_greedy"), cells[1::2], strict=True):
                score = found.loc[(family, names[cells[0]], 1), "score"]
                assert number(cell) == pytest.approx(score, abs=0.00501), cells
                seen += 1
    assert seen == 12


def test_the_scores_of_the_headline():
    found, names, seen = middle("bandits"), labels(), 0
    script = {f: found.loc[(f, "first_k", 0), "score"] for f in FAMILIES.values()}
    oracle = {f: found.loc[(f, "all_knowing", 0), "score"] for f in FAMILIES.values()}
    for cells in lines_of(RESULTS / "index.md"):
        if len(cells) == 9 and cells[0] in FAMILIES:
            family, shots = FAMILIES[cells[0]], 0 if cells[2] == "any" else int(cells[2])
            row = found.loc[(family, names[cells[1]], shots)]
            share = (row["score"] - script[family]) / (oracle[family] - script[family])
            assert number(cells[3]) == pytest.approx(row["score"], abs=0.00501), cells
            assert number(cells[4]) == pytest.approx(100 * share, abs=0.501), cells
            assert number(cells[5]) == pytest.approx(100 * row["success_rate"], abs=0.0501), cells
            assert number(cells[6]) == pytest.approx(row["interventions"], abs=0.0501), cells
            seen += 1
    assert seen == 30


@pytest.mark.parametrize(
    ("heading", "record", "shots"),
    [
        ("The scores by K", "bandits", (0, 1, 2, 5, 10)),
        ("## T = 50", "bandits_50", (0, 1, 2, 5, 10)),
        ("## T = 200", "bandits_200", (0, 1, 2, 5, 10)),
        ("### Credited with hits", "hits_200", (0, 1, 2, 5, 10)),
        ("## All coefficients", "same", (0, 1, 2, 5, 10)),
        ("## A hundred agents", "hundred", (0, 1, 5)),
    ],
)
def test_scores_by_episodes_to_adapt_on(heading, record, shots):
    page = RESULTS / ("index.md" if record == "bandits" else "protocols.md")
    text = page.read_text(encoding="utf-8")
    start = text.find("| Agents | Principal | K = 0 |", max(text.find(heading), 0))
    found, names, seen = middle(record), labels(), 0
    for line in text[start:].split("\n\n")[0].splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for k, cell in zip(shots, cells[2 : 2 + len(shots)], strict=True):
            if cell:
                score = found.loc[(FAMILIES[cells[0]], names[cells[1]], k), "score"]
                assert number(cell) == pytest.approx(score, abs=0.00501), cells
                seen += 1
    assert seen >= 4 * len(shots)
