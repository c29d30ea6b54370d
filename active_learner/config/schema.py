"""What can be configured, with defaults and reasons. Knows no file; the README's reference is generated from here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, model_validator
from pydantic.json_schema import JsonSchemaValue

from active_learner.config.section import DTYPES, MIB, Name, Positive, Probability, Seconds, Section, memory
from active_learner.config.sources import CustomSource as CustomSource
from active_learner.config.sources import DatasetSource as DatasetSource
from active_learner.config.sources import EvolutionSource as EvolutionSource
from active_learner.config.sources import JsonlSource as JsonlSource
from active_learner.config.sources import NoSource, SourceConfig


class BrokerConfig(Section):
    address: str = Field(
        "tcp://127.0.0.1:5570",
        pattern=r"^tcp://[^:/]+:\d{1,5}$",
        description="where the broker binds and peers connect",
    )
    max_message_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024 * 1024,
        description="a larger message is refused; below 1 MiB status reports would not fit, above 64 MiB no peer takes them",
    )
    queue_messages: Positive = Field(10_000, description="messages kept for a member that does not read")
    queue_bytes: Positive = Field(
        64 * 1024 * 1024, description="bytes kept for a member that does not read; then it is evicted"
    )
    connect_timeout_s: Seconds = Field(30.0, description="who starts waits for the broker that long, then ends with 4")
    keys: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto: whoever comes from another machine needs a key, 127.0.0.1 and localhost need none; on: all do; "
        "off: only for those two",
    )
    key_folder: str | None = Field(
        None, description="keys of the broker and its peers; None: keys in the working directory"
    )
    key: str | None = Field(
        None, description="file of the key of the process that is started; None: ROLE.key in key_folder"
    )
    max_sessions: Positive = Field(256, description="peers at once")
    max_rooms: Positive = Field(1024, description="rooms at once")
    memory_bytes: int | None = memory(768 * MIB, "its start and four full queues")
    rate_messages: Positive = Field(
        30_000, description="messages a second that one peer may say, twice as many at once; what is above is dropped"
    )
    rate_bytes: Positive = Field(
        512 * 1024 * 1024, description="bytes a second that one peer may say, twice as many at once"
    )


class RoomsConfig(Section):
    evolution: Name = Field("evolution", description="candidates and their scores")
    traininput: Name = Field("traininput", description="batches, and the trainer's orders to the evaluator")
    trainoutput: Name = Field("trainoutput", description="predictions and gradients")
    user: Name = Field("user", description="questions")
    control: Name = Field("control", description="start and stop, status, log")


class SampleConfig(Section):
    shape: tuple[Positive, ...] | None = Field(
        None, description="shape of one sample; None: as in the data set, or the genome of the source"
    )
    dtype: DTYPES | None = Field(
        None, description="dtype of one sample; None: as in the data set, or uint8 for genomes"
    )
    classes: Positive | None = Field(None, description="labels are 0 .. classes-1; None: as in the data set")
    media: str = Field("table", description="how a person sees it: melody, image, text, table")
    class_names: tuple[str, ...] = Field((), description="shown instead of numbers")


class TrainerConfig(Section):
    pool_size: Positive = Field(200, description="ask when the pool holds that many samples")
    pool_capacity: Positive | None = Field(
        None, description="beyond it the least uncertain sample is evicted; None: ten times pool_size"
    )
    query_size: Positive = Field(5, description="samples asked at once (the acquisition batch) with round_when: batch")
    initial_labels: Annotated[int, Field(ge=0)] = Field(
        0, description="asked at random before the strategy is trusted; 0: the strategy asks from the start"
    )
    round_when: Literal["batch", "labels", "time"] = Field(
        "batch",
        description="batch: ask query_size, wait for all of them, train, ask again; labels, time: ask all the time, and train by "
        "round_labels or round_s",
    )
    round_labels: Positive = Field(
        5, description="with round_when: labels, a round is made every so many new, revised or retracted labels"
    )
    round_s: Seconds = Field(
        60.0, description="with round_when: time, a round is made every so many seconds, if a label has changed"
    )
    queue_size: Positive = Field(
        10, description="questions kept open unless round_when is batch; 6 for each annotator at least"
    )
    labels_per_item: Positive = Field(
        1, description="annotators who label each sample, each blind to the others; most votes win"
    )
    adjudicate: bool = Field(
        False, description="true: when they disagree one more is asked; labels_per_item must be at least 2"
    )
    lease_s: Annotated[float, Field(ge=1.0)] = Field(
        60.0,
        description="a question goes to another annotator when the labeler of the one who has it was not heard for that long",
    )
    epochs: Positive = Field(10, description="times that a round goes through all labels")
    batch_size: Positive = Field(20, description="labels in a step; the last batch of an epoch may be smaller")
    loss: str = Field(
        "cross_entropy", description="cross_entropy, mean_squared_error, torch:NAME of torch.nn, or module:factory"
    )
    strategy: str = Field(
        "least_confidence", description="least_confidence, margin, entropy, random, or module:factory"
    )
    pool_after_round: Literal["keep", "clear"] = Field(
        "keep", description="keep: scores are refreshed by the new model; clear: as the tutorial"
    )
    promotion: Literal["always", "gated"] = Field(
        "always",
        description="gated: a round whose validation is worse is held back, and the weights before it go on; needs held-out rows",
    )
    promotion_margin: Annotated[float, Field(ge=0.0)] = Field(
        0.0,
        description="so much less accuracy (or more loss, where there is none) than the last promoted round is not worse",
    )
    label_timeout_s: Seconds | None = Field(
        None, description="with round_when: batch, train on what came after that long; None: wait for ever"
    )
    skip_cooldown_s: Seconds = Field(30.0, description="a sample that all skipped is not asked again for that long")
    source_timeout_s: Seconds = Field(10.0, description="nothing new for that long: ask with what there is")
    refresh_timeout_s: Seconds = Field(
        5.0, description="ask by the scores there are when a new model's do not come for that long"
    )
    resend_s: Seconds = Field(
        1.0, description="first wait before an unanswered message is sent again; doubles up to 8 times"
    )
    fused: bool = Field(True, description="one round trip a step with one evaluator; the same bits")
    stages: tuple[Name, ...] = Field(
        ("evaluator",), min_length=1, description="roles of the evaluators that make up the network, input first"
    )
    status_interval_s: Seconds = Field(0.5, description="shortest time between two status reports")
    memory_bytes: int | None = memory(4096 * MIB)


class StageConfig(Section):
    """What one stage of a chain has otherwise than `evaluator`; None: as there."""

    network: str | None = Field(
        None, pattern=r"^[\w.]+:[\w.]+$", description="module:factory that returns a torch.nn.Module"
    )
    arguments: dict[str, Any] | None = None
    optimizer: str | None = None
    learning_rate: Annotated[float, Field(gt=0.0)] | None = None
    optimizer_arguments: dict[str, Any] | None = None
    schedule: str | None = None
    schedule_arguments: dict[str, Any] | None = None
    device: str | None = None
    input_room: Name | None = None
    output_room: Name | None = None


class EvaluatorConfig(Section):
    network: str = Field(
        "active_learner.examples.torch_networks:melody",
        pattern=r"^[\w.]+:[\w.]+$",
        description="module:factory that returns a torch.nn.Module",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the factory")
    optimizer: str = Field("adam", description="adam, adamw, sgd, or module:factory called with the parameters")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(1e-3, description="of the optimizer")
    optimizer_arguments: dict[str, Any] = Field(default_factory=dict, description="its further keyword arguments")
    schedule: str | None = Field(
        None,
        description="name in torch.optim.lr_scheduler, or module:factory called with the optimizer; stepped once a step",
    )
    schedule_arguments: dict[str, Any] = Field(default_factory=dict, description="its keyword arguments")
    device: str = Field("auto", description="auto (CUDA when there is one), cpu, cuda, cuda:0")
    threads: Positive = Field(1, description="torch threads; more than one changes the last bits")
    deterministic: bool = Field(True, description="torch.use_deterministic_algorithms")
    fitness: str = Field(
        "expected",
        description="expected (mean class by probability), confidence, or module:function of (n, classes) float32",
    )
    output: Literal["logits", "probabilities"] = Field(
        "logits", description="what the network returns; logits go through softmax for scores"
    )
    input_gradient: bool = Field(
        False, description="send the gradient with respect to the input too (the stages of a chain always do)"
    )
    role: Name = Field("evaluator", description="its role and name; trainer.stages names it")
    input_room: Name | None = Field(None, description="None: rooms.traininput")
    output_room: Name | None = Field(None, description="None: rooms.trainoutput")
    checkpoints_kept: Positive = Field(3, description="older ones are deleted, but for that of the weights that score")
    checkpoint_steps: Positive = Field(
        50, description="steps of a round after which the weights are kept: what a death costs at most"
    )
    checkpoint_s: Seconds = Field(2.0, description="or after so many seconds, when steps are slow")
    memory_bytes: int | None = memory(8192 * MIB, "its start, libraries and network included")
    stages: dict[Name, StageConfig] = Field(
        default_factory=dict,
        description="the stages of a chain by role; each may have network, arguments, optimizer, learning_rate, "
        "optimizer_arguments, schedule, schedule_arguments, device, input_room and output_room of its own",
    )


class AnyLabeler(Section):
    """What every labeler has."""

    outbox: str | None = Field(
        None,
        description="folder of the answers that the trainer has not confirmed yet; None: outbox in the run folder",
    )
    memory_bytes: int | None = memory(2048 * MIB)


class SimulatedLabeler(AnyLabeler):
    kind: Literal["simulated"] = "simulated"
    answers: str = Field(
        "dataset",
        description="dataset (true labels of its own copy), melody (the listener), or module:function of a sample",
    )
    path: str | None = Field(None, description="its copy of the data set; None: the source's path")
    delay_s: Annotated[float, Field(ge=0.0)] = Field(0.0, description="thinks that long about each question")
    noise: Probability = Field(0.0, description="chance of a wrong answer")
    skip_rate: Probability = Field(0.0, description="chance to skip a question")
    away_after: Positive | None = Field(None, description="leaves after so many answers")
    annotator: Name = Field("simulated", description="whose labels they are")


class TerminalLabeler(AnyLabeler):
    kind: Literal["terminal"] = "terminal"
    play: str | None = Field(None, description="command that plays a WAV, {} is the file; None: notes are only shown")
    annotator: Name = Field("terminal", description="whose labels they are")
    screen: Literal["auto", "plain"] = Field(
        "auto",
        description="auto: the full screen where there is a terminal and the extra tui, else plain prompts; plain: these",
    )
    keys: dict[str, str] = Field(
        default_factory=dict,
        description="of the full screen, command: key. Commands are replay, skip, cannot_tell, undo, history, why, find, help "
        "and quit; keys are characters, or space, backspace, right, left, up, tab, home, end, delete, insert, f1 to f12",
    )


class InstrumentConfig(Section):
    """How a melody sounds."""

    wave: Literal["sine", "triangle", "square", "sawtooth"] = Field("triangle", description="form of the tone")
    tempo: Annotated[float, Field(ge=30.0, le=400.0)] = Field(128.0, description="notes a minute")
    volume: Probability = Field(0.8, description="at the start; the person can change it")


class Column(Section):
    """Its name alone, as text, is enough."""

    name: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core)]}


class WebLabeler(AnyLabeler):
    kind: Literal["web"] = "web"
    host: str = Field("127.0.0.1", min_length=1, description="address of the page; any but 127.0.0.1 needs annotators")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8765, description="0: a free one; it is told at the start")
    hosts: tuple[str, ...] = Field((), description="further names by which browsers reach it, such as a proxy's")
    login: Literal["token", "off"] = Field(
        "token",
        description="token: the printed address lets one in, as do those of `annotator add`; off: everybody of this machine",
    )
    annotator: Name = Field("person", description="whose labels those are of who comes by the printed address")
    min_listen_s: Annotated[float, Field(ge=0.0)] = Field(
        2.0, description="seconds of a melody to be heard before it can be rated; 0: none"
    )
    show_roll: bool = Field(True, description="the piano roll is shown until the person hides it")
    title: str | None = Field(
        None, max_length=200, description="the question above the sample; null: by media and classes"
    )
    columns: tuple[Column, ...] = Field(
        (),
        description="names of the numbers of a table row, or {name, unit, low, high}: what lies outside low to high stands out; without one: Value 1, ...",
    )
    guide: dict[str, str] = Field(
        default_factory=dict, description="class, by number or name -> what it means, shown to the person"
    )
    keys: dict[str, str] = Field(
        default_factory=dict,
        description="command or class (by number or name) -> key, where another is wanted. Commands are replay, play, loop, roll, slower, faster, skip, cannot_tell, undo, why and help; keys are characters, or space, backspace, enter, tab, delete, left, right, up and down",
    )
    instrument: InstrumentConfig = InstrumentConfig()
    renderer: str | None = Field(
        None, description="file of a JavaScript module that registers an element for media of your own"
    )


class NoLabeler(Section):
    kind: Literal["none"] = "none"


LabelerConfig = Annotated[SimulatedLabeler | TerminalLabeler | WebLabeler | NoLabeler, Field(discriminator="kind")]


class StoreConfig(Section):
    url: str = Field(
        "sqlite:///labels.db", description="sqlite:///FILE, csv:FILE, memory:NAME; a relative file is in the run folder"
    )


class WebhookConfig(Section):
    url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$",
        description="where a signed POST of JSON goes for each event; https, or http to this machine; None: nowhere",
    )
    secret_file: str = Field(
        "webhook.secret",
        description="file of the secret that signs: whsec_ and base64 of 24 to 64 random bytes, mode 0600",
    )
    events: tuple[Literal["question.asked", "label.stored", "model.trained"], ...] = Field(
        ("question.asked", "label.stored", "model.trained"), min_length=1, description="what is told"
    )


class ValidationConfig(Section):
    path: str | None = Field(None, description="npz with X_test y_test; None: the source's, when it has them")
    limit: Positive | None = Field(None, description="use only the first so many rows")
    every: Positive = Field(1, description="rounds between two validations")


class Config(Section):
    """One experiment."""

    name: Name = Field(description="names the experiment: rooms and roles are apart from those of others on the broker")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of everything that is drawn: same seed, same run"
    )
    run_dir: str | None = Field(None, description="None: runs/NAME in the working directory")
    broker: BrokerConfig = BrokerConfig()
    rooms: RoomsConfig = RoomsConfig()
    sample: SampleConfig = SampleConfig()
    trainer: TrainerConfig = TrainerConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    source: SourceConfig = NoSource()
    labeler: LabelerConfig = NoLabeler()
    store: StoreConfig = StoreConfig()
    validation: ValidationConfig = ValidationConfig()
    webhook: WebhookConfig = WebhookConfig()

    _base: Path = PrivateAttr(default_factory=Path.cwd)
    """Folder of the file; set and read by loading.py only."""
