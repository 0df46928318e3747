"""The examples of a family and of a principal that lie outside the package."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax import agents, games, registry
from mermaide_jax.cli import main
from mermaide_jax.report.summary import format_table, summarize
from mermaide_jax.results.results import read_results

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FILES = [EXAMPLES / name for name in ("softmax_agent.py", "budgeted_principal.py")]
# The least that can be played.
LEAST = {
    "--game.num-arms": "3",
    "--game.horizon": "4",
    "--agents.families": "softmax",
    "--agents.train": "3",
    "--agents.test": "2",
    "--evaluation.episodes": "2",
    "--principals": "never budgeted",
    "--seeds": "1",
}


@pytest.fixture
def guests(guest_registry):
    for file in FILES:
        guest_registry.load(str(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_a_page(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 40


def test_they_are_in_the_table_and_the_figures(tmp_path, capsys, guest_registry):
    options = [word for pair in LEAST.items() for word in " ".join(pair).split()]
    loads = [word for file in FILES for word in ("--load", str(file))]
    assert main([*loads, "reproduce", "--preset", "smoke", "--out", str(tmp_path), *options]) == 0
    printed = capsys.readouterr().out
    results = read_results(tmp_path)
    assert format_table(summarize(results.rows)) in printed
    assert main([*loads, "list"]) == 0
    assert "softmax" in capsys.readouterr().out
    assert "Softmax agents, 0-shot" in printed and "Budget, every other step" in printed
    assert {row["family"] for row in results.rows} == {"softmax"}
    assert {row["principal"] for row in results.rows} == {"never", "budgeted"}
    assert {row["coefficient"] for row in results.rows} == {0.05, 0.2}  # unseen ones
    assert (tmp_path / "score.png").stat().st_size > 1000


def test_those_that_are_loaded_join_the_families_and_principals_of_a_preset(
    monkeypatch, guest_registry
):
    from mermaide_jax.cli import actions

    seen = []
    monkeypatch.setattr(actions, "reproduce", lambda command, line: seen.append(command.study))
    loads = [word for file in FILES for word in ("--load", str(file))]
    assert main([*loads, "reproduce", "--preset", "smoke", "--out", "anywhere"]) == 0
    (study,) = seen
    assert study.agents.families == ("ucb", "epsilon_greedy", "softmax")
    assert study.principals[-1] == "budgeted" and "mermaide" in study.principals


def test_a_softmax_agent_follows_its_law(guests):
    agent = agents.make_agent("softmax", 3)
    state = agents.SampleMeans(jnp.ones(3), jnp.float32([0.1, 0.2, 0.4]))
    offer = jnp.zeros(3)  # which it does not see
    law = agent.probabilities(0.1, state, offer)
    expected = np.exp(state.means / 0.1)
    np.testing.assert_allclose(law, expected / expected.sum(), rtol=1e-5)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.bincount(jax.vmap(lambda key: agent.act(key, 0.1, state, offer))(keys), minlength=3)
    np.testing.assert_allclose(drawn / 4000, law, atol=0.03)


@pytest.mark.parametrize(("budget", "paid"), [(0, 0), (2, 2), (99, 4)])
def test_a_budget_is_kept(guests, budget, paid):
    agent = agents.make_agent("ucb", 3)
    game = games.make_intervention_game(agent, games.GameConfig(num_arms=3, horizon=8))
    tasks = games.finite_tasks(jax.random.key(0), "ucb", agent, (0.27,), 1, 3, games.Economics())
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    principal = registry.make("principal", "budgeted", game)
    played = games.rollout(jax.random.key(1), game, principal, float(budget), task)
    assert int((played.intervention > 0).sum()) == paid
    assert not np.any(played.intervention[1::2])
