"""The evaluator engine for any torch.nn.Module. Knows one network, its optimizer and its snapshot; not wire or labels."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from active_learner.backends import states, torch_parts, torch_state, torch_trace
from active_learner.backends.base import SNAPSHOT, Array, Backend, EngineState, Evaluation
from active_learner.backends.settings import NetworkSettings
from active_learner.backends.torch_parts import Parts
from active_learner.core.seeds import step_seed

ROW_SUM_TOLERANCE = 1e-3
"""Rows of float32 probabilities of thousands of classes still sum to 1 within this."""


@dataclass(slots=True)
class KeptGraph:
    """A forward whose gradient has not come yet."""

    step: int
    seed: int
    batch: Array
    input: Tensor
    output: Tensor
    buffers: dict[str, Tensor]
    """Buffers (running means and the like) as they were before the forward changed them."""


class TorchBackend(Backend):
    """See Backend. Everything that is random is seeded by (seed, step, stage), so a forward done again has the same bits."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Raises: BadNetwork."""
        self.settings = settings
        self._device = torch_parts.prepare_torch(settings)
        self._fitness_of = torch_parts.fitness_of(settings)
        self._width = 0
        self._applied = 0
        self._model_version = 0
        self._held: KeptGraph | None = None
        self.reset(settings.seed)

    @property
    def applied(self) -> int:
        return self._applied

    @property
    def model_version(self) -> int:
        return self._model_version

    @property
    def width(self) -> int:
        return self._width

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        return self._parts.network

    @property
    def device(self) -> str:
        """Where it computes: cpu, cuda:0."""
        return str(self._device)

    # --- training

    def forward(self, step: int, seed: int, batch: Array) -> Array:
        if seed != self._seed and self._applied == 0:
            self.reset(seed)  # the run's seed, not the one of this process's configuration, makes the network
        self._drop_graph()
        network, device = self._parts.network, self._device
        values = self._tensor(batch).requires_grad_(self.settings.input_gradient)
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()} if self._has_buffers else {}
        torch_parts.seed_generators(step_seed(seed, step, self.settings.stage), device)
        try:
            output = self._run(network, values)
            predictions = _predictions(output)
        except ValueError:
            _put_back(network, buffers)
            raise
        self._held = KeptGraph(step, seed, batch, values, output, buffers)
        self._width = int(output.shape[1])
        return predictions

    def apply(self, step: int, gradient: Array, want_input_gradient: bool) -> Array | None:
        slope_out = _floats(gradient)
        held = self._checked_graph(step, slope_out, want_input_gradient)
        self._forget_gradients()
        try:
            torch.autograd.backward(held.output, torch.from_numpy(slope_out).to(held.output.device))
            _check_gradients([p.grad for p in self._parameters if p.grad is not None], held.input.grad)
        except Exception as error:  # a backward of the user's own may raise anything; no weight has changed yet
            self._forget_gradients()
            self.forward(held.step, held.seed, held.batch)  # backward used the graph up; the same seed makes it again
            raise states.of_step(step, error) from error
        slope = held.input.grad.cpu().numpy() if want_input_gradient and held.input.grad is not None else None
        self._parts.optimizer.step()
        if self._parts.schedule is not None:
            self._parts.schedule.step()
        self._held = None
        self._applied = step
        return slope

    def _checked_graph(self, step: int, gradient: Array, want_input_gradient: bool) -> KeptGraph:
        held = self._held
        if held is None or held.step != step:
            kept = "none is kept" if held is None else f"the graph of step {held.step} is kept"
            raise ValueError(f"no graph of step {step}: {kept}")
        if gradient.shape != tuple(held.output.shape):
            raise states.DoesNotFit(f"gradient of step {step} is {gradient.shape}, expected {tuple(held.output.shape)}")
        if not np.isfinite(gradient).all():
            raise states.NotFinite(f"gradient of step {step} is not finite")
        if want_input_gradient and not self.settings.input_gradient:
            raise ValueError(
                "the gradient with respect to the input was not asked for in the settings (input_gradient)"
            )
        return held

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:  # a twentieth of the time of zero_grad(set_to_none=True)
            parameter.grad = None

    def _drop_graph(self) -> None:
        if self._held is not None:
            _put_back(self._parts.network, self._held.buffers)
            self._held = None

    # --- evaluation mode

    def evaluate(self, batch: Array) -> Array:
        network = self._parts.network
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        try:
            with torch.no_grad():
                return _predictions(self._run(network, self._tensor(batch)))
        finally:
            for module, training in modes:
                module.training = training

    def infer(self, batch: Array) -> Array:
        with torch.no_grad():
            predictions = _predictions(self._run(self._snapshot, self._tensor(batch)))
        self._width = predictions.shape[1]
        return predictions

    def score(self, batch: Array, embeddings: bool) -> Evaluation:
        layer = _last_linear(self._snapshot) if embeddings else None
        caught: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0])) if layer else None
        try:
            outputs = self.infer(batch)
        finally:
            if hook is not None:
                hook.remove()
        probabilities = self._probabilities(outputs)
        vectors = caught[-1].flatten(1).float().cpu().numpy() if caught else None
        return Evaluation(self._model_version, probabilities, self._fitness(probabilities), vectors)

    def _probabilities(self, outputs: Array) -> Array:
        if self.settings.output == "logits":
            probabilities: Array = torch.softmax(torch.from_numpy(outputs), 1).numpy()
            return probabilities
        sums = outputs.sum(axis=1)
        if (outputs < 0).any() or (np.abs(sums - 1) > ROW_SUM_TOLERANCE).any():
            text = f"rows sum to {sums.min():.4g} .. {sums.max():.4g}, smallest value {outputs.min():.4g}"
            raise ValueError(f"evaluator.output is probabilities, but {text}; with logits, softmax is done here")
        return outputs

    def _fitness(self, probabilities: Array) -> Array:
        try:
            fitness = np.asarray(self._fitness_of(probabilities), np.float32)
        except Exception as error:  # the user's function may raise anything
            raise ValueError(f"evaluator.fitness failed: {type(error).__name__}: {error}") from error
        if fitness.shape != probabilities.shape[:1] or not np.isfinite(fitness).all():
            raise ValueError(f"evaluator.fitness returned {fitness.shape}, expected {probabilities.shape[:1]}, finite")
        return fitness

    # --- states

    def promote(self) -> None:
        state = self._state()
        torch_state.check_finite(torch_state.as_arrays(state))
        self._snapshot.load_state_dict(state)
        self._model_version = self._applied

    def digest(self) -> str:
        return torch_state.digest(torch_state.as_arrays(self._state()))

    def capture(self, promoted: bool = False) -> EngineState:
        parts = self._parts
        arrays = torch_state.as_arrays(self._state(), "network.")
        if not promoted and self._model_version != self._applied:
            arrays |= torch_state.as_arrays(self._snapshot.state_dict(), SNAPSHOT)
        facts = {
            "step": self._applied,
            "model_version": self._applied if promoted else self._model_version,
            "seed": self._seed,
            "stage": self.settings.stage,
            "network": self.settings.label,
            "optimizer": type(parts.optimizer).__name__,
            "optimizer_state": torch_state.pack(parts.optimizer.state_dict(), "optimizer", arrays),
            "schedule": type(parts.schedule).__name__,
            "schedule_state": torch_state.pack(_schedule_state(parts), "schedule", arrays),
            "torch": torch.__version__,
            "threads": self.settings.threads,
            "device": self._device.type,
        }
        return EngineState(arrays, facts)

    def load(self, path: Path, run: str) -> int:
        state = EngineState.read(path, run)
        arrays, facts = state.arrays, state.facts
        parts = torch_parts.make_parts(self.settings, facts["seed"], self._device)
        snapshot = torch_parts.make_network(self.settings, facts["seed"], self._device).eval().requires_grad_(False)
        self._check_kin(path, facts, parts)
        weights = _section(arrays, "network.")
        _load_weights(path, parts.network, weights)
        _load_weights(path, snapshot, _section(arrays, SNAPSHOT) or weights)
        parts.optimizer.load_state_dict(torch_state.unpack(facts["optimizer_state"], arrays))
        if parts.schedule is not None:
            parts.schedule.load_state_dict(torch_state.unpack(facts["schedule_state"], arrays))
        self._begin(parts, snapshot, facts["seed"], facts["step"], facts["model_version"])
        self.run, self.term, self.weights_of = facts["run"], facts["term"], facts["weights_of"]
        return self._applied

    def _check_kin(self, path: Path, facts: dict[str, Any], parts: Parts) -> None:
        here = {
            "stage": self.settings.stage,
            "optimizer": type(parts.optimizer).__name__,
            "schedule": type(parts.schedule).__name__,
        }
        for name, value in here.items():
            there = facts.get(name, "of another framework")
            if there != value:
                raise ValueError(f"checkpoint {path.name} was made with {name} {there}, this evaluator has {value}")

    def reset(self, seed: int) -> None:
        parts = torch_parts.make_parts(self.settings, seed, self._device)
        snapshot = torch_parts.make_network(self.settings, seed, self._device).eval().requires_grad_(False)
        snapshot.load_state_dict(parts.network.state_dict())
        self._begin(parts, snapshot, seed, 0, 0)

    def _begin(self, parts: Parts, snapshot: nn.Module, seed: int, applied: int, model_version: int) -> None:
        self._parts, self._snapshot, self._seed = parts, snapshot, seed
        self._parameters = list(parts.network.parameters())  # walking the modules costs 10 us, on every step
        self._has_buffers = next(parts.network.buffers(), None) is not None
        self._applied, self._model_version = applied, model_version
        self._held = None

    def _state(self) -> dict[str, Any]:
        """The state after the last applied step: without what a forward that is not applied yet did to the buffers."""
        kept = self._held.buffers if self._held is not None else {}
        state = self._parts.network.state_dict()
        return {name: kept.get(name, value) for name, value in state.items()}

    # --- running a network

    def layers(self, batch: Array) -> list[torch_trace.Layer]:
        """The snapshot's layers as they run for `batch`."""
        return torch_trace.layers_of(self._snapshot, self._tensor(batch))

    def _tensor(self, batch: Array) -> Tensor:
        states.check_batch(batch)
        return torch.from_numpy(_floats(batch)).to(self._device)

    def _run(self, network: nn.Module, values: Tensor) -> Tensor:
        """Raises: ValueError that names the layer and says what it got, or what the network raised there."""
        try:
            output = network(values)
        except Exception as error:  # the user's network may raise anything
            layer = torch_trace.culprit(network, values.detach())
            raise states.failure(self.settings.label, tuple(values.shape), layer, error) from error
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(values):
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise states.DoesNotFit(f"{self.settings.label} returned {got}, expected ({len(values)}, width)")
        return output if output.dtype == torch.float32 else output.float()


