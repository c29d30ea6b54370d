// Which stage shows a question: by its media type, and as a table row when that cannot be done. Knows the stages; draws nothing.
import { MelodyStage } from "./stage-melody.js";
import { OwnStage, elementName } from "./stage-own.js";
import { PictureStage } from "./stage-picture.js";
import { RowStage } from "./stage-row.js";
import { TextStage } from "./stage-text.js";
import { dom } from "./tree.js";

const BY_MEDIA = new Map([["melody", MelodyStage], ["image", PictureStage], ["text", TextStage], ["table", RowStage]]);
const thumbs = new WeakMap(); // question -> its small picture, drawn once

function kindOf(question) {
  const wanted = BY_MEDIA.get(question.media) ?? OwnStage;
  return wanted.canShow(question) ? wanted : RowStage;
}

export const isHeard = (question) => kindOf(question) === MelodyStage;

export function thumbOf(question) {
  if (!thumbs.has(question)) thumbs.set(question, dom(kindOf(question).thumb(question)));
  return thumbs.get(question);
}

export class Stages {
  #made = new Map();

  constructor(kit, onlock) {
    Object.assign(this, { kit, onlock });
  }

  for(question) {
    const Kind = kindOf(question);
    if (!this.#made.has(Kind)) this.#made.set(Kind, new Kind(this.kit, this.onlock, this.#note(question)));
    return this.#made.get(Kind);
  }

  #note(question) {
    return BY_MEDIA.has(question.media) ? "" : `No element ${elementName(question.media)} is registered for this media type: its values are shown.`;
  }
}
