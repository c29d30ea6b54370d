// Any other media type: a custom element `show-MEDIA` that the experiment's own module has registered.
// It gets `sample` ({ data, shape, dtype }) and `question` as properties; what it draws is its own.
import { featuresOf } from "./features.js";
import { RowStage } from "./stage-row.js";
import { dom, h, show } from "./tree.js";

export const elementName = (media) => `show-${media.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;

export class OwnStage {
  static canShow = (question) => customElements.get(elementName(question.media)) !== undefined;
  static thumb = (question) => RowStage.thumb(question);
  commands = {};
  nodes = [dom(h("div", { class: "own" }))];

  show(question) {
    const element = document.createElement(elementName(question.media));
    Object.assign(element, { sample: featuresOf(question), question });
    show(this.nodes[0], element);
  }

  repaint() {}
  leave() {}
  locked() { return 0; }
  circumstances() { return this.nodes[0].firstElementChild?.circumstances ?? {}; }
}