def _floats(array: Array) -> Array:
    """A copy: arrays from the wire are read-only, and the kept graph must not see its sender change them."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused
        return np.array(array, np.float32, order="C")


def _predictions(output: Tensor) -> Array:
    array: Array = np.array(output.detach().cpu().numpy())
    if not np.isfinite(array).all():
        rows = int((~np.isfinite(array).all(axis=1)).sum())
        raise states.NotFinite(f"predictions are not finite in {rows} of {len(array)} rows")
    return array


def _check_gradients(gradients: list[Tensor], input_gradient: Tensor | None) -> None:
    """Raises: NotFinite. Sums first (NaN and infinity survive them), each number only when a sum is not finite."""
    every = gradients if input_gradient is None else [*gradients, input_gradient]
    if not every:
        return
    on_cpu = every[0].device.type == "cpu"  # elsewhere each float() would wait for the device
    total = sum(float(one.sum()) for one in every) if on_cpu else float(torch.stack([one.sum() for one in every]).sum())
    bad = 0 if isfinite(total) else sum(not bool(one.isfinite().all()) for one in every)
    if bad:
        raise states.NotFinite(f"the gradients of {bad} of {len(every)} parameters are not finite")


def _put_back(network: nn.Module, buffers: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, saved in buffers.items():
            network.get_buffer(name).copy_(saved)


def _last_linear(network: nn.Module) -> nn.Module | None:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def _schedule_state(parts: Parts) -> Any:
    return None if parts.schedule is None else parts.schedule.state_dict()


def _section(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _load_weights(path: Path, network: nn.Module, weights: dict[str, Array]) -> None:
    """Raises: ValueError naming the first entry that does not fit."""
    state = network.state_dict()
    for name in sorted({*state, *weights}):
        here = tuple(state[name].shape) if name in state else None
        there = weights[name].shape if name in weights else None
        if here != there:
            raise ValueError(f"checkpoint {path.name} is of another network: {name} is {there} there and {here} here")
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
