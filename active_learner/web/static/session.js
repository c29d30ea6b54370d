// What is asked now, what comes next, what was decided: the state of one annotator's page.
// Knows no DOM, no network, no clock and no disk; ids and times come in.
export const GOOD = new Set(["stored", "duplicate", "surplus", "late"]);
const ON_ITS_WAY = new Set(["sending", "unsent"]);
const REOPENS = new Set(["bad_value", "conflict"]);
const MOST = 1000; // decisions that can be changed; the service knows as many

// An entry of the history: { question, action, value, at, save, text, id }.
// save: sending (on its way), unsent (kept here), kept (on the service's disk), saved (the trainer has it), refused.
export class Session extends EventTarget {
  current = null;
  undone = false; // the current question was taken back: it stays even if it is closed
  correcting = null;
  ready = [];
  past = [];
  ended = "";
  done = 0; // answers of this page, skips apart
  #standing = new Map(); // question id -> { entry, settled: turn or null }: not asked again
  #back = new Map(); // question id -> turn at which its decision was taken back
  #turn = 0;

  constructor(historySize = 10) {
    super();
    this.historySize = historySize;
  }

  get shown() {
    return this.correcting?.question ?? this.current;
  }

  get held() {
    return [this.current, ...this.ready].filter(Boolean).map((question) => question.id);
  }

  // A mark to be taken before questions are fetched: what is decided after it is not asked again by an older reply.
  get turn() {
    return this.#turn;
  }

  // --- what the service says

  offer(questions, turn) {
    const known = new Map([this.current, ...this.ready].filter(Boolean).map((one) => [one.id, one]));
    const fresh = questions.filter((one) => one.id !== this.current?.id && !this.#decided(one.id, turn));
    this.ready = fresh.map((one) => known.get(one.id) ?? one);
    if (this.current) this.#changed("ready");
    else this.#next();
  }

  #decided(id, turn) {
    const found = this.#standing.get(id);
    if (!found) return false;
    const may = found.entry.action === "skip" || found.entry.status === "surplus"; // when it was closed, when others took theirs back
    return !may || found.settled === null || found.settled >= turn;
  }

  // It was closed by somebody else, or time is over.
  withdraw(id) {
    this.ready = this.ready.filter((one) => one.id !== id);
    if (this.current?.id !== id || this.undone) return false;
    this.#next();
    return true;
  }

  // Decided in another tab of the same person.
  elsewhere(id) {
    return this.#standing.has(id) ? false : this.withdraw(id);
  }

