"""Figure: one episode as a strip, to see when the principal pays and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mermaide_jax.report.names import coefficient_label, family_label, principal_label
from mermaide_jax.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    SKY,
    WASH,
    new_figure,
    quiet_grid,
    styled,
)
from mermaide_jax.results.schema import EPISODE_KEYS, check_records, to_plain


def episode_figure(episode: Mapping[str, Any]) -> Figure:
    """Draws one episode: what the agent did, what the principal believed and paid, what it moved.

    Top: the arm pulled at each step, arms sorted by mean reward. Middle: the predicted probability
    that the agent is about to pull the target and the probability of intervening, with the
    interventions as ticks. Bottom: the agent's estimates; where the target leads, the agent pulls
    it of its own accord.

    Args:
      episode: a record as in `Results.episodes`.

    Returns:
      The figure.

    Raises:
      ConfigError: if the record lacks a key.
    """
    episode = to_plain(episode)
    check_records("episode", [episode], EPISODE_KEYS)
    steps = np.arange(1, len(episode["action"]) + 1)
    arms = len(episode["mean_rewards"])
    with styled():
        figure = new_figure(max(9.5, min(16, 5 + 0.09 * len(steps))), 0.24 * arms + 5.6)
        top, middle, bottom = figure.subplots(
            3, 1, sharex=True, height_ratios=(0.24 * arms, 1.6, 2.1)
        )
        _actions(top, episode, steps)
        _beliefs(middle, episode, steps)
        _estimates(bottom, episode, steps)
        bottom.set_xlabel("step")
        bottom.set_xlim(0.3, len(steps) + 0.7)
        figure.suptitle(_title(episode), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _title(episode: Mapping[str, Any]) -> str:
    """Who played whom, and how it ended."""
    action, paid = np.asarray(episode["action"]), np.asarray(episode["intervention"]) != 0
    pulls = int(np.sum(action == episode["target"]))
    family = episode["family"]
    strength = coefficient_label(family, episode["coefficient"])
    agent = f"{family_label(family)}{f', {strength}' if strength else ''}"
    name = principal_label(episode["principal"]).partition(" (")[0]
    score = "" if episode["score"] is None else f", score {episode['score']:.1f}"
    return (
        f"{name}, {episode['k_shot']}-shot, steers a new agent ({agent})\n"
        f"T = {len(action)} steps: {pulls} on the target, {int(paid.sum())} paid{score}"
        f" (seed {episode['seed']}, agent {episode['agent']})"
    )


def _actions(axes: Axes, episode: Mapping[str, Any], steps: np.ndarray) -> None:
    """The arm pulled at each step; on the row of the target, what was paid for."""
    means, target = np.asarray(episode["mean_rewards"], dtype=float), episode["target"]
    order = np.argsort(-means, kind="stable")
    rank = np.argsort(order, kind="stable")
    row, home = rank[np.asarray(episode["action"])], rank[target]
    paid = np.asarray(episode["intervention"], dtype=float) != 0
    hit = row == home
    axes.axhspan(float(home) - 0.5, float(home) + 0.5, color=WASH, linewidth=0)
    width = axes.get_figure(root=True).get_size_inches()[0]  # pyright: ignore
    size = min(44.0, (0.6 * width * 72 / len(steps)) ** 2)  # cells do not overlap

    def squares(mask: np.ndarray, rows: Any, face: str, edge: str, label: str = "") -> None:
        y = np.broadcast_to(rows, steps.shape)[mask]
        axes.scatter(
            steps[mask], y, s=size, marker="s", facecolor=face, edgecolor=edge, linewidth=1.3,
            label=f"{label} ({int(mask.sum())})" if label else None,
        )  # fmt: skip

    squares(paid & hit, home, BLUE, BLUE, "paid and taken")
    squares(~paid & hit, home, "white", BLUE, "taken without pay")
    squares(paid & ~hit, home, "white", ORANGE, "paid, not taken")
    squares(paid & ~hit, row, ORANGE, ORANGE)
    squares(~paid & ~hit, row, PALE, PALE, "another arm, unpaid")
    labels = [f"{means[arm]:.2f}" for arm in order]
    labels[home] = f"target a*  {means[target]:.2f}"
    axes.set_yticks(range(len(order)), labels)
    axes.get_yticklabels()[home].set_fontweight("bold")
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_ylabel("arm pulled\n(by mean reward)")
    axes.tick_params(length=0)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, handletextpad=0.1,
        columnspacing=1.4, borderpad=0.2, fontsize=9,
    )  # fmt: skip


def _beliefs(axes: Axes, episode: Mapping[str, Any], steps: np.ndarray) -> None:
    """What the principal predicted and how likely it was to pay; ticks where it did."""
    paid = np.asarray(episode["intervention"], dtype=float) != 0
    hit = np.asarray(episode["action"]) == episode["target"]
    curves = (
        ("predicted_target_probability", "that the agent pulls a* (world model)", GREEN, "-"),
        ("policy_probability", "that the principal pays (policy)", INK, "-"),
    )
    for key, label, color, line in curves:
        if episode[key] is not None:
            values = np.asarray(episode[key], dtype=float)
            axes.plot(steps, values, line, color=color, linewidth=1.6, label=label)
        elif key == "predicted_target_probability":
            note = "this principal has no world model"
            axes.text(
                0.99, 1.02, note, transform=axes.transAxes, color=GREY, fontsize=9, ha="right"
            )
    for mask, color in ((paid & hit, BLUE), (paid & ~hit, ORANGE)):
        axes.vlines(steps[mask], -0.17, -0.05, color=color, linewidth=2.2)
    axes.set_ylim(-0.2, 1.04)
    axes.set_yticks([-0.11, 0, 0.5, 1], ["paid", "0", "0.5", "1"])
    axes.set_ylabel("probability")
    quiet_grid(axes, "y")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderpad=0.2, fontsize=9,
            labelcolor="linecolor",
        )  # fmt: skip


def _estimates(axes: Axes, episode: Mapping[str, Any], steps: np.ndarray) -> None:
    """The agent's sample means before each pull; shaded where the target leads."""
    if episode["agent_estimates"] is None:
        axes.text(0.5, 0.5, "the agent keeps no estimates", transform=axes.transAxes, color=GREY)
        return
    estimates = _tried(episode)
    target = episode["target"]
    others = np.delete(estimates, target, axis=1)
    best = np.max(np.where(np.isnan(others), -np.inf, others), axis=1)
    best = np.where(np.isfinite(best), best, np.nan)
    own = estimates[:, target]
    axes.plot(steps, others, color=PALE, linewidth=0.9)
    axes.plot(steps, best, color=INK, linewidth=1.6)
    axes.plot(steps, own, color=BLUE, linewidth=2.6)
    axes.fill_between(steps, best, own, where=own > best, color=SKY, alpha=0.35, linewidth=0)
    axes.set_ylabel("agent's estimate\n(mean reward so far)")
    quiet_grid(axes, "y")
    entries = (
        ("target a*", BLUE, 0.0),
        ("best other arm", INK, 0.13),
        ("other arms", GREY, 0.30),
        ("shaded: a* leads", BLUE, 0.43),
    )
    for text, color, x in entries:
        weight = "bold" if x == 0 else "normal"
        axes.text(
            x, 1.03, text, transform=axes.transAxes, color=color, fontsize=9, fontweight=weight
        )


def _tried(episode: Mapping[str, Any]) -> np.ndarray:
    """The estimates [T, A], NaN for an arm not pulled yet: its start value is no estimate."""
    estimates = np.asarray(episode["agent_estimates"], dtype=float)
    action = np.asarray(episode["action"])
    pulled = action[:, None] == np.arange(estimates.shape[1])
    before = np.cumsum(pulled, axis=0) - pulled
    return np.where(before > 0, estimates, np.nan)
