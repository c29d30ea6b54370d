"""How a service is run: what it ends of is what is told."""

from __future__ import annotations

import asyncio

import pytest

from active_learner.services.shell import Service, run


class Failing(Service):
    """Its work fails, if `work` is an error, and so does its stop."""

    def __init__(self, work: Exception | None, stop: Exception) -> None:
        super().__init__()
        self._work, self._stop = work, stop

    async def start(self) -> str:
        if self._work is None:
            self.finish(0)
        else:
            self.fail(self._work)
        return "here"

    async def stop(self) -> None:
        raise self._stop


def ran(work: Exception | None, stop: Exception) -> int:
    async def scene() -> int:
        return await run(Failing(work, stop))

    return asyncio.run(scene())


def test_an_error_of_the_stop_does_not_hide_what_the_service_ends_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Without memory the stop fails too, of whatever it came to."""
    with pytest.raises(MemoryError):
        ran(MemoryError(), ValueError("closed file"))
    assert capsys.readouterr().err == "the stop failed too: closed file\n"


def test_an_error_of_a_graceful_stop_is_raised() -> None:
    with pytest.raises(ValueError, match="closed file"):
        ran(None, ValueError("closed file"))
