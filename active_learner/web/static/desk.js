// Which questions this browser holds: fetched ahead, renewed while the page is open, given back when it goes.
// Knows leases and when to ask; not how a question looks.
import { Away, Refused } from "./service.js";

const HOLD = 3; // the one that is shown and two ahead: an answer takes seconds, a fetch some milliseconds
const MOST = 20; // what the service takes
const RENEWALS = 3; // in the time of a lease
const RETRY_MS = 1000;

// Events: "waiting" { waiting, text } after each fetch, "refused" { error }.
export class Desk extends EventTarget {
  #under = false;
  #again = false;
  #timer = 0;
  #seconds = 60;

  // `page`: its id, by which the service knows whether another one of this annotator is open.
  constructor(service, session, outbox, page) {
    super();
    Object.assign(this, { service, session, outbox, page, waiting: null, text: "", gone: false });
  }

  // Fetches what is to be held; a call while one is under way makes one more after it.
  async fill() {
    if (this.#under || this.gone) {
      this.#again = true;
      return;
    }
    this.#under = true;
    try {
      do {
        this.#again = false;
        await this.#fetch();
      } while (this.#again && this.service.here && !this.gone);
    } finally {
      this.#under = false;
      this.#renewLater();
    }
  }

  // What is decided and not yet taken by the service still counts as held there.
  get #hold() {
    return Math.min(HOLD + this.outbox.size, MOST);
  }

  async #fetch() {
    const turn = this.session.turn;
    try {
      const { body } = await this.service.get(`/questions?hold=${this.#hold}`);
      this.#taken(body, turn);
    } catch (error) {
      if (error instanceof Refused) this.#tell("refused", { error });
      else if (!(error instanceof Away)) throw error;
    }
  }

  #taken({ questions, waiting, text }, turn) {
    Object.assign(this, { waiting, text: text ?? "" });
    const expiries = questions.map((one) => one.expires_at).filter((at) => typeof at === "number");
    if (expiries.length) this.#seconds = Math.max(2, Math.min(60, Math.min(...expiries) - Date.now() / 1000));
    this.session.offer(questions, turn);
    this.#tell("waiting", { waiting, text: this.text });
  }

  #renewLater() {
    clearTimeout(this.#timer);
    const wait = this.service.here ? (1000 * this.#seconds) / RENEWALS : RETRY_MS;
    this.#timer = setTimeout(() => this.fill(), wait);
  }

  // The page goes: others may have these at once. It may come back from the browser's cache.
  leave() {
    this.gone = true;
    clearTimeout(this.#timer);
    this.service.farewell("/leases", { wants: 0, holds: [], gives: this.session.held, page: this.page });
  }

  back() {
    this.gone = false;
    return this.fill();
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
