// What a person has chosen on this browser (volume, speed, roll), kept between visits. Knows storage; not what it is for.
export class Choices {
  constructor(storage = localStorage) {
    this.storage = storage;
  }

  get(name, otherwise) {
    try {
      return JSON.parse(this.storage.getItem(`active-learner/choice/${name}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  }

  set(name, value) {
    try {
      this.storage.setItem(`active-learner/choice/${name}`, JSON.stringify(value));
    } catch {
      // a full storage: the choice lasts as long as the page
    }
  }
}
