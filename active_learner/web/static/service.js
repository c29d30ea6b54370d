// The way to the service: requests with the CSRF token, what it says when it refuses, and whether it is there.
// Knows paths and status codes; not what a question or an answer is.
const ROOT = "/api/v1";
const AWAY = new Set([502, 503, 504]); // from what stands before the service; its own 503 says why, as a problem

export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    Object.assign(this, { status, problem, retryAfter });
  }
}

export class Away extends Error {}

// Events: "here" and "away" when that changes.
export class Service extends EventTarget {
  here = true;
  csrf = "";

  get(path) {
    return this.#ask(path, {});
  }

  post(path, body) {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": this.csrf };
    return this.#ask(path, { method: "POST", headers, body: JSON.stringify(body), keepalive: true });
  }

  // Said while the page goes; nobody waits for an answer, and a header cannot be set.
  farewell(path, body) {
    navigator.sendBeacon(ROOT + path, new Blob([JSON.stringify({ ...body, csrf: this.csrf })], { type: "application/json" }));
  }

  async #ask(path, options) {
    const response = await this.#fetch(path, options);
    const said = await response.json().catch(() => ({}));
    if (response.ok) return { status: response.status, body: said };
    throw new Refused(response.status, said, Number(response.headers.get("Retry-After")) || 0);
  }

  async #fetch(path, options) {
    let response = null;
    try {
      response = await fetch(ROOT + path, { ...options, credentials: "same-origin", cache: "no-store" });
    } catch {
      response = null;
    }
    const isProblem = response?.headers.get("Content-Type")?.startsWith("application/problem+json");
    this.mark(response !== null && (isProblem || !AWAY.has(response.status)));
    if (!this.here) throw new Away("The service is away.");
    return response;
  }

  mark(here) {
    if (here === this.here) return;
    this.here = here;
    this.dispatchEvent(new Event(here ? "here" : "away"));
  }
}
