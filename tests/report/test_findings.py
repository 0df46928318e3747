"""The blocks of findings are made of records that were measured."""

from mermaide_jax.report.findings import bandit_findings, share_lines
from mermaide_jax.results.results import Results


def test_blocks_are_nested_by_family_k_and_principal():
    about = {"family": "ucb", "k_shot": 1, "value": 0.75, "low": 0.5, "high": 1.0}
    improvements = [about | {"baseline": "reinforce"}, about | {"baseline": "other", "k_shot": 0}]
    measures = ("interventions", "pulls_per_payment")
    spread = {f"{name}{end}": 3.0 for name in measures for end in ("", "_low", "_high")}
    payments = [
        {"family": "ucb", "k_shot": 1, "principal": name} | spread for name in ("mermaide", "never")
    ]
    share = {"family": "ucb", "share": 0.4, "low": None, "high": None}
    attained = [
        share | {"principal": name, "k_shot": shots, "oracle": oracle}
        for name, shots, oracle in (
            *(("mermaide", 0, "all_knowing"), ("mermaide", 1, "prescient")),
            *(("mermaide", 1, "all_knowing"), ("reinforce", 1, "all_knowing")),
        )
    ]
    results = Results({}, {}, "", 0.0, "", [], [], [], "the command", attained)
    blocks = bandit_findings(results, improvements, payments)
    measure = {"value": 0.75, "low": 0.5, "high": 1.0, "command": "the command"}
    assert blocks["F2"] == {
        "ucb": {
            "1": {"reinforce": {"probability_of_improvement": measure}},
            "0": {"other": {"probability_of_improvement": measure}},
        }
    }
    # Scripts are no finding.
    assert list(blocks["F4"]["ucb"]["1"]) == ["mermaide"]
    assert blocks["F4"]["ucb"]["1"]["mermaide"]["pulls_per_payment"]["high"] == 3.0
    nothing = {"low": None, "high": None, "command": "the command"}
    assert blocks["attainable_share"] == {"ucb": {"value": 0.4} | nothing}
    assert share_lines(blocks) == ["share of the attainable, UCB: 0.40 [none, none]"]
