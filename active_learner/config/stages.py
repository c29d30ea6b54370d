"""The stages of a network that a configuration describes, and the evaluator section of each. Knows no network."""

from __future__ import annotations

from active_learner.config.schema import Config


def roles_here(config: Config) -> tuple[str, ...]:
    """Roles of trainer.stages that this configuration describes, input first; the others are described elsewhere."""
    section = config.evaluator
    return tuple(role for role in config.trainer.stages if role in section.stages or role == section.role)


def as_stage(config: Config, role: str) -> Config:
    """The same configuration with `evaluator` as it is for the stage `role`."""
    section = config.evaluator
    own = section.stages.get(role)
    changes = {} if own is None else {key: value for key, value in own if value is not None}
    return config.model_copy(update={"evaluator": section.model_copy(update={**changes, "role": role})})
