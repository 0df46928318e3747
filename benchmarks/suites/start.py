"""From the command to its first result: a whole run in a new process."""

from benchmarks.harness.contender import Case, Contender

COLD, WARM = "no compile cache", "warm compile cache"

_BARELY = (
    "--seeds 1 --game.num-arms 3 --agents.families ucb --agents.train 3 --agents.test 2"
    " --network.architecture mlp --training.world-model-updates 0 --training.updates 2"
    " --evaluation.shots 0 --principals reinforce"
)
"""The smoke preset cut down to a third of its compilation."""


def cases(quick: bool) -> list[Case]:
    """The whole smoke run in a new process, with a warm compilation cache and without one."""
    arguments = ["reproduce", "--preset", "smoke"]
    if quick:
        arguments += _BARELY.split()
    return [
        Case(
            suite="start",
            name="start_smoke",
            unit="runs",
            contenders=tuple(
                Contender(
                    name,
                    "benchmarks.workloads.setups:command_line",
                    {"arguments": arguments, "warm_cache": warm},
                    cores=2,
                    fewer_cores=True,
                    limit_s=900,
                )
                for name, warm in ((COLD, False), (WARM, True))
            ),
            sizes={"arguments": " ".join(arguments)},
            clock="wall",
            agree_within=0.0,
            repeats=1 if quick else 3,
            call_once=True,
        )
    ]
