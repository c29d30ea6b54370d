"""The OpenAPI document says what the paths are, and what they answer is what it says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from active_learner.web.app import API, Page
from active_learner.web.openapi import DOCUMENT, PATHS, SCHEMAS
from tests.unit.web_stage import Stage, on_stage


def test_every_path_is_in_the_document_and_every_one_in_it_is_there(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        ways = {
            (path, method.lower())
            for method, path, _ in Page(stage.service, stage.doorman).paths()
            if path.startswith(API)
        }
        assert ways == {(path, method) for path, found in PATHS.items() for method in found}

    on_stage(scene, tmp_path)


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [one for value in part.values() for one in references(value)]
        return [one for value in part for one in references(value)] if isinstance(part, list) else []

    found = set(references(DOCUMENT))
    assert found == {f"#/components/schemas/{name}" for name in SCHEMAS}


def misfit(value: Any, schema: dict[str, Any], at: str = "") -> str:
    """Where a value is not of its schema; "": it is. Of JSON Schema, what the document uses."""
    if "$ref" in schema:
        return misfit(value, SCHEMAS[schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        return "" if any(not misfit(value, one, at) for one in schema["anyOf"]) else f"{at}: none of {schema['anyOf']}"
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "object": dict,
        "array": list,
        "null": type(None),
    }
    if not isinstance(value, kinds[schema["type"]]):  # type: ignore[arg-type]
        return f"{at}: {value!r} is no {schema['type']}"
    if schema["type"] == "array":
        return next(
            (told for number, one in enumerate(value) if (told := misfit(one, schema["items"], f"{at}[{number}]"))), ""
        )
    if schema["type"] != "object":
        return ""
    fields = schema.get("properties", {})
    unknown = set(value) - set(fields) if "additionalProperties" not in schema else set()
    missing = set(schema.get("required", ())) - set(value)
    if unknown or missing:
        return f"{at}: unknown {unknown}, missing {missing}"
    return next(
        (told for name in fields if name in value and (told := misfit(value[name], fields[name], f"{at}.{name}"))), ""
    )


@pytest.mark.parametrize("path", ["me", "questions", "history", "queue", "status", "openapi.json"])
def test_what_is_answered_is_what_the_document_says(tmp_path: Path, path: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q", "r")
        posting = asyncio.create_task(browser.post("/api/v1/answers", stage.word("q")))
        await stage.trainer.receive()
        assert not misfit((await posting).form, SCHEMAS["Receipt"])
        reply = await browser.get(f"/api/v1/{path}")
        schema = PATHS[f"{API}/{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert not misfit(reply.form, schema), misfit(reply.form, schema)

    on_stage(scene, tmp_path)


def test_a_refusal_is_what_the_document_says(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert not misfit((await stage.browser().get("/api/v1/me")).form, SCHEMAS["Problem"])
        browser = await stage.entered()
        assert not misfit((await browser.post("/api/v1/leases", {"wants": 2})).form, SCHEMAS["Leased"])

    on_stage(scene, tmp_path)


def test_the_checker_finds_what_does_not_fit() -> None:
    assert misfit({"id": "a", "question": "q", "status": 3, "text": ""}, SCHEMAS["Receipt"])
    assert misfit({"id": "a"}, SCHEMAS["Receipt"])
    assert misfit({"id": "a", "question": "q", "status": "stored", "text": "", "more": 1}, SCHEMAS["Receipt"])
