"""SPEC.md and the code say the same: kinds, fields and their types, limits, codes, examples."""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import protocol
from active_learner.core.records import content_key
from protocol import limits
from protocol.errors import RefusalCode
from protocol.messages import Action, Member, PeerAge, RoundLine, Status
from protocol.schema import KINDS, layout
from tests.unit.test_protocol_golden import golden_frames

PARTS = (Member, PeerAge, RoundLine)
SPEC = (Path(protocol.__file__).parent / "SPEC.md").read_text()


def section(number: int) -> str:
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", SPEC, re.M | re.S)
    assert found
    return found[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table of `text`, without its head."""
    table = re.search(r"(?:^\|.*\n)+", text, re.M)
    if table is None:
        return []
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def spec_name(cls: type[Any]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()


def field_tables() -> dict[str, list[tuple[str, str]]]:
    parts = re.split(r"^#### (.+)$", section(5), flags=re.M)[1:]
    return {
        head: [(row[0], row[1]) for row in rows(re.split(r"^### ", body, flags=re.M)[0])]
        for head, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_kind_table_has_exactly_the_kinds_of_the_code() -> None:
    listed = {int(row[0].strip("| ")): row[1] for row in rows(section(5))}
    assert listed == {kind: spec_name(cls) for kind, cls in KINDS.items()}


@pytest.mark.parametrize("cls", [*KINDS.values(), *PARTS], ids=lambda cls: cls.__name__)
def test_the_fields_of_a_kind_are_those_of_the_code_in_their_order(cls: type[Any]) -> None:
    head = cls.__name__ if cls in PARTS else f"{cls.KIND} {spec_name(cls)}"
    listed = [(name.strip("| "), text) for name, text in field_tables()[head]]
    assert listed == [(name, kind.text) for name, kind in layout(cls).fields]


def test_no_kind_is_described_that_the_code_does_not_have() -> None:
    assert len(field_tables()) == len(KINDS) + len(PARTS)


def test_the_limits_are_those_of_the_code() -> None:
    listed = {row[0].strip("| "): int(row[1]) for row in rows(section(10))}
    constants = {name: value for name, value in vars(limits).items() if isinstance(value, int)}
    assert listed == constants


def test_the_codes_and_words_are_those_of_the_code() -> None:
    assert [row[0].strip("|` ") for row in rows(section(9))] == [code.value for code in RefusalCode]
    for words in (Status, Action):
        said = re.search(rf"^`{words.__name__}`: .*$", section(5), re.M)
        assert said
        assert re.findall(r"`(\w+)`", said[0])[1:] == [word.value for word in words]


def test_no_kind_is_larger_or_deeper_than_the_limits_say() -> None:
    assert max(len(layout(cls).fields) for cls in KINDS.values()) == 23 < limits.MAX_FIELDS


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("hello", "HELLO of a trainer"),
        ("gradient", "GRADIENT of step 1"),
        ("forward", "FORWARD of step 1"),
        ("candidates_raw", "CANDIDATES of two"),
    ],
)
def test_the_worked_examples_are_golden_frames(name: str, start: str) -> None:
    head, _, rest = section(11).partition(start)[2].partition("\n")
    pairs = [re.match(r"(?:[0-9a-f]{2} {1,2})+", line + "  ") for line in rest.split("```")[1].strip().splitlines()]
    written = [bytes.fromhex("".join(pair[0] for pair in pairs if pair))]
    raw = re.search(r"a raw frame of (\d+) times `([0-9a-f]{2})`", head)
    if raw:
        written.append(bytes.fromhex(raw[2]) * int(raw[1]))
    assert written == golden_frames(name)
    assert f"{len(written[0])} bytes" in head


def test_the_examples_of_numbers_are_right() -> None:
    def hashed(text: str) -> int:
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1

    assert f'`H("step/7/1/0")` = {hashed("step/7/1/0")}' in SPEC
    order = sorted(range(5), key=lambda row: hashed(f"epoch/7/0/0/{row}"))
    assert f"n = 5, SEED 7, r = 0, e = 0: {', '.join(map(str, order))}." in SPEC
    written = re.search(r"the bytes `([0-9a-f ]+)`, digest `([0-9a-f]{64})`", SPEC)
    assert written
    assert sha256(bytes.fromhex(written[1])).hexdigest() == written[2]


def test_the_example_of_a_content_key_is_right() -> None:
    written = re.search(r"the bytes `([0-9a-f ]+)`, key `([0-9a-f]{32})`", SPEC)
    assert written
    assert blake2b(bytes.fromhex(written[1]), digest_size=16).hexdigest() == written[2]
    assert content_key(np.array([1.0, -0.5], np.float32)) == written[2]
