"""The errors that a person may see, each with its exit code. Knows nothing of who raises them.

ActiveLearnerError               exit 1   failure
├── AddressInUse                 exit 1   names the process that holds the port
├── Unguarded                    exit 1   a broker with keys that would let strangers in
├── ConfigError                  exit 3   every problem at once, with file, line and key
├── Unreachable                  exit 4   broker or peer not there
├── StoreError                   exit 5
│   ├── StoreLocked              exit 5   another process writes to it
│   ├── WrongStore               exit 5   another run's, another experiment's, damaged, or rolled back
│   └── DiskFailed               exit 5   a write could not be made durable: nobody knows what is on the disk
├── LeaseHeld                    exit 5   the role is taken by a live peer, the store by a newer trainer
├── BadLabel                     exit 1   a label outside the classes, a row that cannot be read
├── BadSample                    exit 1   shape or dtype is not the experiment's
└── BadNetwork                   exit 3   a factory that cannot be imported, a network that does not fit
InvalidTransition                our bug: an event that a machine's table does not allow here
"""

from __future__ import annotations

from collections.abc import Sequence


class ActiveLearnerError(Exception):
    """Base of the errors that are told to a person in one paragraph, without a traceback."""

    exit_code = 1


class AddressInUse(ActiveLearnerError):
    """The port is taken."""


class Unguarded(ActiveLearnerError):
    """A broker with keys cannot keep strangers out, so it must not run."""


class ConfigError(ActiveLearnerError):
    """The configuration is not valid; `problems` has one line each."""

    exit_code = 3

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Unreachable(ActiveLearnerError):
    """The broker or a peer is not there, or speaks another protocol."""

    exit_code = 4


class StoreError(ActiveLearnerError):
    """The label store cannot be used."""

    exit_code = 5


class StoreLocked(StoreError):
    """Another process writes to the store."""


class WrongStore(StoreError):
    """The store belongs to another experiment, cannot be read, or is not what it was."""


class DiskFailed(StoreError):
    """A write could not be made durable. Trying again would pretend that it was: the process ends and reads the disk anew."""


class LeaseHeld(ActiveLearnerError):
    """The role is held by a live peer, or another process has taken the store over."""

    exit_code = 5


class BadLabel(ActiveLearnerError):
    """A label outside the classes, or a row that cannot be read."""


class BadSample(ActiveLearnerError):
    """A sample whose shape or dtype is not the experiment's."""


class BadNetwork(ActiveLearnerError):
    """A factory that cannot be imported, or a network that does not fit the experiment."""

    exit_code = 3


class InvalidTransition(Exception):
    """A machine got an event that its table does not allow in this phase; the state is as it was."""

    def __init__(self, machine: str, phase: str, trigger: str, story: Sequence[str]) -> None:
        lines = "\n  ".join(story)
        super().__init__(f"{machine}: no row for {trigger!r} in phase {phase!r}; last events:\n  {lines}")
        self.machine, self.phase, self.trigger, self.story = machine, phase, trigger, tuple(story)
