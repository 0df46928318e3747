"""What adaptation does: a principal tested with the gradient step, with the memory, with both."""

from mermaide_jax import meta
from mermaide_jax.principals import LearnedPrincipal
from mermaide_jax.report.names import principal_label
from mermaide_jax.studies.kit import say
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained, build, evaluate_principal
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import TrainingConfig, make_adapt

__all__ = ["BOTH", "MEMORY", "STEP", "compare_ways", "ways_to_adapt"]

BOTH, STEP, MEMORY = "both", "gradient step alone", "memory alone"


def ways_to_adapt(training: TrainingConfig, learned: LearnedPrincipal) -> dict[str, meta.Adapt]:
    """Makes the ways in which a principal may adapt: those of the three that differ.

    Args:
      training: how it was trained.
      learned: the principal; without a memory there is the gradient step alone.

    Example:
      >>> config = registry.get("preset", "default").value
      >>> learned, own = build("mermaide", config, make_setting(config))
      >>> list(ways_to_adapt(own, learned))
      ['both', 'gradient step alone', 'memory alone']
    """
    forgetful = learned._replace(remember=lambda params, actions, interventions: params)
    step = {STEP: make_adapt(training, forgetful)}
    if not learned.config.memory:
        return step
    alone = make_adapt(training, learned, num_steps=0)
    return {BOTH: make_adapt(training, learned)} | step | {MEMORY: alone}


def compare_ways(name: str, config: StudyConfig, trained: Trained) -> dict[str, list[Record]]:
    """Tests one principal in every way to adapt, with the same draws.

    Args:
      name: a learned principal.
      config: the study.
      trained: the principal, trained.

    Returns:
      Rows of scores for each K, by way.
    """
    setting = make_setting(config)
    learned, training = build(name, config, setting)
    rows: dict[str, list[Record]] = {}
    for way, adapt in ways_to_adapt(training, learned).items():
        tests = evaluate_principal(name, config, setting, trained, adapt)
        rows[way] = [
            row
            for number, test in tests.items()
            for row in score_rows(name, config, setting, test.scores, number)
        ]
        say(f"{principal_label(name)}, {way}: tested")
    return rows
