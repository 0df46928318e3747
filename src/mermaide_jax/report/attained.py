"""The share of the attainable of every principal of a study, against each oracle it played."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mermaide_jax import registry
from mermaide_jax.principals.members import names_of
from mermaide_jax.results.records import RUN, Record, checked_rows, grouped, score_tables
from mermaide_jax.statistics import attainable_share, interquartile_mean

__all__ = ["attained_records", "oracles", "scripts"]


def scripts() -> tuple[str, ...]:
    """Names the principals the best of which is worth a share of 0 (trait ``attained=0``).

    Example:
      >>> scripts()
      ('never', 'always', 'random', 'first_k')
    """
    return tuple(name for name in registry.names("principal") if _worth(name) == 0)


def oracles() -> tuple[str, ...]:
    """Names the upper references; the first is that of the tables (trait ``attained=1``).

    Example:
      >>> oracles()[0]
      'all_knowing'
    """
    return tuple(sorted(names_of("reference"), key=lambda name: _worth(name) != 1))


def _worth(name: str) -> int | None:
    return registry.get("principal", name).traits.get("attained")


def attained_records(
    rows: Iterable[Mapping[str, Any]],
    oracle: str | None = None,
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Record]:
    """Measures the share of the attainable of each principal in each group of rows.

    A share of 0 is the best of `scripts` in the group (by its interquartile mean), a share of 1 the
    oracle. Runs are paired by agent, seed and K; see `mermaide_jax.statistics.attainable_share`.

    Args:
      rows: as in `Results.rows`.
      oracle: the principal that is worth 1; None: the first of `oracles`.
      by: columns that make a group.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One record per group and principal: the columns `by`, principal, oracle, best_scripted, share,
      low and high; the last three None where the oracle is not above the best script. A group
      without the oracle or without any script has no records.

    Raises:
      ConfigError: if there is no row, a row lacks a column, a run is there twice, or an option is
        impossible.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> scores = {"never": 0.0, "mermaide": 3.0, "all_knowing": 4.0}
      >>> rows = [row | {"principal": name, "score": score} for name, score in scores.items()]
      >>> {line["principal"]: line["share"] for line in attained_records(rows)}
      {'never': 0.0, 'mermaide': 0.75, 'all_knowing': 1.0}
    """
    oracle = oracles()[0] if oracle is None else oracle
    found: list[Record] = []
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    for group, part in grouped(checked_rows(rows), by).items():
        scored = [row for row in part if row["score"] is not None]
        parts = {name: rows for (name,), rows in grouped(scored, ["principal"]).items()}
        played = [name for name in scripts() if name in parts]
        if oracle not in parts or not played:
            continue
        script = max(played, key=lambda name: _mean(parts[name]))
        for name, own in parts.items():
            line = dict(zip(by, group, strict=True)) | {"principal": name, "oracle": oracle}
            share = _share(own, parts[script], parts[oracle], options)
            found.append(line | {"best_scripted": script} | share)
    return found


def _mean(rows: list[Record]) -> float:
    return float(interquartile_mean([row["score"] for row in rows]))


def _share(
    own: list[Record], script: list[Record], oracle: list[Record], options: Mapping[str, Any]
) -> Record:
    """The share over the runs that all three have, None where it says nothing."""
    tables = score_tables([own, script, oracle], run=RUN)  # [3, R, N]
    met = np.asarray(~np.isnan(tables).any(axis=0))
    tables[:, ~met] = np.nan
    scores, base, top = tables.compress(met.any(axis=1), 1).compress(met.any(axis=0), 2)
    if not scores.size or not interquartile_mean(top) > interquartile_mean(base):
        return {"share": None, "low": None, "high": None}
    share, low, high = attainable_share(scores, base, top, **options)
    return {"share": share, "low": low, "high": high}
