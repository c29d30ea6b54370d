"""What can be configured of sources. Knows no file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from active_learner.config.section import MIB, Positive, Probability, Section, memory


class AnySource(Section):
    """What every source has."""

    memory_bytes: int | None = memory(2048 * MIB)


class DatasetSource(AnySource):
    kind: Literal["dataset"] = "dataset"
    path: str = Field(
        description="npz with X_train y_train X_test y_test, npy, or csv; a shipped name (digits) or a file"
    )
    batch: Positive = Field(64, description="candidates in a message")
    shuffle: bool = Field(True, description="propose in a seeded random order")
    limit: Positive | None = Field(None, description="propose only so many")


class EvolutionSource(AnySource):
    kind: Literal["evolution"] = "evolution"
    bits: Positive = Field(128, description="length of a genome")
    population: Annotated[int, Field(ge=2)] = Field(50, description="genomes in a generation")
    crossover_rate: Probability = Field(0.7, description="chance of a pair of parents to be crossed")
    mutation_rate: Probability = Field(0.02, description="chance of each bit to flip")
    tournament: Positive = Field(3, description="the fittest of so many drawn is a parent")
    elite: Annotated[int, Field(ge=0)] = Field(2, description="fittest that live on unchanged")
    immigrants: Probability = Field(0.1, description="share of fresh random genomes a generation")
    generations: Positive | None = Field(None, description="stop after so many; None: never")
    interval_s: Annotated[float, Field(ge=0.0)] = Field(0.2, description="rest between two generations")
    autostart: bool = Field(True, description="False: wait for start in the control room")


class JsonlSource(AnySource):
    kind: Literal["jsonl"] = "jsonl"
    path: str = Field(
        "-", description="a file, or - for standard input; one JSON array (or object with features) a line"
    )
    follow: bool = Field(False, description="wait for more lines at the end of the file")
    batch: Positive = Field(16, description="candidates in a message at most")


class CustomSource(AnySource):
    kind: Literal["custom"] = "custom"
    factory: str = Field(
        pattern=r"^[\w.]+:[\w.]+$", description="module:factory that returns an active_learner.sources.base.Source"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the factory")
    interval_s: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="rest between two batches; 0: up to 4 under way"
    )


class NoSource(Section):
    kind: Literal["none"] = "none"


SourceConfig = Annotated[
    DatasetSource | EvolutionSource | JsonlSource | CustomSource | NoSource, Field(discriminator="kind")
]
