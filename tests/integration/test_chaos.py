"""`chaos` as a user calls it: a verdict, an exit code, and the user's own run untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.up_process import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SMALL = ("trainer.initial_labels=20", "trainer.epochs=3", "validation.path=null")


def chaos(folder: Path, *arguments: str, sets: tuple[str, ...] = SMALL) -> tuple[int, str, str]:
    words = [word for one in sets for word in ("--set", one)]
    ended = call("chaos", "digits", *words, *arguments, cwd=folder, timeout_s=250)
    return ended.returncode, ended.stdout, ended.stderr


def nothing_is_lost(code: int, out: str, errors: str) -> None:
    """What is promised in seconds a busy machine may miss; then the verdict says so, and nothing else."""
    missed = [line for line in out.splitlines() if line.startswith("MISSED")]
    assert all("everybody works again within" in line for line in missed), out + errors
    assert "NOT back" not in out
    assert code == bool(missed), out + errors


def test_an_experiment_survives_and_the_verdict_says_so(tmp_path: Path) -> None:
    """Kills, a stop and bad links through the proxy; the run folder of `up` is not touched, an earlier chaos is kept."""
    mine = tmp_path / "runs" / "digits"
    mine.mkdir(parents=True)
    (tmp_path / "runs" / "digits-chaos").mkdir()
    seed = ("--seed", "2147483646")
    options = ("--kills", "5", *seed, "--stop-probability", "0.2", "--drop", "0.05", "--cut-every", "4")
    code, out, errors = chaos(tmp_path, *options)
    nothing_is_lost(code, out, errors)
    assert out.startswith("the chaos of before is kept in")
    assert "seed 2147483646; 5 attacks on the run in" in out
    assert out.count("met  ") + code >= 7
    assert (tmp_path / "runs" / "digits-chaos" / "chaos.log").stat().st_size
    assert list(mine.iterdir()) == []


def test_a_run_goes_on_behind_connections_that_are_half_open_now_and_then(tmp_path: Path) -> None:
    """Nobody is killed: a death in the silence would take as long as a busy machine, and the silence."""
    slowly = (*SMALL, "labeler.delay_s=0.3")  # 20 labels before round 1, so that there is a silence before it
    code, out, errors = chaos(tmp_path, "--kills", "0", "--half-open-every", "3", "--rounds", "2", sets=slowly)
    nothing_is_lost(code, out, errors)
    assert "nothing passes for 4 s" in out


def test_an_experiment_with_keys_is_attacked_too(tmp_path: Path) -> None:
    """What watches it has a key of its own."""
    code, out, errors = chaos(tmp_path, "--kills", "2", "--no-points", "--seed", "4", sets=(*SMALL, "broker.keys=on"))
    nothing_is_lost(code, out, errors)
    assert "2 attacks on the run in" in out


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ("store.url=memory:labels", "labels in memory end with the trainer"),
        ("labeler={kind: terminal}", "needs a labeler without a person"),
        ("labeler={kind: web}", "needs a labeler without a person"),
        ("labeler={kind: none}", "needs a labeler without a person"),
    ],
)
def test_what_cannot_survive_is_refused_before_anything_starts(one: str, words: str, tmp_path: Path) -> None:
    code, out, errors = chaos(tmp_path, sets=(*SMALL, one))
    assert code == 3
    assert words in errors
    assert out == ""


def test_crash_points_are_listed_without_a_configuration(tmp_path: Path) -> None:
    ended = call("chaos", "--list-points", cwd=tmp_path)
    assert ended.returncode == 0
    assert "trainer.answer_after_commit" in ended.stdout
