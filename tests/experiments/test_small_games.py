"""What it is worth to see the agent's mind: values by brute force, their order, what is written."""

import itertools
import json
import sys

import expectimax
import jax
import numpy as np
import pandas as pd
import pytest
from expectimax import Rules, Spec
from experiment_scripts import load_experiment

from mermaide_jax import games
from mermaide_jax.errors import ConfigError

BOTH = (-1.0, 1.0)


@pytest.fixture
def module(monkeypatch):
    """The experiment."""
    return load_experiment("small_games", monkeypatch)


def specs_of(family, tasks, noise, seed):
    """The prior of the experiment, for brute force."""
    economics, coefficients = games.Economics(noise=noise), games.COEFFICIENTS[family]
    prior = games.finite_tasks(jax.random.key(seed), family, coefficients, tasks, 2, economics)
    means, targets = np.asarray(prior.mean_rewards, np.float64), np.asarray(prior.target)
    every = itertools.islice(itertools.cycle(coefficients), tasks)
    return [
        Spec(family, *expectimax.exactly(coefficient), tuple(mu), int(target), sigma=noise)
        for coefficient, mu, target in zip(every, means, targets, strict=True)
    ]


@pytest.mark.parametrize(("family", "noise"), [("ucb", 0.1), ("epsilon_greedy", 0.1), ("ucb", 0)])
def test_the_scores_are_those_of_brute_force(family, noise, module):
    found = module.solve(family, 2, noise, 4, 5, 0)
    specs, families = specs_of(family, 5, noise, 0), Rules(4, draws=BOTH if noise else (0.0,))
    every = expectimax.start(specs, [0.2] * 5)
    seen = [[p for p in every if p[1].target == target] for target in (0, 1)]
    assert found["belief"] == pytest.approx(
        sum(expectimax.belief(part, families) for part in seen if part), abs=1e-6
    )
    told = [expectimax.belief(expectimax.start([spec], [1.0]), families) for spec in specs]
    assert found["told"] == pytest.approx(np.mean(told), abs=1e-6)
    for name, brute in (
        ("all_knowing", expectimax.all_knowing),
        ("sees_draw", expectimax.clairvoyant),
    ):
        assert found[name] == pytest.approx(np.mean([brute(s, families) for s in specs]), abs=1e-6)
    schedules = list(itertools.product((0, 1), repeat=4))
    scores = {
        schedule: expectimax.follow(every, families, lambda history: schedule[len(history)])  # noqa: B023
        for schedule in schedules
    }
    firsts = [
        score for schedule, score in scores.items() if list(schedule) == sorted(schedule)[::-1]
    ]
    assert len(firsts) == 5
    best = max(*firsts, np.mean(list(scores.values())))  # at random: every schedule as likely
    assert found["script"] == pytest.approx(best, abs=1e-6)


def test_who_knows_more_earns_more_and_it_is_written(module, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["small_games.py", "there"])
    config = module.SmallGames(
        out, (2,), (5,), (5,), tasks=5, other_tasks=(10,), compared=2, seeds=2
    )
    module.main(config)
    capsys.readouterr()
    table = pd.read_csv(out / "small_games.csv")
    assert len(table) == 2 * 2 * (1 + 1) * 2  # families, noises, games, seeds
    for less, more in itertools.pairwise(("script", "belief", "told", "all_knowing", "sees_draw")):
        assert (table[less] <= table[more] + 2e-5).all(), (less, more)
    longest = table[table["horizon"] == 5]
    quiet, noisy = (longest[longest["noise"] == noise] for noise in (0, 0.1))
    np.testing.assert_allclose(quiet["told"], quiet["all_knowing"], rtol=0, atol=2e-5)
    assert (noisy["told"] < noisy["all_knowing"] - 1e-3).all()
    assert (longest["belief"] < longest["told"] - 1e-3).all()
    shares = pd.read_csv(out / "shares.csv")
    assert len(shares) == len(table) / 2
    row = shares[(shares["horizon"] == 5) & (shares["noise"] == 0.1)].iloc[0]
    of_row = noisy[noisy["family"] == row["family"]]
    gain = (of_row["belief"] - of_row["script"]).sum()
    most = (of_row["all_knowing"] - of_row["script"]).sum()
    assert row["belief_share"] == pytest.approx(gain / most, abs=1e-3)
    assert row["belief_least"] <= row["belief_share"] <= row["belief_greatest"] < 1
    about = json.loads((out / "about.json").read_text())
    assert about["command"] == "python small_games.py there" and about["config"]["seeds"] == 2
    assert (out / "small_games.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"--out: got"):
        module.main(config)
    with pytest.raises(ConfigError, match=r"--noisy-limits: got"):
        module.main(module.SmallGames(tmp_path / "new", (2, 3), noisy_limits=(4,)))
    assert not (tmp_path / "new").exists()


def test_where_nothing_is_to_be_had_there_is_no_share(module):
    table = pd.DataFrame({"script": [1.0, 1.0], "belief": [1.0, 1.5], "all_knowing": [1.0, 2.0]})
    nothing, something = (module._share(table[i : i + 1], "belief") for i in range(2))
    assert all(np.isnan(value) for value in nothing.values())
    assert set(something.values()) == {0.5}
    assert module._share(table, "belief")["belief_share"] == 0.5
