// What the page hears: keys, the service's events, what became of each answer, the browser's own comings and goings.
// Turns each into a call; decides and draws nothing.
import { Refused } from "./service.js";
import { GOOD } from "./session.js";
import { keepSaved } from "./waits.js";

const EARLIER = 30; // decisions that are fetched at a time
const SHUT = "This browser is not let in any more: open the link that the service has printed. Your answers are kept here.";

export class Ears {
  kept = new Set(); // ids that are on the service's disk and not yet confirmed
  #pressed = new Map(); // id -> when its key was pressed
  #confirmed = new Set(); // ids with a final receipt
  #renewed = false;

  constructor(page) {
    this.page = page;
  }

  listen() {
    const { service, stream, outbox, desk } = this.page;
    for (const kind of ["here", "away"]) service.addEventListener(kind, () => this.#moved());
    outbox.addEventListener("sent", ({ detail }) => this.#sent(detail));
    outbox.addEventListener("refused", ({ detail }) => this.#refused(detail));
    outbox.addEventListener("waiting", ({ detail }) => this.#waiting(detail.error));
    outbox.addEventListener("unkept", ({ detail }) => this.page.tell(detail.text));
    desk.addEventListener("waiting", () => this.page.heard(this.page.status));
    desk.addEventListener("refused", ({ detail }) => this.#waiting(detail.error));
    this.#listenToStream(stream);
    this.#listenToBrowser();
    stream.open();
  }

  #listenToStream(stream) {
    const { session, desk } = this.page;
    const hear = { questions: () => void desk.fill(), closed: (said) => this.#closed(said), receipt: (said) => this.#receipt(said), status: (said) => this.page.heard(said), round: (said) => this.#round(said),
      trainer: (said) => this.#trainer(said), notice: ({ level, text }) => { if (!session.ended) this.page.tell(text, level); }, ended: ({ text }) => session.end(text) };
    for (const [kind, call] of Object.entries(hear)) stream.addEventListener(kind, ({ detail }) => call(detail));
    stream.addEventListener("open", () => void this.catchUp());
  }

  #listenToBrowser() {
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("pagehide", () => { this.page.desk.leave(); this.page.stream.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted) { this.page.stream.open(); void this.page.desk.back(); } });
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) void this.page.desk.fill(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.page.repaint());
    new ResizeObserver(() => this.page.repaint()).observe(document.getElementById("stage"));
  }

  // --- keys

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, select, textarea, summary")) return;
    if (event.key === "Escape") return this.page.keep();
    const found = this.page.keymap.find(event);
    if (!found || (!this.page.choices.get("single-keys", true) && found.command !== "help")) return;
    if (event.target.closest?.("button, a") && (event.key === " " || event.key === "Enter")) return; // a focused button keeps its own keys
    this.#run(found, event);
  }

  #run({ answer, command }, event) {
    const call = answer === undefined ? this.page.commands[command] ?? this.page.stageCommands()[command] : () => this.page.answer(answer, event.timeStamp);
    if (!call) return;
    event.preventDefault();
    if (!event.repeat) call(answer === undefined && ["skip", "cannot_tell"].includes(command) ? event.timeStamp : undefined);
  }

  // --- what became of an answer

  pressed(id, at) {
    this.#pressed.set(id, at);
  }

  #sent({ word, status, said }) {
    if (!this.#confirmed.has(word.id)) this.#settle(word.id, status === 202 ? "kept" : said.status, said.text); // a receipt may be faster than the reply
    void this.page.desk.fill();
    this.page.paintSigns();
  }

  #settle(id, status, text = "") {
    const save = status === "kept" ? "kept" : GOOD.has(status) ? "saved" : "refused";
    if (save === "saved" && this.#pressed.has(id)) keepSaved(performance.now() - this.#pressed.get(id));
    if (save === "kept") this.kept.add(id);
    else this.#confirm(id);
    if (save === "refused") this.page.tell(text || `An answer was not taken (${status}).`);
    this.page.session.settle(id, { save, status, text });
  }