  settle(id, { save, status = "", text = "" }) {
    const entry = [...this.#standing.values()].find((one) => one.entry.id === id)?.entry;
    if (!entry) return null;
    Object.assign(entry, { save, status, text });
    if (!ON_ITS_WAY.has(save)) this.#standing.get(entry.question.id).settled ??= ++this.#turn;
    if (save === "refused" && REOPENS.has(status)) this.#standing.delete(entry.question.id);
    this.#changed("history");
    return entry;
  }

  // The service is away: what was on its way is kept here.
  unsent() {
    for (const entry of this.past) if (entry.save === "sending") entry.save = "unsent";
    this.#changed("history");
  }

  end(text) {
    this.ended = text || "The run has ended.";
    this.#changed("shown");
  }

  // The last decisions as the service knew them at `turn`; what it could not know yet stands before them, what is earlier than
  // all of them behind.
  remember(entries, turn) {
    const own = this.past.filter((entry) => (this.#standing.get(entry.question.id)?.settled ?? Infinity) > turn);
    const known = this.#without(own, entries, turn);
    const last = entries.length < this.historySize ? -Infinity : entries.at(-1).at;
    const earlier = this.#without([...own, ...known], this.past, turn).filter((entry) => entry.at <= last);
    this.#list([...own, ...known.map((entry) => this.#same(entry)), ...earlier]);
  }

  // Decisions before those that are here.
  remindOf(entries, turn) {
    this.#list([...this.past, ...this.#without(this.past, entries, turn)]);
  }

  #list(entries) {
    this.past = entries.slice(0, MOST);
    for (const entry of this.past) this.#stand(entry);
    this.#changed("history");
  }

  // Those that are neither listed nor were taken back after `turn`.
  #without(listed, entries, turn) {
    const ids = new Set(listed.map((entry) => entry.question.id));
    const open = this.undone ? this.current?.id : undefined;
    return entries.filter(({ question: { id } }) => !ids.has(id) && id !== open && !(this.#back.get(id) > turn));
  }

  // The entry that is here already, with what is new: its picture and an open correction stay with it.
  #same(entry) {
    const here = this.past.find((one) => one.question.id === entry.question.id);
    return here ? Object.assign(here, { ...entry, id: here.id ?? entry.id, question: here.question }) : entry;
  }

  // Words of an earlier page that were never sent, oldest first; the last one on a question counts.
  recall(words) {
    const last = new Map();
    for (const word of words) {
      last.delete(word.question.id);
      last.set(word.question.id, word);
    }
    const standing = [...last.values()].filter((word) => word.action !== "undo").reverse();
    this.past = standing.filter((entry) => entry.question.features);
    for (const entry of standing) this.#stand(entry);
    this.#changed("history");
  }

  #stand(entry) {
    const settled = ON_ITS_WAY.has(entry.save) ? null : this.#standing.get(entry.question.id)?.settled ?? this.#turn;
    this.#standing.set(entry.question.id, { entry, settled });
    if (this.current?.id === entry.question.id && !this.undone) this.#next();
  }

  // --- what the person does; each returns what is to be sent, in order

  decide(action, value, made) {
    if (this.correcting) return this.#correct(action, value, made);
    if (!this.current) return [];
    const entry = this.#record(this.current, action, value, made);
    this.done += action === "skip" ? 0 : 1;
    this.#next();
    return [entry];
  }

  #correct(action, value, made) {
    const before = this.correcting;
    this.correcting = null;
    if (before.action !== "undo" && before.value === value && (value !== null || before.action === action)) return this.#unchanged();
    const entry = this.#record(before.question, value === null ? action : "revise", value, made, before);
    this.#changed("shown");
    return value === null ? [this.#word(before.question, "undo", made.also, made.at), entry] : [entry]; // only a label can be revised
  }

  #unchanged() {
    this.#changed("shown");
    return [];
  }

  #record(question, action, value, made, before = null) {
    const entry = { ...this.#word(question, action, made.id, made.at), value, circumstances: made.circumstances ?? {} };
    const place = before ? this.past.indexOf(before) : -1;
    if (place >= 0) this.past[place] = entry;
    else this.past = [entry, ...this.past.filter((one) => one.question.id !== question.id)].slice(0, MOST);
    this.#standing.set(question.id, { entry, settled: null });
    this.#turn += 1;
    return entry;
  }

  #word(question, action, id, at) {
    return { id, question, action, value: null, at, circumstances: {}, save: "sending", text: "" };
  }

  // Takes a decision back, the last one when none is named, and asks it again: at once, before what was asked meanwhile; or, when
  // it is not here any more, as soon as it comes.
  undo(made, entry = this.past[0]) {
    if (this.correcting) return this.keep();
    if (!entry) return [];
    const { question } = entry;
    const word = this.#word(question, "undo", made.id, made.at);
    this.past = this.past.filter((one) => one !== entry);
    this.#standing.delete(question.id);
    this.#back.set(question.id, ++this.#turn);
    this.done = Math.max(0, this.done - (entry.action === "skip" ? 0 : 1));
    if (question.features) this.#showAgain(question);
    else this.#changed("history");
    return [word];
  }

  #showAgain(question) {
    if (this.current && this.current !== question) this.ready.unshift(this.current);
    [this.current, this.undone] = [question, true];
    this.#changed("shown");
  }

  open(entry) {
    this.correcting = entry;
    this.#changed("shown");
  }

  keep() {
    if (this.correcting) this.correcting = null;
    this.#changed("shown");
    return [];
  }

  #next() {
    this.current = this.ready.shift() ?? null;
    this.undone = false;
    this.#changed("shown");
  }

  #changed(what) {
    this.dispatchEvent(new Event(what));
  }
}
