"""The examples of peers of one's own are short enough to be read at a glance, and leave nothing to the imagination."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import active_learner.examples
from active_learner.config.loading import load
from active_learner.config.sample import held_out
from active_learner.datasets.reading import read_dataset
from active_learner.examples import make_melodies
from active_learner.melody.listener import rate

FOLDER = Path(active_learner.examples.__file__).parent
PROMISED = 40
PEERS = ["torch_evaluator", "labeler", "source"]


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_of_ones_own_takes_under_40_lines_of_code(name: str) -> None:
    first, *lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert first.startswith('"""')
    assert first.endswith('"""')
    assert sum(bool(line.strip()) and not line.startswith("#") for line in lines) < PROMISED
    assert max(map(len, lines)) <= 120


def started(name: str, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", f"active_learner.examples.{name}", *arguments]
    done = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["labeler", "source"])
def test_without_arguments_the_usage_is_said(name: str) -> None:
    usage = f"usage: python -m active_learner.examples.{name} CONFIG [KEY=VALUE ...]\n"
    assert started(name) == (2, "", usage)
    assert started(name, "--help") == (0, usage, "")


def test_a_bad_configuration_is_told_without_a_traceback() -> None:
    code, _, err = started("labeler", "digts")
    assert code == 3
    assert err.startswith("error: digts: no such file or shipped experiment; did you mean 'digits'?")
    assert "Traceback" not in err


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_is_started_the_same_way(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.endswith('if __name__ == "__main__":\n    start(main)\n')


def test_the_evaluator_computes_on_one_thread() -> None:
    code = "import active_learner.examples.torch_evaluator, torch; print(torch.get_num_threads())"
    plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain, cwd=FOLDER.parents[1], capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


def test_the_shipped_melodies_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    make_melodies.main(tmp_path / "again.npz")
    shipped = read_dataset("melody")
    again = read_dataset(str(tmp_path / "again.npz"))
    assert shipped.X_test is not None
    assert shipped.y_test is not None
    assert np.array_equal(shipped.X_test, again.X_test)
    assert np.array_equal(shipped.y_test, again.y_test)
    make_melodies.main(tmp_path / "third.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "third.npz").read_bytes()


def test_the_shipped_melodies_are_what_their_page_says() -> None:
    shipped = read_dataset("melody")
    assert shipped.X_test is not None
    assert shipped.y_test is not None
    assert (shipped.X_train, shipped.X_test.shape, shipped.dtype) == (None, (600, 128), "uint8")
    assert np.array_equal(shipped.y_test, rate(shipped.X_test))
    assert np.bincount(shipped.y_test, minlength=6).min() > 10
    assert len({row.tobytes() for row in shipped.X_test}) == 600
    assert shipped.path.stat().st_size < 30_000
    assert shipped.path.with_suffix(".md").is_file()


def test_melody_is_validated_and_the_terminal_is_not() -> None:
    held = held_out(load("melody", environment={}))
    assert held is not None
    assert held[0].shape == (600, 128)
    assert held_out(load("melody-terminal", environment={})) is None
