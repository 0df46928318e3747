"""Statistics over runs and agents: means, one bootstrap, improvement, shares, sample needs.

Scores make a table ``[R, N]``: ``R`` training runs (seeds), each tested on the same ``N`` agents,
NaN where a run is missing. As `Agarwal et al. (2021) <https://arxiv.org/abs/2108.13264>`_ advise,
aggregate by the interquartile mean and give an interval. What `bootstrap_interval` draws anew says
what the interval is about:

    resample                what may have come out otherwise
    "runs"                  the training, with these agents: a run is drawn with all its agents
    "runs within agents"    the same, if values of two agents had no run in common
    "agents"                who is met, by these very runs
    "runs and agents"       both; for claims about training again and agents unseen

A run is one principal, however many agents it meets: where it moves the scores of all alike, "runs
within agents" gives too narrow an interval, and "runs" does not.
"""

from mermaide_jax.statistics.aggregates import (
    interquartile_mean,
    mean,
    probability_of_improvement,
)
from mermaide_jax.statistics.attainable import attainable_share
from mermaide_jax.statistics.bootstrap import Interval, Resample, bootstrap_interval
from mermaide_jax.statistics.curves import sample_need

__all__ = [
    "Interval",
    "Resample",
    "attainable_share",
    "bootstrap_interval",
    "interquartile_mean",
    "mean",
    "probability_of_improvement",
    "sample_need",
]
