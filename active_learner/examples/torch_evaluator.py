"""An evaluator of one's own: PyTorch's calls, serve_evaluator does the rest. Started with a configuration, as `up`."""

from active_learner.examples.starting import start  # first: it keeps torch on one thread, for the same bits

# isort: split
import torch

from active_learner.config.loading import address_of, keys_of, run_dir
from active_learner.config.schema import Config
from active_learner.examples.torch_networks import digits
from active_learner.peer import Peer
from active_learner.serving import Array, ArrayLike, Arrays, Network, serve_evaluator


class Digits(Network):
    def reset(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.net = digits()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)

    def forward(self, seed: int, batch: Array) -> ArrayLike:
        torch.manual_seed(seed)
        self.output = self.net.train()(torch.from_numpy(batch))
        return self.output.detach()

    def apply(self, gradient: Array) -> None:
        self.optimizer.zero_grad()
        self.output.backward(torch.from_numpy(gradient))
        if not all(p.grad is None or p.grad.isfinite().all() for p in self.net.parameters()):
            raise ValueError("the gradient of a parameter is not finite")
        self.optimizer.step()

    def weights(self) -> Arrays:
        return self.net.state_dict()

    def optimizer_state(self) -> Arrays:
        return {f"{name} {k}": v for name, p in self.net.named_parameters() for k, v in self.optimizer.state[p].items()}

    def restore(self, weights: Arrays, optimizer_state: Arrays) -> None:
        self.net.load_state_dict({name: torch.from_numpy(one) for name, one in weights.items()})
        for name, key, value in ((*name.split(), value) for name, value in optimizer_state.items()):
            self.optimizer.state[self.net.get_parameter(name)][key] = torch.from_numpy(value)

    def predict(self, weights: Arrays, batch: Array) -> ArrayLike:
        values = {name: torch.from_numpy(one) for name, one in weights.items()}
        return torch.func.functional_call(self.net.eval(), values, torch.from_numpy(batch))


async def main(config: Config) -> int:
    keys = keys_of(config, "evaluator")
    peer = Peer(experiment=config.name, role="evaluator", exclusive=True, address=address_of(config), keys=keys)
    return await serve_evaluator(peer, Digits(), run_dir(config) / "checkpoints", seed=config.seed)


if __name__ == "__main__":
    start(main)
