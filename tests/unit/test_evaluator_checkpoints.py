"""Checkpoints in the middle of a round: what is in them, which stay, and that no disk holds training up."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.backends.base import EngineState
from active_learner.backends.checkpoint import BLANK, FACTS, read_checkpoint, write_checkpoint
from active_learner.core.checkpointing import CheckpointRule
from active_learner.errors import ActiveLearnerError
from active_learner.peer import Peer
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.evaluator import Evaluator
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Candidates, LogLine, Position, Promote, Promoted, Restore, Scores
from tests.unit.test_evaluator_service import ALONE, DEADLINE_S, ROOMS, SEED, Trainer, batch, engine, play, reference

ROLE = "evaluator"
WRITES = ("checkpoint_before_fsync", "checkpoint_before_rename", "checkpoint_before_folder_sync")


async def begun(broker: MemoryBroker, folder: Path, steps: int = 1, files: int = 3, **changes: Any) -> Evaluator:
    """An evaluator that keeps its state after every so many steps."""
    peer = Peer(experiment="tried", role=ROLE, exclusive=True, address=broker.address)
    rule = CheckpointRule(steps, 1000.0)
    service = Evaluator(peer, engine(**changes), CheckpointFolder(folder, ROLE, files), ALONE, ROOMS, SEED, rule)
    await service.start()
    return service


def names(*steps: int) -> list[str]:
    return [f"evaluator-{step:010d}.safetensors" for step in steps]


async def restorable(trainer: Trainer, *steps: int) -> Any:
    """Asks until exactly these are there: they are written beside the steps."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            told = await trainer.position()
            if told.restorable == steps:
                return told


async def kept(trainer: Trainer, step: int) -> Any:
    """Asks until the checkpoint of the step is there."""
    async with asyncio.timeout(DEADLINE_S):
        while step not in (told := await trainer.position()).restorable:
            pass
        return told


async def stepped(trainer: Trainer, first: int, last: int) -> None:
    """One step after the other, each kept before the next."""
    for step in range(first, last + 1):
        await trainer.step(step)
        await kept(trainer, step)


async def scores(trainer: Trainer) -> Any:
    return await trainer.ask("evolution", Candidates("c", "refresh", batch(9), False), lambda m: isinstance(m, Scores))


def test_row_06_after_a_death_the_steps_are_there_and_candidates_are_scored_as_before(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path)
        await trainer.position()
        await stepped(trainer, 1, 4)
        await trainer.promote(4)
        await stepped(trainer, 5, 6)
        before = await scores(trainer)
        await service.stop()
        service = await begun(broker, tmp_path, seed=99)
        told = await trainer.position()
        assert (told.applied, told.model_version, told.restorable) == (6, 4, (4, 5, 6))
        after = await scores(trainer)
        assert after.model_version == before.model_version == 4
        np.testing.assert_array_equal(after.probabilities, before.probabilities)
        await trainer.fused(7, 9)
        assert (await trainer.promote(9)).digest == reference(9)
        await service.stop()

    play(scene)


def test_a_checkpoint_says_whose_it_is_and_what_made_it(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path, steps=2)
        await trainer.position(term=1)
        for step in (1, 2):
            await trainer.step(step)
        await restorable(trainer, 2)
        arrays, facts = read_checkpoint(tmp_path / names(2)[0])
        wanted = {"run": "r", "term": 1, "round": 0, "step": 2, "model_version": 0, "seed": SEED, "threads": 1}
        assert {name: facts[name] for name in wanted} == wanted
        assert {"torch", "network", "optimizer"} <= set(facts)
        untrained = engine()
        for name, value in untrained.network.state_dict().items():
            np.testing.assert_array_equal(arrays[f"snapshot.{name}"], value.numpy())
        await trainer.promote(2)
        arrays, facts = read_checkpoint(tmp_path / names(2)[0])
        assert facts["model_version"] == 2
        assert not any(name.startswith("snapshot.") for name in arrays)
        await service.stop()

    play(scene)


def test_the_newest_stay_and_that_of_the_weights_that_score(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path, files=2)
        await trainer.position()
        await trainer.step(1)
        await trainer.promote(1)
        for step in range(2, 6):
            await trainer.step(step)
            await restorable(trainer, *sorted({1, step - 1, step}))
        await trainer.promote(5)
        await restorable(trainer, 1, 4, 5)
        await trainer.step(6)
        await restorable(trainer, 5, 6)
        assert sorted(os.listdir(tmp_path)) == names(5, 6)
        await service.stop()

    play(scene)


