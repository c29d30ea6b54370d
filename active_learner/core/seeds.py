"""Seeds of the run, derived, never drawn: what happens between two steps cannot change a step. SPEC.md, section 8."""

from __future__ import annotations

from hashlib import blake2b


def derived_seed(*parts: int | str) -> int:
    """63 bits of BLAKE2b (RFC 7693) over the parts' text joined by "/"."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 1


def step_seed(seed: int, step: int, stage: int) -> int:
    """What an evaluator gives to its generators before the forward of `step`; step 0 makes the network."""
    return derived_seed("step", seed, step, stage)


def epoch_order(seed: int, round_number: int, epoch: int, rows: int) -> list[int]:
    """A permutation of range(rows): rows sorted by derived_seed("epoch", seed, round, epoch, row). Any language can redo it."""
    common = blake2b(f"epoch/{seed}/{round_number}/{epoch}/".encode(), digest_size=8)

    def key(row: int) -> tuple[int, int]:
        whole = common.copy()  # hashing the common part once makes a row three times cheaper
        whole.update(b"%d" % row)
        return int.from_bytes(whole.digest(), "little") >> 1, row

    return sorted(range(rows), key=key)
