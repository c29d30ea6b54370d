"""Small networks to start from: melody (the tutorial's), melody_rating and digits. A factory returns any torch.nn.Module.

A network takes (batch, *sample shape) float32, whatever the dtype of the samples, and returns (batch, classes) logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """Multiplies by a constant: grey levels become 0 to 1."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, batch: Tensor) -> Tensor:
        return batch * self.factor


def melody(bits: int = 128, ratings: int = 6) -> nn.Module:
    """Genomes of bits, (batch, 128), to logits of the ratings 0 to 5: 128-256-64-16-6 with ReLU."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(bits, 256),
        nn.ReLU(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 16),
        nn.ReLU(),
        nn.Linear(16, ratings),
    )


class MelodyRating(nn.Module):
    """One number for a melody, linear in its notes: for each beat, each bar and the whole, how much sounds and how high.

    The logit of a rating falls with the square of its distance from that number, so 4 is nearly right when 5 was given,
    and every label teaches the whole scale.
    """

    ratings: Tensor

    def __init__(self, beats: int, ratings: int) -> None:
        super().__init__()
        self.beats = beats
        self.score = nn.Linear(2 * (beats + beats // 4 + 1), 1)
        nn.init.zeros_(self.score.weight)
        nn.init.constant_(self.score.bias, (ratings - 1) / 2)
        self.register_buffer("ratings", torch.arange(float(ratings)))

    def forward(self, batch: Tensor) -> Tensor:
        """(batch, 4 * beats) bits -> (batch, ratings) logits."""
        bits = batch.reshape(len(batch), self.beats, 4)
        sounds = 1 - bits[:, :, 3]
        height = sounds * (bits[:, :, 0] + 2 * bits[:, :, 1] + 4 * bits[:, :, 2]) / 7
        notes = torch.stack([sounds - 0.5, height - 0.25], dim=2)
        bars = notes.reshape(len(batch), self.beats // 4, 4, 2).mean(dim=2)
        seen = torch.cat([notes.flatten(1), 2 * bars.flatten(1), 4 * notes.mean(dim=1)], dim=1)
        away: Tensor = self.score(seen) - self.ratings
        return -away.square()


def melody_rating(bits: int = 128, ratings: int = 6) -> nn.Module:
    """Genomes of bits, (batch, 128), to logits of the ratings 0 to 5: few weights, for few labels."""
    return MelodyRating(bits // 4, ratings)


def digits(
    hidden: int = 128, dropout: float = 0.0, pixels: int = 64, classes: int = 10, scale: float = 1.0
) -> nn.Module:
    """Images of 8 x 8 pixels with values 0 to 1, (batch, 64) or (batch, 8, 8), to logits: 64-128-64-10 with ReLU.

    `scale`: what the pixels are multiplied with first; 1/16 for the 16 grey levels of the original. `dropout`: chance of each hidden number to be left out in training; seeded by step, so a replay drops the same.
    """
    layers = [*_hidden(pixels, hidden, dropout), *_hidden(hidden, 64, dropout)]
    return nn.Sequential(nn.Flatten(), Scaled(scale), *layers, nn.Linear(64, classes))


def digits_front(hidden: int = 128, dropout: float = 0.0, pixels: int = 64, scale: float = 1.0) -> nn.Module:
    """The first half of `digits`, a stage of a chain: (batch, 64) to (batch, hidden)."""
    return nn.Sequential(nn.Flatten(), Scaled(scale), *_hidden(pixels, hidden, dropout))


def digits_back(hidden: int = 128, dropout: float = 0.0, classes: int = 10) -> nn.Module:
    """The second half of `digits`: (batch, hidden) to logits."""
    return nn.Sequential(*_hidden(hidden, 64, dropout), nn.Linear(64, classes))


def _hidden(width: int, following: int, dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(width, following), nn.ReLU()]
    return [*layers, nn.Dropout(dropout)] if dropout > 0 else layers