def test_a_full_disk_costs_a_warning_and_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path)
        await trainer.position()
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", _full)
            await trainer.step(1)
            told = await trainer.wait(lambda m: isinstance(m, LogLine))
            assert (told.level, "no checkpoint of step 1: OSError" in told.text) == ("warning", True)
            assert "No space left" in told.text
            assert service.counters()["failed_checkpoints"] == 1
            await trainer.step(2)
        assert (await trainer.position()).applied == 2
        last = 2
        while not service.machine.checkpoints:  # the first after the disk has room again
            last += 1
            await trainer.step(last)
        assert service.machine.failed_checkpoints >= 1
        assert (await trainer.promote(last)).digest == reference(last)
        await service.stop()

    play(scene)


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_hangs_does_not_hold_up_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        hanging, fsync = threading.Event(), os.fsync

        def slow(descriptor: int) -> None:
            hanging.wait(DEADLINE_S)
            fsync(descriptor)

        monkeypatch.setattr("os.fsync", slow)
        service = await begun(broker, tmp_path)
        await trainer.position()
        await trainer.fused(1, 12)
        assert service.machine.checkpoints == 0
        assert await trainer.position()
        hanging.set()
        await restorable(trainer, 1)
        await trainer.step(13)
        await restorable(trainer, 1, 13)
        assert (await trainer.promote(13)).digest == reference(13)
        await service.stop()

    play(scene)


def test_what_is_captured_is_not_written_behind_a_restoration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        keep = CheckpointFolder.keep
        late, come = threading.Event(), threading.Event()

        def hold(self: CheckpointFolder, *given: Any) -> None:
            come.set()
            late.wait(DEADLINE_S)
            keep(self, *given)

        service = await begun(broker, tmp_path, steps=2)
        await trainer.position()
        monkeypatch.setattr(CheckpointFolder, "keep", hold)
        await trainer.fused(1, 2)
        assert await asyncio.to_thread(come.wait, DEADLINE_S)
        await trainer.ask("traininput", Restore(1, "r", ROLE, 0), lambda m: isinstance(m, Position) and not m.applied)
        trainer.heard.clear()
        late.set()
        told = await trainer.wait(lambda m: isinstance(m, LogLine) and "no checkpoint" in m.text)
        assert "went another way" in told.text
        assert (await trainer.position()).restorable == ()
        assert os.listdir(tmp_path) == []
        await service.stop()

    play(scene)


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_later_checkpoints_that_cannot_be_put_aside_leave_the_weights_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A disk that is read-only after a fault: who said a step and stood at another would train on from wrong weights."""

    def fail(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path, files=9)
        await trainer.position()
        await stepped(trainer, 1, 3)
        with monkeypatch.context() as broken:
            broken.setattr(*((Path, "replace", fail) if failing == "replace" else (os, "fsync", fail)))
            told = await trainer.ask("traininput", Restore(1, "r", ROLE, 1), lambda m: isinstance(m, Position))
        assert (told.applied, "Read-only" in told.why) == (3, True)
        await trainer.step(4)
        assert (await trainer.promote(4)).digest == reference(4)
        await service.stop()

    play(scene)


def test_a_checkpoint_that_could_not_be_read_is_put_aside_too_when_the_trainer_goes_back(tmp_path: Path) -> None:
    """It may be read next time, as after too many open files: of a future that was given up nothing may come back."""

    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path)
        await trainer.position()
        await stepped(trainer, 1, 3)
        newest = tmp_path / names(3)[0]
        good = newest.read_bytes()
        await service.stop()
        newest.write_bytes(b"")
        service = await begun(broker, tmp_path)
        assert (await trainer.position()).applied == 2
        newest.write_bytes(good)
        await trainer.ask("traininput", Restore(1, "r", ROLE, 1), lambda m: isinstance(m, Position) and m.applied == 1)
        await service.stop()
        service = await begun(broker, tmp_path)
        assert (await trainer.position()).applied == 1
        await service.stop()

    play(scene)


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_row_41_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(tmp_path: Path, damage: str) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path)
        await trainer.position()
        await stepped(trainer, 1, 3)
        await service.stop()
        newest = tmp_path / names(3)[0]
        contents = bytearray(newest.read_bytes())
        if damage == "bit":
            contents[len(contents) // 2] ^= 64
        newest.write_bytes({"bit": contents, "cut": contents[:-100], "empty": b""}[damage])
        service = await begun(broker, tmp_path)
        told = await trainer.position()
        assert (told.applied, told.restorable) == (2, (1, 2))
        await trainer.step(3)
        assert (await trainer.promote(3)).digest == reference(3)
        await service.stop()

    play(scene)


def test_older_weights_go_on_in_the_place_of_newer_ones(tmp_path: Path) -> None:
    async def scene(broker: MemoryBroker, trainer: Trainer) -> None:
        service = await begun(broker, tmp_path, steps=100)
        await trainer.position()
        await trainer.fused(1, 3)
        first = await trainer.promote(3)
        await trainer.fused(4, 6)
        told = await trainer.ask("traininput", Promote(1, "r", 1, 6, 3), lambda m: isinstance(m, Promoted))
        assert (told.step, told.digest) == (6, first.digest)
        where = await trainer.position()
        assert (where.applied, where.model_version) == (6, 6)
        assert (await scores(trainer)).model_version == 6
        await trainer.step(7)
        after = (await trainer.promote(7)).digest
        await service.stop()
        service = await begun(broker, tmp_path, steps=100, seed=99)
        assert (await trainer.position()).applied == 7
        expected = engine()
        state = EngineState.read(tmp_path / names(3)[0], "r").as_of(6)
        state.write(tmp_path / "by-hand.safetensors", "r", 1, 1)
        expected.load(tmp_path / "by-hand.safetensors", "r")
        from tests.unit.test_evaluator_service import LOSS, targets

        slope = LOSS.gradient(expected.forward(7, SEED, batch(7)), targets(7))[1]
        expected.apply(7, slope, False)
        assert after == expected.digest()
        await service.stop()

    play(scene)


@pytest.mark.parametrize("point", WRITES)
def test_row_07_a_death_while_a_checkpoint_is_written_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, point: str
) -> None:
    """In a process of its own: the second write dies at the point."""
    path = tmp_path / names(2)[0]
    program = f"""
