"""When a run ends by itself: the options of `serve` and `up`, and whether they can be met. Knows no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from active_learner.commands.options import Number

if TYPE_CHECKING:
    from active_learner.config.schema import Config


def goal_options(command: Any) -> Any:
    """--rounds, --labels, --until-accuracy."""
    command = click.option(
        "--until-accuracy",
        type=Number(0, 1),
        help="End when a round's accuracy on the held-out rows is at least that.",
    )(command)
    command = click.option("--labels", type=click.IntRange(1), help="End when the run has trained on so many labels.")(
        command
    )
    return click.option("--rounds", type=click.IntRange(1), help="End when the run has so many finished rounds.")(
        command
    )


def check_goals(config: Config, until_accuracy: float | None) -> None:
    """Raises: ConfigError when what needs an accuracy is asked for and there are no rows to measure it on."""
    from active_learner.config.sample import held_out
    from active_learner.errors import ConfigError

    asked = ["--until-accuracy"] if until_accuracy is not None else []
    asked += ["trainer.promotion: gated"] if config.trainer.promotion == "gated" else []
    if asked and held_out(config) is None:
        where = "set validation.path to an npz with X_test y_test, or a source whose npz has them"
        raise ConfigError([f"{what}: there are no held-out rows; {where}" for what in asked])
