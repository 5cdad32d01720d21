/** The model, which computes in a worker so that the page goes on answering the user. */

export class Model {
  #worker = new Worker(new URL("worker.js", import.meta.url));
  #asked = new Map();

  constructor() {
    this.#worker.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.#asked.get(id);
      this.#asked.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of this.#asked.values()) reject(new Error(event.message || "the worker cannot be loaded"));
      this.#asked.clear();
    };
  }

  /** Loads it, to compute by one of LiteRT's builds, and returns its manifest. */
  open(build) {
    return this.#ask("open", build);
  }

  /** Answers for an ImageBitmap, which is gone then. */
  classify(bitmap) {
    return this.#ask("classify", bitmap, [bitmap]);
  }

  /** Answers for the bundle's golden pictures, compared with those of the export. */
  check() {
    return this.#ask("check");
  }

  #ask(what, value, given = []) {
    const id = crypto.getRandomValues(new Uint32Array(1))[0];
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#worker.postMessage({ id, what, value }, given);
    });
  }
}
