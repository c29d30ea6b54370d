// Which key does what, and how it is printed: one table for both. Knows no page and no question.
export const COMMANDS = { replay: " ", play: "p", loop: "l", roll: "h", slower: "[", faster: "]", skip: "ArrowRight", cannot_tell: "-", undo: "Backspace", why: "w", help: "?" };
const PRINTED = { " ": "Space", ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫", Escape: "Esc", "-": "–" };
const NAMED = { space: " ", right: "ArrowRight", left: "ArrowLeft", up: "ArrowUp", down: "ArrowDown", backspace: "Backspace", enter: "Enter", tab: "Tab", delete: "Delete" };
const ALPHABET = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
const isLetter = (key) => /^[a-z]$/.test(key ?? "");
const plain = (key) => NAMED[key.toLowerCase()] ?? (key.length === 1 ? key.toLowerCase() : key);

// Digits while they last; past ten classes the first free letter of the name, so that it can be remembered.
export function keysOf(names) {
  if (names.every((name) => /^\d$/.test(name))) return [...names];
  if (names.length <= 10) return names.map((_, i) => String((i + (names.length < 10 ? 1 : 0)) % 10));
  const taken = new Set();
  return names.map((name) => {
    const key = [...name.toLowerCase().replace(/[^a-z]/g, ""), ...ALPHABET].find((one) => !taken.has(one)) ?? null;
    taken.add(key);
    return key;
  });
}

export class Keymap {
  // `remap`: command -> key, from the configuration; a class by its number ("3") has a key too.
  constructor(names, remap = {}) {
    this.answers = keysOf(names);
    this.commands = { ...COMMANDS };
    this.letters = this.answers.some(isLetter); // then all commands on letters need Shift
    for (const [name, key] of Object.entries(remap)) this.#put(name, plain(String(key)));
  }

  #put(name, key) {
    const index = /^(?:answer[_ .]?)?(\d+)$/.exec(name)?.[1];
    if (index !== undefined && Number(index) < this.answers.length) this.answers[Number(index)] = key;
    else if (Object.hasOwn(this.commands, name)) this.commands[name] = key;
  }

  // { answer: index }, { command: name } or null. A digit is found by its place too: French keyboards need Shift for it.
  find(event) {
    const key = plain(event.key);
    const answer = event.shiftKey && isLetter(key) ? -1 : this.#answer(key, event.code);
    if (answer >= 0) return { answer };
    const command = Object.keys(this.commands).find((name) => this.commands[name] === key && this.#means(name, event));
    return command ? { command } : null;
  }

  #answer(key, code) {
    const named = this.answers.indexOf(key);
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(code ?? "")?.[1];
    return named >= 0 || digit === undefined || Object.values(this.commands).includes(key) ? named : this.answers.indexOf(digit);
  }

  #means(name, event) {
    return !this.#shifted(name) || event.shiftKey;
  }

  #shifted(name) {
    const key = this.commands[name];
    return isLetter(key) && (this.letters || this.answers.includes(key));
  }

  printed(name) {
    const key = this.commands[name];
    return this.#shifted(name) ? `⇧${key.toUpperCase()}` : print(key);
  }

  printedAnswer(index) {
    return print(this.answers[index] ?? "");
  }
}

const print = (key) => PRINTED[key] ?? (key.length === 1 ? key.toUpperCase() : key);
