"""The bootstrap against plain loops over the same draws, SciPy, closed forms and simulation."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from mermaide_jax.errors import ConfigError
from mermaide_jax.statistics import (
    Interval,
    bootstrap,
    bootstrap_interval,
    interquartile_mean,
    mean,
    probability_of_improvement,
)

MODES = ("runs", "runs within agents", "agents", "runs and agents")
MIDDLE = functools.partial(interquartile_mean, axis=(1, 2))
MEAN = functools.partial(mean, axis=(1, 2))
TABLES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 5), st.integers(2, 5)),
    elements=st.floats(-100, 100, allow_nan=False),
)


def table(runs=6, agents=4, seed=0):
    return np.random.default_rng(seed).normal(size=(runs, agents)) + np.arange(agents)


def looped(x, resample, resamples=300, seed=0):
    """Every resampled table of ``x``, cell by cell, by the same draws."""
    rng, (runs, agents) = np.random.default_rng(seed), x.shape
    draw = lambda n: rng.integers(0, n, (resamples, n))  # noqa: E731
    if resample == "runs within agents":
        met = [[r for r in range(runs) if not np.isnan(x[r, n])] for n in range(agents)]
        drawn = [draw(len(own)) for own in met]
    else:
        rows = draw(runs) if resample != "agents" else None
        columns = draw(agents) if resample != "runs" else None
    tables = []
    for b in range(resamples):
        made = np.full(x.shape, np.nan)
        for n in range(agents):
            if resample == "runs within agents":
                for place, pick in zip(met[n], drawn[n][b], strict=True):
                    made[place, n] = x[met[n][pick], n]
                continue
            for r in range(runs):
                row = r if rows is None else rows[b, r]
                made[r, n] = x[row, n if columns is None else columns[b, n]]
        tables.append(made)
    return np.array(tables)


def ends(values, confidence=0.95):
    return np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])


@pytest.mark.parametrize("resample", MODES)
@pytest.mark.parametrize("seed", [0, 7])
def test_is_a_plain_loop_over_the_same_draws(resample, seed):
    x = table()
    found = bootstrap_interval(MIDDLE, x, resample=resample, resamples=300, seed=seed)
    values = [np.sort(one, axis=None)[6:-6].mean() for one in looped(x, resample, seed=seed)]
    assert found.value == pytest.approx(np.sort(x, axis=None)[6:-6].mean())
    np.testing.assert_allclose(found[1:], ends(values), rtol=1e-12)


@pytest.mark.parametrize("resample", MODES)
def test_missing_runs_are_left_out(resample):
    x = table()
    x[1, 2] = x[5, 2] = x[3, 0] = np.nan
    found = bootstrap_interval(MIDDLE, x, resample=resample, resamples=300)
    values = []
    for one in looped(x, resample):
        there = np.sort(one[~np.isnan(one)])
        cut = len(there) // 4
        values.append(there[cut : len(there) - cut].mean())
    np.testing.assert_allclose(found[1:], ends(values), rtol=1e-12)
    if resample == "runs within agents":
        assert all(np.isnan(one).sum() == 3 for one in looped(x, resample))


def test_strata_are_those_of_scipy():
    x = table(runs=8, agents=3)
    found = bootstrap_interval(MIDDLE, x, resample="runs within agents", confidence=0.9, seed=3)
    pooled = lambda *parts, axis: stats.trim_mean(np.concatenate(parts, axis), 0.25, axis)  # noqa: E731
    scipy = stats.bootstrap(
        list(x.T),
        pooled,
        n_resamples=2000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    assert found[1:] == (scipy.confidence_interval.low, scipy.confidence_interval.high)


def test_several_tables_are_drawn_from_together():
    x, y = table(), table(seed=1)
    of_both = lambda x, y: MEAN(x) / MEAN(y)  # noqa: E731
    for resample in MODES:
        found = bootstrap_interval(of_both, x, y, resample=resample, resamples=300)
        pairs = zip(looped(x, resample), looped(y, resample), strict=True)
        np.testing.assert_allclose(found[1:], ends([a.mean() / b.mean() for a, b in pairs]))


@pytest.mark.parametrize("resample", ["runs", "runs within agents", "runs and agents"])
def test_independent_tables_have_runs_of_their_own_and_agents_in_common(resample):
    x, y = table(6, 4), table(9, 4, seed=1)
    improves = lambda x, y: probability_of_improvement(x, y, axis=1).mean(axis=1)  # noqa: E731
    options = {"resample": resample, "independent": True, "resamples": 300}
    found = bootstrap_interval(improves, x, y, **options)
    rng = np.random.default_rng(0)
    draw = lambda n: rng.integers(0, n, (300, n))  # noqa: E731
    within = resample == "runs within agents"
    of_x, of_y = ([draw(n) for _ in range(4 if within else 1)] for n in (6, 9))
    agents = draw(4) if resample == "runs and agents" else np.tile(np.arange(4), (300, 1))
    values = []
    for b in range(300):
        wins = []
        for n in agents[b]:
            first, second = (x[of_x[n * within][b], n], y[of_y[n * within][b], n])
            wins.append(np.mean(first[:, None] > second))
        values.append(np.mean(wins))
    np.testing.assert_allclose(found[1:], ends(values), rtol=1e-12)


def test_runs_need_no_axis_of_agents_and_keep_the_axes_of_the_statistic():
    curve, best = np.random.default_rng(0).random((7, 3)), np.random.default_rng(1).random(7)
    last = lambda curve, best: curve.mean(axis=1)[:, 2] / best.mean(axis=1)  # noqa: E731
    found = bootstrap_interval(last, curve, best, resample="runs", resamples=300)
    rows = np.random.default_rng(0).integers(0, 7, (300, 7))
    np.testing.assert_allclose(found[1:], ends([curve[r, 2].mean() / best[r].mean() for r in rows]))


def test_tables_of_any_size_are_resampled_in_parts(monkeypatch):
    x = table()
    whole = [bootstrap_interval(MIDDLE, x, resample=mode) for mode in MODES]
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    assert [bootstrap_interval(MIDDLE, x, resample=mode) for mode in MODES] == whole


@given(TABLES, st.randoms(use_true_random=False))
def test_the_estimate_knows_no_order_of_runs_and_agents(x, random):
    rows, columns = (random.sample(range(n), n) for n in x.shape)
    options = {"resample": "runs", "resamples": 2}
    found = bootstrap_interval(MIDDLE, x, **options)
    moved = bootstrap_interval(MIDDLE, x[rows][:, columns], **options)
    assert moved.value == pytest.approx(found.value, abs=1e-9)


@given(TABLES)
def test_of_one_agent_runs_are_runs_within_agents(x):
    one = x[:, :1]
    found = [
        bootstrap_interval(MIDDLE, one, resample=mode, resamples=50)
        for mode in ("runs", "runs within agents")
    ]
    assert found[0] == found[1]


@given(TABLES, st.floats(0.1, 10), st.floats(-10, 10), st.sampled_from(MODES))
def test_a_change_of_scale_moves_the_interval_along(x, factor, offset, resample):
    found = bootstrap_interval(MIDDLE, x, resample=resample, resamples=50)
    scaled = bootstrap_interval(MIDDLE, offset + factor * x, resample=resample, resamples=50)
    np.testing.assert_allclose(scaled, offset + factor * np.array(found), atol=1e-6)


@pytest.mark.parametrize("resample", MODES)
def test_a_constant_table_has_no_width(resample):
    assert bootstrap_interval(MIDDLE, np.full((3, 4), 2.5), resample=resample) == (2.5, 2.5, 2.5)


def test_what_is_held_fast_does_not_move():
    of_agents, of_runs = np.tile(np.arange(5.0), (4, 1)), np.tile(np.arange(4.0)[:, None], 5)
    width = lambda x, mode: np.ptp(bootstrap_interval(MEAN, x, resample=mode)[1:])  # noqa: E731
    assert width(of_agents, "runs") == width(of_agents, "runs within agents") == 0
    assert width(of_runs, "agents") == 0
    assert width(of_agents, "agents") > 1 and width(of_runs, "runs") > 1
    # Agents draw each their own run: what a run does to all of them alike averages out.
    assert width(of_runs, "runs within agents") < 0.7 * width(of_runs, "runs")


def test_single_units_have_no_interval():
    nan = [np.nan, np.nan]
    for shape, modes in {
        (1, 1): MODES,
        (1, 5): ("runs", "runs and agents"),
        (5, 1): ("agents", "runs and agents"),
    }.items():
        for resample in modes:
            found = bootstrap_interval(MIDDLE, table(*shape), resample=resample)
            assert np.isfinite(found.value)
            np.testing.assert_array_equal(found[1:], nan)
    alone = bootstrap_interval(
        lambda x, y: MEAN(x) - MEAN(y),
        table(1),
        table(5),
        resample="runs",
        independent=True,
    )
    np.testing.assert_array_equal(alone[1:], nan)


def test_an_agent_with_one_run_makes_one_sample_of_all():
    single = table(1, 12)
    found = bootstrap_interval(MIDDLE, single, resample="runs within agents")
    assert found == bootstrap_interval(MIDDLE, single, resample="agents")
    assert found == bootstrap_interval(MIDDLE, single.T, resample="runs")
    x = table(3, 2)
    x[1:, 0] = np.nan
    cells = x.T[~np.isnan(x.T)]
    found = bootstrap_interval(MEAN, x, resample="runs within agents", resamples=300)
    picks = np.random.default_rng(0).integers(0, 4, (300, 4))
    np.testing.assert_allclose(found[1:], ends(cells[picks].mean(axis=1)))


def test_infinite_values_bound_the_interval_and_no_value_means_none():
    x = np.arange(10.0)
    never = lambda x: np.where(x.mean(axis=1) < 1e9, np.inf, 0.0)  # noqa: E731
    assert bootstrap_interval(never, x, resample="runs") == (np.inf, np.inf, np.inf)
    seldom = lambda x: np.where(x.mean(axis=1) > 5.0, np.inf, x.mean(axis=1))  # noqa: E731
    value, low, high = bootstrap_interval(seldom, x, resample="runs")
    assert value == 4.5 and np.isfinite(low) and high == np.inf
    ratio = lambda x: (x.mean(axis=1) - 4.5) / (x.max(axis=1) - 9.0)  # noqa: E731  # 0 / 0
    assert np.isnan(bootstrap_interval(ratio, x, resample="runs")).all()
    lacks = lambda x: np.where(x.max(axis=1) < 9.0, np.nan, x.mean(axis=1))  # noqa: E731
    value, *interval = bootstrap_interval(lacks, x, resample="runs")
    assert value == 4.5 and np.isnan(interval).all()
    assert np.isnan(bootstrap_interval(MIDDLE, np.full((2, 3), np.nan), resample="runs")).all()
    empty = bootstrap_interval(MIDDLE, np.full((2, 3), np.nan), resample="runs within agents")
    assert np.isnan(empty).all()


def test_the_same_seed_gives_the_same_interval_and_another_another():
    first, again, other = (
        bootstrap_interval(MIDDLE, table(), resample="runs", seed=seed) for seed in (0, 0, 1)
    )
    assert isinstance(first, Interval) and first == again != other
    assert all(type(number) is float for number in first)


def test_width_of_a_mean_is_the_closed_form():
    x = table(50, 1, seed=5)
    found = bootstrap_interval(MEAN, x, resample="runs", resamples=20_000)
    half = stats.norm.ppf(0.975) * x.std() / np.sqrt(50)  # the variance of a draw is that of x
    np.testing.assert_allclose(found[1:], found.value + half * np.array([-1, 1]), atol=0.05 * half)
    wide = bootstrap_interval(MEAN, x, resample="runs", resamples=20_000, confidence=0.99)
    ratio = np.ptp(wide[1:]) / np.ptp(found[1:])
    assert ratio == pytest.approx(stats.norm.ppf(0.995) / stats.norm.ppf(0.975), rel=0.05)


def covered(resample, run, agent, noise, times=200):
    """How often the interval of the mean holds 0, with what runs, agents and both add to it."""
    rng, hits = np.random.default_rng(4), 0
    for _ in range(times):
        x = rng.normal(size=(20, 1)) * run + rng.normal(size=20) * agent
        x = x + rng.normal(size=(20, 20)) * noise
        low, high = bootstrap_interval(MEAN, x, resample=resample, resamples=300)[1:]
        hits += low <= 0.0 <= high
    return hits / times


@pytest.mark.parametrize(
    ("resample", "run", "agent", "at_least", "at_most"),
    [
        ("runs", 1.0, 0.0, 0.88, 0.99),
        ("agents", 0.0, 1.0, 0.88, 0.99),
        ("runs within agents", 0.0, 0.0, 0.88, 0.99),
        ("runs and agents", 1.0, 1.0, 0.88, 0.99),
        # What was not drawn is not in the interval, which is why the factors have to be named.
        ("runs within agents", 1.0, 0.0, 0.0, 0.6),
        ("runs", 1.0, 1.0, 0.0, 0.85),
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(resample, run, agent, at_least, at_most):
    assert at_least <= covered(resample, run, agent, noise=1.0) <= at_most


X = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("tables", "options", "line"),
    [
        ([], {}, r"tables: got \[\], expected at least one table"),
        ([[]], {}, r"tables: got \(0,\), expected a table \[R\] of at least one value"),
        ([[1.0]], {"resample": "agents"}, r"tables: got \(1,\), expected a table \[R, N\]"),
        ([[[1.0, np.inf]]], {}, "tables: got inf, expected finite numbers, or NaN for a missing"),
        ([X], {"resample": "run"}, "resample: got 'run', expected one of runs, .*'runs'"),
        ([X], {"confidence": 1.0}, "confidence: got 1.0, expected a number strictly between"),
        ([X], {"resamples": 1}, "resamples: got 1, expected an integer >= 2"),
        ([X, X[:1]], {}, r"tables: got \(\(2, 2\), \(1, 2\)\), expected as many runs and agents"),
        (
            [X, [[1.0], [2.0]]],
            {"resample": "runs and agents", "independent": True},
            r"tables: got \(\(2, 2\), \(2, 1\)\), expected as many agents in each",
        ),
        (
            [X, [[1.0, np.nan], [3.0, 4.0]]],
            {"resample": "agents"},
            "tables: got 'different missing runs', expected the same in all that are paired",
        ),
        ([X], {"resample": "agents", "independent": True}, "independent: got True, expected False"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(tables, options, line):
    with pytest.raises(ConfigError, match=f"^{line}") as error:
        bootstrap_interval(lambda *x: MEAN(x[0]), *tables, **({"resample": "runs"} | options))
    assert "\n" not in str(error.value)


def test_a_statistic_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match=r"^statistic: got \(\), expected the shape \(1,\)"):
        bootstrap_interval(np.mean, X, resample="runs")
