// How long this browser made its person wait: key press to next question, answer to saved. Knows clocks; no page.
const KEPT = 1000;
const KEY = "active-learner/waits";

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

// { next: [ms], saved: [ms], missing } of this browser, newest last.
export function waits() {
  const { next = [], saved = [], missing = 0 } = read();
  return { next, saved, missing };
}

function write(changed) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...waits(), ...changed }));
  } catch {
    // a full storage: unsent answers need it more
  }
}

const added = (values, ms) => [...values, Number(ms.toFixed(1))].slice(-KEPT);

export const keepSaved = (ms) => write({ saved: added(waits().saved, ms) });
export const keepMissing = () => write({ missing: waits().missing + 1 });
export const keepNext = (ms) => write({ next: added(waits().next, ms) });

// After the frame that shows it has been painted: a message comes behind the rendering, a frame callback before it.
export function afterPaint(then) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => then(performance.now());
    channel.port2.postMessage(null);
  });
}
