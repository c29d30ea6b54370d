"""Which programs make up an experiment, and where they meet."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from active_learner.config import loading
from active_learner.config.schema import Config
from active_learner.errors import ConfigError
from active_learner.services import plan


def config(folder: Path, *sets: str) -> Config:
    (folder / "exp.yaml").write_text("name: exp\n", encoding="utf-8")
    return loading.load(str(folder / "exp.yaml"), sets, {})


def names(folder: Path, *sets: str) -> list[str]:
    return [program.name for program in plan.programs(config(folder, *sets), Path("r.yaml"), (), ())]


def test_all_start_in_order_and_kinds_none_do_not(tmp_path: Path) -> None:
    assert names(tmp_path) == ["broker", "trainer", "evaluator"]
    everything = names(tmp_path, "source={kind: evolution}", "labeler={kind: simulated, answers: melody}")
    assert everything == ["broker", "trainer", "evaluator", "source", "labeler"]


def test_a_chain_starts_its_own_stage_and_names_the_others(tmp_path: Path) -> None:
    chain = ("trainer.stages=[body, head]", "evaluator.role=head")
    assert names(tmp_path, *chain) == ["broker", "trainer", "head"]
    assert plan.elsewhere(config(tmp_path, *chain)) == ("body",)


def test_options_of_the_trainer_go_to_the_trainer_and_common_ones_to_all(tmp_path: Path) -> None:
    broker, trainer, evaluator = plan.programs(config(tmp_path), Path("r.yaml"), ("--rounds", "3"), ("--verbose",))
    assert broker.command[-3:] == ("broker", "r.yaml", "--verbose")
    assert trainer.command[-5:] == ("serve", "r.yaml", "--verbose", "--rounds", "3")
    assert evaluator.command[-3:] == ("evaluator", "r.yaml", "--verbose")


def test_a_rollback_is_accepted_by_the_first_start_alone(tmp_path: Path) -> None:
    _, trainer, _ = plan.programs(config(tmp_path), Path("r.yaml"), ("--accept-rollback", "--rounds", "3"), ())
    assert trainer.command[-3:] == ("r.yaml", "--rounds", "3")
    assert trainer.once == ("--accept-rollback",)


def test_each_process_has_a_metrics_port_of_its_own_and_zero_is_any(tmp_path: Path) -> None:
    planned = plan.programs(config(tmp_path), Path("r.yaml"), (), ())
    assert [one.command[-2:] for one in plan.with_metrics(planned, 9400)] == [
        ("--metrics-port", str(number)) for number in (9400, 9401, 9402)
    ]
    assert {one.command[-1] for one in plan.with_metrics(planned, 0)} == {"0"}
    with pytest.raises(ConfigError, match="--metrics-port: 65534 and the 2 ports behind it do not exist"):
        plan.with_metrics(planned, 65534)


def test_a_person_at_the_terminal_who_leaves_ends_all_and_a_simulated_one_does_not(tmp_path: Path) -> None:
    person = plan.programs(config(tmp_path, "labeler.kind=terminal"), Path("r.yaml"), (), ())[-1]
    simulated = plan.programs(config(tmp_path, "labeler={kind: simulated}"), Path("r.yaml"), (), ())[-1]
    assert (person.terminal, person.policy.ends_all) == (True, True)
    assert (simulated.terminal, simulated.policy.ends_all, simulated.policy.may_finish) == (False, False, True)


def test_the_page_is_told_how_many_labels_are_the_goal(tmp_path: Path) -> None:
    with_goal = plan.programs(config(tmp_path, "labeler={kind: web}"), Path("r.yaml"), ("--labels", "100"), ())[-1]
    without = plan.programs(config(tmp_path, "labeler={kind: web}"), Path("r.yaml"), ("--rounds", "3"), ())[-1]
    assert with_goal.command[-3:] == ("r.yaml", "--labels-goal", "100")
    assert without.command[-1] == "r.yaml"


def test_two_readers_of_standard_input_are_refused(tmp_path: Path) -> None:
    source = plan.programs(config(tmp_path, "source={kind: jsonl}"), Path("r.yaml"), (), ())[-1]
    assert source.stdin
    with pytest.raises(ConfigError, match="both read standard input"):
        names(tmp_path, "source={kind: jsonl}", "labeler.kind=terminal")


def test_a_taken_default_port_gives_another_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setattr(plan, "_is_free", lambda host, asked: plan_is_free(host, port))
        monkeypatch.setattr(plan, "holder_of", lambda taken: f"process 4711 ({'a broker' if taken == 5570 else taken})")
        address, note = plan.meeting_place(config(tmp_path))
        assert address.startswith("tcp://127.0.0.1:")
        assert address != "tcp://127.0.0.1:5570"
        assert note.startswith("port 5570 is taken by process 4711 (a broker); the broker is at tcp://127.0.0.1:")


plan_is_free = plan._is_free


def test_a_page_whose_usual_port_is_taken_is_elsewhere_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "holder_of", lambda taken: f"process 4711 ({taken})")
    monkeypatch.setattr(plan, "_is_free", lambda host, asked: asked != 8765)
    assert plan.page_port(config(tmp_path)) == (None, "")
    port, note = plan.page_port(config(tmp_path, "labeler={kind: web}"))
    assert port not in (None, 8765)
    assert note == (
        f"port 8765 is taken by process 4711 (8765); the page is at {port} this time (labeler.port sets it)"
    )
    assert plan.page_port(config(tmp_path, "labeler={kind: web, port: 8765}")) == (8765, "")
    monkeypatch.setattr(plan, "_is_free", lambda host, asked: True)
    assert plan.page_port(config(tmp_path, "labeler={kind: web}")) == (8765, "")


def test_a_port_that_the_user_named_is_never_exchanged(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        assert plan.meeting_place(config(tmp_path, f"broker.address={address}")) == (address, "")


def test_a_trainer_whose_labels_are_in_memory_is_not_started_again(tmp_path: Path) -> None:
    for url, again in (("memory:trial", False), ("csv:labels.csv", True)):
        trainer = plan.programs(config(tmp_path, f"store.url={url}"), Path("r.yaml"), (), ())[1]
        assert trainer.policy.may_restart is again
