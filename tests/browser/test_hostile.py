"""Hostile text, everywhere text is shown: it stays text, creates no element and runs no script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.desk import Desk, melodies, text
from tests.browser.hostile import payloads
from tests.browser.serving import Serving
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]

OURS = """
(ours) => {
  const known = new Set(ours.split(" "));
  const LEADS = new Set(["href", "src", "action", "formaction", "data", "srcset", "xlink:href"]);
  const all = [...document.querySelectorAll("*")];
  const foreign = all.map((one) => one.localName).filter((name) => !known.has(name));
  const handlers = all.flatMap((one) => [...one.attributes]).filter((one) => one.name.startsWith("on") || (LEADS.has(one.name) && /^\\s*(javascript|data|vbscript):/i.test(one.value)));
  return { foreign, handlers: handlers.map((one) => one.name), ran: window.__ran ?? 0, scripts: document.scripts.length, links: document.querySelectorAll("link, a[href^='//']").length };
}
"""
ELEMENTS = (
    "html head meta title link script body a header div svg circle span nav button main section h1 h2 p fieldset legend kbd path "
    "ol ul li noscript dialog form input label dl dt dd blockquote q canvas rect b strong small details summary table thead tbody tr th td "
    "g line text time i code"
)
CLEAN = {"foreign": [], "handlers": [], "ran": 0, "scripts": 1}
CHIEF = "\u201c<img src=x onerror=window.__ran=1>\u201d"


def clean(person: Visit) -> dict[str, Any]:
    found: dict[str, Any] = person.say(OURS, ELEMENTS)
    found.pop("links")
    return found


def test_the_corpus_has_two_hundred_payloads() -> None:
    assert len(payloads()) >= 200


def test_hostile_texts_stay_texts(serve: Serve, visit: Open) -> None:
    """Each is shown on the stage and in the history, as a person would see it."""
    corpus = payloads()
    size = max(len(one.encode()) for one in corpus)
    serving = serve(
        Desk([text(one, size) for one in corpus], media="text", classes=2, me={"class_names": ["wanted", "spam"]})
    )
    person = visit(serving).start()
    walk = """
    async () => {
      const { session, stages, history } = activeLearner;
      const { questions } = await (await fetch("/api/v1/questions?hold=1000")).json();
      const turn = session.turn + 1e9;
      const shown = [];
      const around = document.querySelectorAll("*").length;
      for (const question of questions) {
        activeLearner.session.current = question;
        activeLearner.present();
        shown.push([document.querySelector("#stage blockquote").textContent, document.querySelectorAll("#stage *").length]);
        history.paint();
      }
      session.past = questions.slice(-10).map((question, i) => ({ id: String(i), question, action: "answer", value: i % 2, at: i, save: "saved", text: "" }));
      history.paint();
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return shown;
    }
    """
    shown = person.say(walk)
    assert [words for words, _ in shown] == [one.encode().rstrip(b"\0").decode() for one in corpus]
    assert len({elements for _, elements in shown}) == 1
    assert clean(person) == CLEAN


def test_hostile_class_names_guide_and_names_stay_text(serve: Serve, visit: Open) -> None:
    corpus = payloads()
    guide = {str(number): words for number, words in enumerate(corpus)}
    me = {"class_names": corpus, "guide": guide, "experiment": CHIEF, "annotator": CHIEF + "\u202e", "title": CHIEF}
    serving = serve(Desk(list(melodies()), classes=len(corpus), me=me))
    person = visit(serving)
    assert person.page.locator("#start .guide > div").count() == len(corpus)
    person.start()
    assert person.page.locator(".answer").count() == len(corpus)
    assert person.page.locator("#experiment").inner_text() == CHIEF
    person.until("activeLearner.answerable")
    person.say("activeLearner.answer(0)")
    person.until("activeLearner.session.past.length === 1")
    person.chips()
    assert clean(person) == CLEAN


def test_hostile_notices_reasons_and_refusals_stay_text(serve: Serve, visit: Open) -> None:
    serving = serve(Desk([text("wanted or not")] * 3, media="text", classes=2))
    person = visit(serving).start()
    say = """
    (corpus) => {
      const { stream, session } = activeLearner;
      for (const words of corpus) {
        stream.dispatchEvent(new CustomEvent("notice", { detail: { level: "warning", text: words } }));
        if (document.querySelector("#notice p").textContent !== words) return words;
        stream.dispatchEvent(new CustomEvent("closed", { detail: { question: session.current.id, why: words } }));
        session.current = { ...(session.current ?? session.past[0]?.question), strategy: words, id: words };
        activeLearner.desk.text = words;
        activeLearner.present();
      }
      return "";
    }
    """
    person.page.keyboard.press("w")
    person.say("activeLearner.session.withdraw = (id) => true")
    assert person.say(say, payloads()) == ""
    serving.say(
        "status",
        {
            "text": CHIEF,
            "training": CHIEF,
            "asking": CHIEF,
            "labels": CHIEF,
            "accuracy": CHIEF,
            "model_version": CHIEF,
            "epochs": CHIEF,
        },
    )
    person.until("activeLearner.status?.text")
    serving.say("ended", {"text": CHIEF})
    person.page.locator(".rest").get_by_text(CHIEF).wait_for()
    assert clean(person) == CLEAN


def test_hostile_facts_of_a_run_stay_text(serve: Serve, visit: Open) -> None:
    corpus = payloads()
    peers = [{"name": words, "role": words, "age_s": 0.1, "health": words} for words in corpus]
    people = [{"annotator": words, "rate": 1, "minutes": [1, 2]} for words in corpus]
    status = {
        "text": CHIEF,
        "asking": CHIEF,
        "training": CHIEF,
        "epoch": 1,
        "epochs": 2,
        "peers": peers,
        "people": people,
        "answers": {CHIEF: 3},
    }
    serving = serve(Desk(list(melodies()), status=status, me={"experiment": CHIEF, "annotator": CHIEF}))
    person = visit(serving, "/run")
    person.page.locator("#peers .peer").nth(len(corpus) - 1).wait_for()
    for words in corpus[:40]:
        serving.say("notice", {"level": "warning", "text": words})
    person.until("document.querySelectorAll('#events li').length >= 40")
    assert clean(person) == CLEAN