  #confirm(id) {
    this.#pressed.delete(id);
    this.kept.delete(id);
    this.#confirmed.add(id);
  }

  #receipt({ id, question, status, text }) {
    if (status === "storage_full") return this.page.tell(text); // the service says it again
    if (this.#pressed.has(id) || this.kept.has(id)) this.#settle(id, status, text);
    else if (this.page.session.elsewhere(question)) void this.#history();
    return this.page.paintSigns();
  }

  #refused({ word, error }) {
    this.#pressed.delete(word.id);
    this.page.session.settle(word.id, { save: "refused", status: error.problem.status_word ?? "", text: error.message });
    this.page.tell(error.message);
    if (error.status === 410) this.page.session.end(error.message);
    void this.page.desk.fill();
    this.page.paintSigns();
  }

  // Not taken yet: the browser keeps it. A page of an earlier start of the service has an old token: it asks for a new one, once.
  #waiting(error) {
    this.page.session.unsent();
    if (error instanceof Refused && error.status === 401) this.#shut();
    else if (error instanceof Refused && error.status === 403 && !this.#renewed) void this.#renew();
    else if (error instanceof Refused) this.page.tell(error.message);
    this.page.paintSigns();
  }

  #shut() {
    if (!this.page.shut) this.page.tell(SHUT);
    this.page.shut = true;
  }

  async #renew() {
    this.#renewed = true;
    if (await this.#token()) await this.page.outbox.retryNow();
    this.#renewed = false;
  }

  // True: the service has said the one of today.
  async #token() {
    const { body } = await this.page.service.get("/me").catch(() => ({ body: {} }));
    if (body.csrf) this.page.service.csrf = body.csrf;
    return Boolean(body.csrf);
  }

  // --- the service

  // All that may have been missed: after the start, and after each new connection.
  async catchUp() {
    const { service, outbox, desk } = this.page;
    const status = service.get("/status").then(({ body }) => this.page.heard(body), () => undefined);
    await Promise.all([this.#token(), outbox.retryNow(), desk.fill(), this.#history(), status]);
    this.page.paintSigns();
  }

  async #history() {
    const { turn, historySize } = this.page.session;
    const { body } = await this.page.service.get(`/history?limit=${historySize}`).catch(() => ({ body: null }));
    if (!body) return;
    this.page.session.remember(entriesOf(body), turn);
    this.page.paintSigns();
  }

  // Fetches decisions before those that are here; false: there are no more.
  async earlier() {
    const { turn, past } = this.page.session;
    const last = past.findLast((entry) => !["sending", "unsent"].includes(entry.save)); // the others the service does not know
    const query = last ? `&before=${encodeURIComponent(last.question.id)}` : "";
    const { body } = await this.page.service.get(`/history?limit=${EARLIER}${query}`).catch(() => ({ body: null }));
    if (body) this.page.session.remindOf(entriesOf(body), turn);
    return !body || body.length === EARLIER;
  }

  #closed({ question, why }) {
    if (this.page.session.withdraw(question)) this.page.tell(`The question was closed: ${why || "somebody else answered it"}.`, "info");
    void this.page.desk.fill();
  }

  #round({ line }) {
    if (typeof line?.accuracy !== "number" || line.held_back) return;
    const gain = (100 * (line.accuracy - (this.page.measured ?? line.accuracy))).toFixed(1);
    this.page.measured = line.accuracy;
    this.page.news = Number(gain) ? gain.replace("-", "−").replace(/^(?=\d)/, "+") : "";
  }

  #trainer({ here }) {
    this.page.heard(this.page.status);
    if (!here) this.page.tell("The trainer is away: answers are kept by the service until it is back.", "info");
    else this.page.untell();
  }

  #moved() {
    if (this.page.service.here) {
      this.page.shut = false;
      void this.retry();
    } else this.page.session.unsent();
    if (this.page.session.ended) this.page.present();
    else this.page.paintSigns();
  }

  retry() {
    this.page.stream.retryNow();
    return Promise.all([this.page.outbox.retryNow(), this.page.desk.fill()]);
  }
}

// The service's history, newest first: { question, action, value, at, status, Q }; Q null: it cannot be shown any more.
function entriesOf(body) {
  const entries = body.filter((one) => one.action !== "undo").map((one) => ({
    id: one.id, question: one.Q ?? { id: one.question }, action: one.action, value: one.value, at: one.at, circumstances: {}, status: one.status, text: one.text ?? "",
    save: one.status ? (GOOD.has(one.status) ? "saved" : one.status === "kept" ? "kept" : "refused") : "kept",
  }));
  return entries.sort((a, b) => b.at - a.at);
}