import numpy as np
from hashlib import sha256
from pathlib import Path
from active_learner.backends.checkpoint import write_checkpoint
for value in (1.0, 2.0):
    write_checkpoint(Path({str(path)!r}), {{"network.w": np.full(1000, value)}}, {{"run": "r", "step": 2}})
"""
    env = {**os.environ, "ACTIVE_LEARNER_CRASH_AT": f"evaluator.{point}:2"}
    ended = subprocess.run([sys.executable, "-c", program], env=env, check=False)
    assert ended.returncode == -signal.SIGKILL
    arrays, _ = read_checkpoint(path)
    assert set(arrays["network.w"]) == {2.0 if point == WRITES[2] else 1.0}
    folder = CheckpointFolder(tmp_path, ROLE, 3)
    assert folder.steps() == (2,)
    folder.open_newest(_Loads(), lambda text: pytest.fail(text))  # type: ignore[arg-type]
    folder.sweep()
    assert os.listdir(tmp_path) == [path.name]


def test_only_who_has_the_role_clears_away_what_a_kill_cut_off(tmp_path: Path) -> None:
    """Before the broker has said so it may be what a live evaluator writes at this moment."""
    cut_off = tmp_path / f"{names(50)[0]}.tmp"
    cut_off.touch()

    async def main() -> None:
        async with MemoryBroker() as broker:
            first = await begun(broker, tmp_path)
            assert not cut_off.exists()
            cut_off.touch()
            with pytest.raises(ActiveLearnerError):
                await begun(broker, tmp_path)
            assert cut_off.exists()
            await first.stop()

    asyncio.run(main())


class _Loads:
    """Takes whatever file it is given, when it is whole."""

    def load(self, path: Path, run: str) -> int:
        return int(read_checkpoint(path)[1]["step"])


def test_a_file_of_the_format_before_has_promoted_weights_and_no_term(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    write_checkpoint(path, {"network.w": np.ones(3, np.float32)}, {"run": "r", "step": 7})
    contents = path.read_bytes()
    assert b'\\"format\\": 2' in contents
    state = EngineState.read(path, "")
    assert (state.step, state.facts["model_version"], state.facts["term"]) == (7, 7, 0)


def test_a_file_whose_digest_is_right_and_whose_facts_are_no_mapping_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    write_checkpoint(path, {"w": np.zeros(1, np.float32)}, {"step": 1})
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    for facts in ("[]", "3", '"text"', "null"):
        header = json.loads(whole[8 : 8 + size])
        header["__metadata__"] = {FACTS: facts, "sha256": BLANK.decode()}
        text = json.dumps(header, separators=(",", ":")).encode()
        blank = len(text).to_bytes(8, "little") + text + whole[8 + size :]
        path.write_bytes(blank.replace(BLANK, sha256(blank).hexdigest().encode()))
        with pytest.raises(ValueError, match="is none of ours: its facts are"):
            read_checkpoint(path)
