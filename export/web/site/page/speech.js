/** What a screen reader is told. */

import { sentenceOf } from "./words.js";

const AFTER_MS = 1200; // what a camera sees is told when it has stood for so long

export class Speech {
  #region;
  #told = "";
  #seen = "";
  #since = 0;

  /** @param region An element that is a live region. */
  constructor(region) {
    this.#region = region;
  }

  say(sentence) {
    this.#region.textContent = sentence;
  }

  /** Says what a camera sees once it has stood for a while; its score, which never stands still, may change. */
  see(answer) {
    const now = performance.now();
    const seen = `${answer.isUnknown} ${answer.label}`;
    if (seen !== this.#seen) [this.#seen, this.#since] = [seen, now];
    if (seen === this.#told || now - this.#since < AFTER_MS) return;
    this.#told = seen;
    this.say(sentenceOf(answer));
  }

  /** Another camera, or the same again: what was told is news once more. */
  forget() {
    this.#told = this.#seen = "";
  }
}
