"""A finished study of the tiniest size, trained once for all tests that read one."""

import shlex

import pytest

TINY = shlex.split(
    """--preset smoke --seeds 2 --game.horizon 4 --game.num-arms 3 --agents.families ucb
    --agents.train 3 --agents.test 2 --network.architecture mlp --network.features 3
    --training.updates 2 --training.world-model-updates 0 --training.tasks-per-update 2
    --training.meta-gradient first_order
    --training.episodes-per-task 2 --evaluation.episodes 2 --evaluation.all-knowing-rollouts 2
    --principals mermaide reinforce never all_knowing"""
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of the study."""
    from mermaide_jax.cli import main

    directory = tmp_path_factory.mktemp("study") / "out"
    assert main(["reproduce", *TINY, "--out", str(directory)]) == 0
    return directory
