"""The file of annotators: links, tokens and sessions, over processes, restarts and time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from active_learner.errors import ConfigError
from active_learner.web.accounts import IDLE_S, LINK_S, SEEN_S, SESSIONS, Accounts, csrf_of


class People:
    def __init__(self, folder: Path, always: str | None = None) -> None:
        self.path, self.at, self._always = folder / "digits.annotators.json", 1000.0, always
        self.page = self.process()

    def process(self) -> Accounts:
        """Another one, or the next one."""
        return Accounts(self.path, lambda: self.at, self._always)


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


def test_a_link_lets_in_once(people: People) -> None:
    link = people.process().add("anna")
    assert people.page.enter(link) == "anna"
    assert people.page.enter(link) is None
    assert people.page.enter("another") is None


def test_a_link_ends_after_a_week(people: People) -> None:
    link = people.page.add("anna")
    people.at += LINK_S + 1
    assert people.page.enter(link) is None


def test_a_session_survives_a_restart_and_ends_when_it_is_not_used(people: People) -> None:
    people.page.add("anna")
    session = people.page.begin("anna")
    for _ in range(3):
        people.at += IDLE_S - 1
        assert people.process().of_session(session) == "anna"
    people.at += IDLE_S + 1
    assert people.process().of_session(session) is None


def test_use_is_noted_seldom(people: People) -> None:
    people.page.add("anna")
    session = people.page.begin("anna")
    before = people.path.stat().st_mtime_ns
    people.at += SEEN_S - 1
    assert people.page.of_session(session) == "anna"
    assert people.path.stat().st_mtime_ns == before


def test_removing_ends_links_tokens_and_sessions_at_once(people: People) -> None:
    command = people.process()
    link, script = command.add("anna"), command.add_script("anna")
    session = people.page.begin("anna")
    assert (people.page.of_session(session), people.page.of_script(script)) == ("anna", "anna")
    assert command.remove("anna")
    assert (people.page.of_session(session), people.page.of_script(script), people.page.enter(link)) == (
        None,
        None,
        None,
    )
    assert not command.remove("anna")
    assert command.names() == []
    command.add("anna")
    assert (people.page.of_session(session), people.page.of_script(script)) == (None, None)


def test_a_session_that_was_left_is_over(people: People) -> None:
    people.page.add("anna")
    session = people.page.begin("anna")
    people.page.end(session)
    assert people.page.of_session(session) is None


def test_the_person_of_this_machine_needs_no_entry(tmp_path: Path) -> None:
    people = People(tmp_path, always="person")
    session = people.page.begin("person")
    assert people.process().of_session(session) == "person"
    assert (
        Accounts(people.path, lambda: people.at).of_session(session) is None
    )  # with a public page there is no such person
    assert people.page.names() == []


def test_no_secret_is_in_the_file_and_others_cannot_read_it(people: People) -> None:
    secrets = [people.page.add("anna"), people.page.add_script("anna"), people.page.begin("anna")]
    text = people.path.read_text()
    assert not any(secret in text for secret in secrets)
    assert people.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_can_read_is_refused(people: People) -> None:
    people.page.add("anna")
    people.path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        people.process()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"annotators": 3, "links": {}, "scripts": {}, "sessions": {}}']
)
def test_row_41_a_damaged_file_is_told(people: People, content: str) -> None:
    people.page.add("anna")
    people.path.write_text(content)
    with pytest.raises(ConfigError, match="no file of annotators"):
        people.process()


def test_sessions_are_bounded_and_the_one_that_was_used_longest_ago_goes(people: People) -> None:
    people.page.add("anna")
    known = json.loads(people.path.read_text())
    known["sessions"] = {str(number): {"annotator": "anna", "seen": 1000.0 + number / 10} for number in range(SESSIONS)}
    people.path.write_text(json.dumps(known))
    people.at += 500
    people.page.begin("anna")
    found = json.loads(people.path.read_text())["sessions"]
    assert len(found) == SESSIONS
    assert "0" not in found


def test_a_csrf_token_follows_from_the_session_and_does_not_tell_it() -> None:
    assert csrf_of("a") == csrf_of("a") != csrf_of("b")
    assert "secret" not in csrf_of("secret")
