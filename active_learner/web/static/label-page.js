// The labeling page: one surface for asking, correcting and undoing, with the same keys. Joins the session (what is asked),
// the outbox (what is sent), the desk (what is held) and the views; holds no state of theirs.
import { Answers } from "./answers.js";
import { decisionSaid, namesOf, titleOf, isRating } from "./classes.js";
import { openHelp, openStart } from "./dialogs.js";
import { Ears } from "./ears.js";
import { History } from "./history.js";
import { newId } from "./outbox.js";
import { paintRest } from "./rest.js";
import { clearNotice, notice, paintAway, paintProgress, paintSaved, say } from "./signs.js";
import { Stages, isHeard } from "./stages.js";
import { byId, h, show } from "./tree.js";
import { afterPaint, keepMissing, keepNext } from "./waits.js";
import { paintWhy } from "./why.js";

const BOUNCE_MS = 120; // a bouncing key must not answer the next question unseen
const CHIME_S = 0.9;

export class LabelPage {
  status = null;
  news = "";
  measured = null;
  shut = false;
  opened = false; // all that the service knows is here
  #why = false;
  #whySeen = false;
  #presented = null;
  #stage = null;
  #openFrom = 0;
  #resting = false;

  constructor(parts) {
    Object.assign(this, parts, { names: namesOf(parts.me), rating: isRating(parts.me) });
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    this.stages = new Stages({ ...parts, still }, () => this.#paintAnswers());
    const act = { answer: (i) => this.answer(i), undo: () => this.undo(), skip: () => this.skip(), cannot_tell: () => this.cannotTell(), why: () => this.why() };
    this.answers = new Answers(this.me, this.keymap, act);
    this.history = new History(this.session, this.names, this.session.historySize, { earlier: () => this.ears.earlier(), takeBack: (entry) => this.undo(entry) });
    this.commands = { ...act, help: () => this.help() };
    this.ears = new Ears(this);
  }

  async open() {
    byId("experiment").textContent = this.me.experiment;
    byId("annotator").textContent = this.me.annotator;
    byId("avatar").textContent = [...this.me.annotator][0]?.toUpperCase() ?? "";
    byId("help-button").addEventListener("click", () => this.help());
    this.session.addEventListener("shown", () => this.present());
    this.session.addEventListener("ready", () => this.#prepare());
    this.session.addEventListener("history", () => this.paintSigns());
    this.ears.listen();
    this.session.recall(this.outbox.recall());
    await Promise.all([this.outbox.send(), this.ears.catchUp()]);
    this.#welcome();
    this.opened = true;
  }

  get sound() {
    const { shown, ready } = this.session;
    return shown ? isHeard(shown) : ready.length ? isHeard(ready[0]) : this.me.media === "melody";
  }

  // --- the start and the help

  #welcome() {
    const begin = () => this.#begin();
    if (!this.sound && sessionStorage.getItem("active-learner/started")) return;
    openStart({ ...this, sound: this.sound, ontry: (volume) => this.#tryVolume(volume), begin });
  }

  async #begin() {
    sessionStorage.setItem("active-learner/started", "yes");
    byId("title").focus();
    await this.player.start();
    if (this.sound && this.#stage?.begin) this.#stage.begin();
  }

  async #tryVolume(volume) {
    this.choices.set("volume", volume);
    await this.player.start();
    if (!this.player.playing) this.player.tone();
  }

  help() {
    openHelp({ ...this, sound: this.sound, ontry: (volume) => this.#tryVolume(volume) });
  }

  // --- what the person does

  answer(index, pressed) {
    this.#decide("answer", index, pressed);
  }

  cannotTell(pressed) {
    this.#decide("cannot_tell", null, pressed);
  }

  skip(pressed) {
    if (this.session.correcting) return this.keep();
    return this.#decide("skip", null, pressed, false);
  }

  #decide(action, value, pressed = performance.now(), lockable = true) {
    if (!this.asking || performance.now() < this.#openFrom) return;
    const left = lockable && !this.session.correcting ? this.#stage.locked() : 0;
    if (left > 0) return say(`Listen ${Math.ceil(left)} seconds more, then answer.`);
    if (value !== null) this.answers.flash(value);
    const before = this.session.correcting;
    const circumstances = { ...this.#stage.circumstances(), reasons: this.#whySeen };
    const words = this.session.decide(action, value, { id: newId(), also: newId(), at: Date.now() / 1000, circumstances });
    this.#send(words, pressed);
    if (before) return this.#sayCorrected(before, words.at(-1));
    this.#measure(pressed);
    return say(`${capital(decisionSaid(words[0], this.names))}. ${this.session.current ? "Next question." : "No question is here."}`);
  }

  #sayCorrected(before, word) {
    const was = decisionSaid(before, this.names);
    say(word ? `Corrected from ${was} to ${decisionSaid(word, this.names)}. Back to the question.` : `Kept ${was}.`);
  }

  #send(words, pressed) {
    for (const word of words) {
      this.ears.pressed(word.id, pressed);
      this.outbox.put(word);
    }
    this.paintSigns();
    if (!this.session.ready.length) void this.desk.fill();
  }

  #measure(pressed) {
    if (!this.session.current) return this.desk.waiting > 0 ? keepMissing() : undefined;
    return afterPaint((shown) => {
      performance.measure("next question", { start: pressed, end: shown });
      keepNext(shown - pressed);
    });
  }

  undo(entry = this.session.past[0]) {
    if (this.session.ended) return;
    if (this.session.correcting) return this.keep();
    if (!entry) return say("Nothing to undo.");
    this.#send(this.session.undo({ id: newId(), at: Date.now() / 1000 }, entry), performance.now());
    return say(`Took back ${decisionSaid(entry, this.names)}. ${entry.question.features ? "The question again." : "It is asked again soon."}`);
  }

  keep() {
    if (!this.session.correcting) return;
    this.session.keep();
    say("Back to the question.");
  }

  why() {
    this.#why = !this.#why;
    this.#whySeen ||= this.#why;
    this.#paintWhy();
  }

  get asking() {
    return this.session.shown !== null && !this.session.ended && !document.querySelector("dialog[open]");
  }

  // An answer would be taken now.
  get answerable() {
    return this.asking && performance.now() >= this.#openFrom && (Boolean(this.session.correcting) || this.#stage.locked() <= 0);
  }

  stageCommands() {
    return this.asking ? this.#stage.commands : {};
  }

  // --- drawing

  present() {
    const { shown, correcting, ended } = this.session;
    const view = ended ? "ended" : shown && `${shown.id} ${correcting ? "again" : ""}`;
    if (view && view === this.#presented && !ended) return this.paintSigns();
    this.#presented = view;
    const asks = Boolean(shown) && !ended;
    this.#frame(asks, correcting);
    if (asks) this.#showQuestion(shown);
    else this.#rest();
    this.#paintRound(asks);
    return this.#moveFocus(asks);
  }

  #frame(asks, correcting) {
    byId("title").textContent = correcting ? `Again: ${lower(titleOf(this.me))}` : titleOf(this.me);
    byId("title").hidden = byId("dock").hidden = document.querySelector(".jump").hidden = !asks;
    byId("ask-note").textContent = asks && !correcting ? `Question ${this.session.done + 1}` : "";
    document.title = `${asks ? (correcting ? "Correcting" : `Question ${this.session.done + 1}`) : this.session.ended ? "Done" : "Waiting"}: ${this.me.experiment}`;
    byId("correcting").hidden = !(asks && correcting);
    if (asks && correcting) this.#paintCorrecting(correcting);
  }

  #paintCorrecting(entry) {
    const word = decisionSaid(entry, this.names);
    show(byId("correcting"), h("p", {}, entry.action === "skip" ? "You skipped this one. " : ["You answered ", h("strong", {}, word), ". "], "Press another answer to change it."),
      h("button", { class: "btn", type: "button", onclick: () => this.keep() }, "Keep it", h("kbd", { "aria-hidden": "true" }, "Esc")));
  }

  #showQuestion(question) {
    const stage = this.stages.for(question);
    if (stage !== this.#stage || !stage.nodes[0].isConnected) {
      this.#stage?.leave();
      show(byId("stage"), stage.nodes);
    }
    this.#stage = stage;
    this.#whySeen = this.#why;
    const chimes = this.#resting && this.player.started && this.choices.get("chime", true);
    this.#resting = false;
    if (chimes) this.player.tone(true);
    stage.show(question, chimes ? CHIME_S : 0);
    this.#openFrom = performance.now() + BOUNCE_MS;
  }

