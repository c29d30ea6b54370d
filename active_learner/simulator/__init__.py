"""A whole experiment in one thread and in virtual time: the real services and machines over a network, disks, people and a
fate that a seed draws. Whatever goes wrong comes back by the same seed: `python -m active_learner.simulator --seed N`."""
