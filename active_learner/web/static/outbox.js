// Answers that the service has not taken yet, in the browser's storage, sent one at a time in the order they were given.
// Knows storage and how to send; not what an answer means. The id of each was made at the key press, so that the service
// takes a repeat as the same.
import { Away, Refused } from "./service.js";

const RETRY_MS = [250, 500, 1000, 2000, 4000];
const WAITS = new Set([401, 403, 408, 429, 500, 503]); // what may be taken when it is said again
const FATAL = "The browser's storage is full: this answer is only in this tab until it is sent.";

// Events: "sent" { word, status, said }, "refused" { word, error }, "waiting" { error }, "unkept" { text }.
export class Outbox extends EventTarget {
  #words = []; // oldest first: { key, body, question, isOwn: made in this tab }
  #counter = 0;
  #tries = 0;
  #timer = 0;
  #sending = false;

  constructor(service, owner, storage = localStorage) {
    super();
    Object.assign(this, { service, storage, prefix: `active-learner/unsent/${owner}/` });
  }

  get size() {
    return this.#words.length;
  }

  // What an earlier page of this browser has left.
  recall() {
    const keys = Object.keys(this.storage).filter((key) => key.startsWith(this.prefix)).sort();
    this.#words = keys.map((key) => this.#read(key)).filter(Boolean);
    return this.#words.map((word) => ({ ...word.body, question: word.question ?? { id: word.body.question }, save: "unsent", text: "" }));
  }

  #read(key) {
    try {
      return { key, ...JSON.parse(this.storage.getItem(key)) };
    } catch {
      return null;
    }
  }

  put(entry) {
    const { id, question, action, value, at, circumstances } = entry;
    const key = `${this.prefix}${String(Date.now()).padStart(15, "0")}-${String(this.#counter++).padStart(6, "0")}-${id}`;
    const word = { key, body: { id, question: question.id, action, value, at, circumstances }, question, isOwn: true };
    this.#words.push(word);
    this.#keep(word);
    void this.send();
  }

  // With the question, so that a page that is loaded again can show it; without, when there is no room for that.
  #keep({ key, body, question }) {
    for (const content of [{ body, question }, { body }]) {
      try {
        return this.storage.setItem(key, JSON.stringify(content));
      } catch {
        continue;
      }
    }
    return this.#tell("unkept", { text: FATAL });
  }

  retryNow() {
    this.#tries = 0;
    return this.send();
  }

  async send() {
    clearTimeout(this.#timer);
    if (this.#sending) return;
    this.#sending = true;
    try {
      await (this.#words.every((word) => word.isOwn) ? this.#drain() : alone(this.prefix, () => this.#drain()));
    } finally {
      this.#sending = false;
    }
  }

  async #drain() {
    while (this.#words.length) {
      const word = this.#words[0];
      try {
        const { status, body } = await this.service.post("/answers", word.body);
        this.#done(word);
        this.#tell("sent", { word: word.body, status, said: body });
      } catch (error) {
        if (!this.#over(word, error)) return;
      }
    }
  }

  // True: this one is settled, go on with the next.
  #over(word, error) {
    if (error instanceof Refused && !WAITS.has(error.status)) {
      this.#done(word);
      this.#tell("refused", { word: word.body, error });
      return true;
    }
    if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
    const wait = error.retryAfter ? 1000 * error.retryAfter : RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    this.#timer = setTimeout(() => this.send(), wait);
    this.#tell("waiting", { error });
    return false;
  }

  #done(word) {
    this.#tries = 0;
    this.#words.shift();
    this.storage.removeItem(word.key);
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

// Two tabs of one person do not send what an earlier page has left at the same time; what is made in a tab is in no other, and
// a lock would cost it a frame. Locks exist only on https and loopback; without them the ids make repeats harmless.
function alone(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}

// 32 hex digits; randomUUID exists only on https and loopback.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
