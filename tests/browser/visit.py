"""A person at a page: looks, presses keys, waits for what must come. Knows playwright; not what is right."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator

WITHIN_MS = 120_000
"""Everything here takes milliseconds; a machine that is busy with other things gets two minutes."""

WATCH = """
window.seen = { violations: [], contexts: [], early: null };
document.addEventListener("securitypolicyviolation", (event) => seen.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
const Own = window.AudioContext;
const probe = new Own();
document.addEventListener("readystatechange", () => { if (document.readyState === "complete") { seen.early = probe.state; probe.close(); } });
window.AudioContext = class extends Own { constructor(...args) { super(...args); seen.contexts.push({ pressed: navigator.userActivation.hasBeenActive }); } };
"""
"""Runs before the page's own scripts. A context made at load tells whether the browser lets sound play without a press."""

UNTIL = """(argument) => new Promise((done, failed) => {
  const holds = %s;
  const last = performance.now() + %d;
  const look = () => {
    if (holds(argument)) done();
    else if (performance.now() > last) failed(new Error(`never came: ${holds}`));
    else setTimeout(look, 10);
  };
  look();
})"""

NOTE_WAYS = """() => {
  const sign = document.getElementById("saved");
  window.ways = new Set([sign.dataset.way]);
  new MutationObserver(() => ways.add(sign.dataset.way)).observe(sign, { attributes: true });
}"""

LOST = (
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_CONNECTION_RESET",
    "net::ERR_INCOMPLETE_CHUNKED",
    "net::ERR_EMPTY_RESPONSE",
)


class Visit:
    def __init__(self, browser: Browser, url: str, options: dict[str, Any]) -> None:
        self.url = url
        annotator = options.pop("annotator", None)
        self.context = browser.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 800}), **options)
        self.context.set_default_timeout(WITHIN_MS)
        if annotator:
            self.context.add_cookies([{"name": "annotator", "value": annotator, "url": url}])
        self.page = self.context.new_page()
        self.page.add_init_script(WATCH)
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of console errors that the test brings about."""
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in self.expected):
            self.complaints.append(message.text)

    def open(self, path: str = "/") -> None:
        self.page.goto(self.url + path)
        if path == "/":
            self.until("window.activeLearner?.opened")

    def start(self) -> Visit:
        """Presses the start button with the mouse, as a person does."""
        self.page.locator("#start button.main").click()
        self.until("!document.querySelector('dialog[open]')")
        return self

    def until(self, condition: str, argument: Any = None) -> None:
        """`condition`: an expression, or a function of `argument`. Playwright's own wait evaluates text, which the policy forbids."""
        look = condition if "=>" in condition.split("(")[0] else f"() => ({condition})"
        self.page.evaluate(UNTIL % (look, WITHIN_MS), argument)

    def say(self, expression: str, argument: Any = None) -> Any:
        return self.page.evaluate(expression, argument)

    @property
    def question(self) -> str:
        """The id of what is shown."""
        shown: str = self.say("activeLearner.session.shown?.id ?? ''")
        return shown

    def press(self, key: str) -> None:
        """Once an answer is taken, not before: a bouncing key is not."""
        self.until("activeLearner.answerable")
        self.page.keyboard.press(key)

    def answer(self, *keys: str) -> None:
        """Each, and then the next question is there."""
        for key in keys:
            before = self.question
            self.press(key)
            self.until("id => activeLearner.session.current?.id !== id", before)

    def saved(self) -> None:
        """The sign says that all is saved."""
        self.page.locator("#saved[data-way=saved]").wait_for()

    def way(self, name: str) -> None:
        self.page.locator(f"#saved[data-way={name}]").wait_for()

    def note_ways(self) -> None:
        """From now on all that the sign says is kept, for `noted`."""
        self.say(NOTE_WAYS)

    def noted(self, way: str) -> None:
        """It has said so since then, however short."""
        self.until("way => ways.has(way)", way)

    def drawn(self) -> Visit:
        """What has happened is on the screen: the history is drawn with the next frame."""
        self.say("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self

    def chips(self) -> list[str]:
        """What the history says was answered, newest first."""
        self.drawn()
        return self.page.locator("#history .given").all_inner_texts()

    def live(self) -> str:
        return self.page.locator("#live").inner_text()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def close(self) -> None:
        violations = self.say("window.seen?.violations ?? []")
        self.context.close()
        assert violations == []
        assert self.complaints == []
