// The run page: fetches once, then follows the events. Knows which event changes which block; draws nothing itself.
import { paintCurve, paintLink, paintMenu, paintPace, paintPeers, paintPhases, paintPool, paintWaits, addEvent } from "./run-views.js";
import { leadOf } from "./run-facts.js";
import { Refused, Service } from "./service.js";
import { Stream } from "./stream.js";
import { byId } from "./tree.js";
import { waits } from "./waits.js";
import { isNumber, percent } from "./words.js";

const RETRY_MS = 1000;

class RunPage {
  status = {};
  rounds = { rounds: [], control: [] };
  ended = "";
  #due = false;

  constructor(service, me) {
    Object.assign(this, { service, me, stream: new Stream(service) });
  }

  open() {
    byId("experiment").textContent = this.me.experiment;
    document.title = `Run: ${this.me.experiment}`;
    byId("annotator").textContent = this.me.annotator;
    byId("avatar").textContent = [...this.me.annotator][0]?.toUpperCase() ?? "";
    paintMenu(this.me.experiment);
    this.#listen();
    this.stream.open();
  }

  #listen() {
    const hear = { status: (said) => this.#heard(said), round: (said) => this.#round(said), trainer: ({ here }) => addEvent(here ? "The trainer is here." : "The trainer is away: answers are kept.", !here),
      notice: ({ level, text }) => addEvent(text, level !== "info"), closed: ({ why }) => addEvent(`A question was closed: ${why}.`), receipt: ({ status, text }) => addEvent(`An answer: ${status}${text ? `, ${text}` : ""}.`), ended: ({ text }) => this.#end(text) };
    for (const [kind, call] of Object.entries(hear)) this.stream.addEventListener(kind, ({ detail }) => call(detail));
    this.stream.addEventListener("open", () => void this.#catchUp());
    for (const kind of ["here", "away"]) this.service.addEventListener(kind, () => paintLink(this.service.here));
    new ResizeObserver(() => this.paint()).observe(byId("board"));
    addEventListener("storage", () => this.paint()); // the other tab has measured a wait
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stream.close() : this.stream.open())); // a browser has six connections
  }

  async #catchUp() {
    paintLink(true);
    const asked = ["/status", "/rounds"].map((path) => this.service.get(path).then(({ body }) => body, () => null));
    const [status, rounds] = await Promise.all(asked);
    this.status = status ?? this.status;
    this.rounds = rounds ?? this.rounds;
    this.paint();
  }

  #heard(status) {
    this.status = { ...this.status, ...status };
    this.ended = status.ended ?? this.ended;
    this.paint();
  }

  #round({ line }) {
    const model = isNumber(line.accuracy) ? `: ${percent(line.accuracy)}` : "";
    addEvent(line.held_back ? `Round ${line.round} was held back: ${line.held_back}` : `Model v${line.model_version}${model} with ${line.labels} labels.`, Boolean(line.held_back));
    void this.#catchUp();
  }

  #end(text) {
    this.ended = text || "The run has ended.";
    addEvent(this.ended);
    this.paint();
  }

  // Once a frame, however many events came.
  paint() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#paint();
    });
  }

  #paint() {
    const [title, note] = leadOf(this.status, this.me, this.ended);
    if (byId("lead").textContent !== title) byId("lead").textContent = title;
    byId("lead-note").textContent = note;
    paintPhases(this.status);
    paintCurve(this.rounds);
    paintPool(this.rounds);
    paintPace(this.status, this.rounds);
    paintWaits(waits(), this.status);
    paintPeers(this.status);
  }
}

async function start() {
  const service = new Service();
  paintLink(true);
  const me = await whoAmI(service);
  if (me) new RunPage(service, me).open();
}

async function whoAmI(service) {
  for (;;) {
    try {
      return (await service.get("/me")).body;
    } catch (error) {
      if (error instanceof Refused) {
        byId("lead").textContent = "Not let in";
        byId("lead-note").textContent = error.status === 401 ? "Open the link that the service has printed." : error.message;
        return null;
      }
      paintLink(false);
      await new Promise((done) => { setTimeout(done, RETRY_MS); });
    }
  }
}

void start();