  #rest() {
    this.#stage?.leave();
    this.#resting = true;
    const onchime = () => { this.choices.set("chime", !this.choices.get("chime", true)); this.player.start().then(() => this.player.tone(true)); this.#rest(); };
    paintRest({ ended: this.session.ended, here: this.service.here, text: this.desk.text, status: this.status, chime: this.choices.get("chime", true), onchime });
  }

  #paintRound(asks) {
    this.#paintAnswers();
    if (!asks) this.#why = false;
    this.#paintWhy();
    this.paintSigns();
    this.#prepare();
  }

  #moveFocus(asks) {
    if (asks && document.activeElement?.closest?.("#answers, #history, #correcting")) byId("title").focus(); // Space plays, and the question is read out
  }

  #paintAnswers() {
    const { correcting } = this.session;
    const locked = this.#stage && !correcting ? this.#stage.locked() : 0;
    this.answers.paint({ was: correcting?.value ?? null, correcting: Boolean(correcting), locked, least: this.me.min_listen_s });
  }

  #paintWhy() {
    this.answers.why.setAttribute("aria-expanded", String(this.#why));
    paintWhy(this.#why, this.session.shown, this.me);
  }

  #prepare() {
    const next = [this.session.shown, this.session.current, ...this.session.ready.slice(0, 3)].filter((one) => one && isHeard(one));
    this.sounds.prepare(next, this.player.speed);
  }

  paintSigns() {
    this.history.paint();
    paintSaved(this.#way(), this.outbox.size);
    paintAway(this.service.here || this.#isOver(), { unsent: this.outbox.size, left: this.session.ready.length, retry: () => this.ears.retry() });
    this.#paintProgress();
  }

  #way() {
    if (this.shut) return "shut";
    if (!this.service.here && !this.#isOver()) return "away";
    if (this.outbox.size) return "sending";
    return this.ears.kept.size ? "kept" : "saved";
  }

  // Nothing is left to be sent: that the service goes with the run is no trouble.
  #isOver() {
    return Boolean(this.session.ended) && !this.outbox.size;
  }

  #paintProgress() {
    paintProgress({ status: this.status, me: this.me, done: this.session.done, open: this.status?.open_questions ?? 0, rating: this.rating, news: this.news });
  }

  // The trainer has said how it goes; what is shown of a question stays as it is.
  heard(status) {
    this.status = status;
    this.measured ??= status?.accuracy; // later ones come with the rounds: a status may be told first
    this.#paintProgress();
    if (!this.session.shown && !this.session.ended) this.#rest();
  }

  tell(text, level) {
    notice(text, level);
    if (level !== "info") say(text);
  }

  untell() {
    clearNotice();
  }

  repaint() {
    if (this.asking) this.#stage.repaint();
  }
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
