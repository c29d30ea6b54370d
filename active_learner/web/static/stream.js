// Server-sent events, and the way back to them. Knows when to try again; not what an event means.
const FIRST_MS = 250;
const LONGEST_MS = 4000;
export const KINDS = ["questions", "closed", "receipt", "status", "round", "trainer", "notice", "ended"];

// Events: "open" after each connection (all that was missed is to be fetched), and one CustomEvent for each kind.
// EventSource's own retry waits 3 s and gives up on an error page; this one comes back within a quarter second.
export class Stream extends EventTarget {
  #source = null;
  #timer = 0;
  #wait = FIRST_MS;

  // `page`: of a labeling page, which keeps its questions while its stream is open.
  constructor(service, page = "") {
    super();
    Object.assign(this, { service, path: `/api/v1/events${page && `?page=${page}`}` });
  }

  open() {
    this.close();
    this.#source = new EventSource(this.path);
    this.#source.addEventListener("open", () => this.#opened());
    this.#source.addEventListener("error", () => this.#lost());
    for (const kind of KINDS) this.#source.addEventListener(kind, (event) => this.#said(kind, event.data));
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  retryNow() {
    this.#wait = FIRST_MS;
    if (!this.live) this.open();
  }

  get live() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #opened() {
    this.#wait = FIRST_MS;
    this.service.mark(true);
    this.dispatchEvent(new Event("open"));
  }

  #lost() {
    this.close();
    this.service.mark(false);
    this.#timer = setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_MS);
  }

  #said(kind, data) {
    let detail = {};
    try {
      detail = JSON.parse(data || "{}");
    } catch {
      return; // a torn line: what it told is fetched again at the next event
    }
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
