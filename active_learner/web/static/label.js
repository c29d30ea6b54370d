// The labeling page's start: who is here, then everything is put together. Knows what exists; the parts know what they do.
import { Choices } from "./choices.js";
import { Desk } from "./desk.js";
import { Keymap } from "./keys.js";
import { namesOf } from "./classes.js";
import { LabelPage } from "./label-page.js";
import { Outbox, newId } from "./outbox.js";
import { Player } from "./player.js";
import { Service, Refused } from "./service.js";
import { Session } from "./session.js";
import { notice, paintSaved } from "./signs.js";
import { Sounds } from "./sounds.js";
import { Stream } from "./stream.js";
import { instrumentOf } from "./synth.js";

const RETRY_MS = 1000;
const NOT_LET_IN = "This browser is not let in: open the link that the service has printed.";

async function start() {
  const service = new Service();
  const me = await whoAmI(service);
  if (!me) return;
  service.csrf = me.csrf;
  if (me.renderer) await import(me.renderer).catch((error) => notice(`The experiment's own view could not be loaded: ${error.message}`));
  const page = new LabelPage(parts(service, me));
  globalThis.activeLearner = page; // for the browser tests and the benchmark
  await page.open();
}

function parts(service, me) {
  const choices = new Choices();
  const player = new Player(instrumentOf(me.instrument));
  Object.assign(player, { speed: choices.get("speed", 1), volume: choices.get("volume", me.instrument?.volume ?? 0.8) });
  const session = new Session(me.history_size ?? 10);
  const outbox = new Outbox(service, `${me.experiment}/${me.annotator}`);
  const page = newId();
  const keymap = new Keymap(namesOf(me), me.keys);
  return { service, me, choices, player, session, outbox, keymap, desk: new Desk(service, session, outbox, page), sounds: new Sounds(player.instrument), stream: new Stream(service, page) };
}

// Until the service says it; a page that is not let in says so and stays.
async function whoAmI(service) {
  for (;;) {
    try {
      return (await service.get("/me")).body;
    } catch (error) {
      if (error instanceof Refused) return refused(error);
      notice("The service does not answer yet.", "info");
      await new Promise((done) => { setTimeout(done, RETRY_MS); });
    }
  }
}

function refused(error) {
  document.getElementById("title").textContent = "Not let in";
  paintSaved("shut", 0);
  notice(error.status === 401 ? NOT_LET_IN : error.message);
  return null;
}

void start();
