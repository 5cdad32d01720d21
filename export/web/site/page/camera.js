/** The device's cameras: what one shows, and in words why it does not. */

// Models see 300 pixels at most: more would only take time.
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 } };
const BACK = { facingMode: "environment" };

const REASONS = {
  NotAllowedError: "The camera is not allowed for this page. Permit it in the browser's settings of the page, then start it again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program, or cannot be opened.",
  OverconstrainedError: "No camera of that kind was found.",
};

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

export class Camera {
  #video;
  #stream = null;
  #stops = 0;
  #which = BACK;
  #all = [];
  #ended = () => {};

  constructor(video) {
    this.#video = video;
  }

  get isOn() {
    return this.#stream !== null;
  }

  /** Whether there is more than one. */
  get hasOther() {
    return this.#all.length > 1;
  }

  /** Starts it, unless it is stopped before; the error of a camera that does not start is a sentence for the user. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error("Browsers give a page the camera only if it came by https, or from this device itself.");
    this.stop();
    const stops = this.#stops;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...WANTED, ...this.#which }, audio: false });
    } catch (error) {
      this.#which = BACK; // the chosen one may be gone
      throw new Error(REASONS[error.name] ?? `The camera does not start: ${error.message}.`);
    }
    if (stops !== this.#stops) return end(stream);
    this.#stream = stream;
    for (const track of stream.getTracks()) track.onended = () => this.stop();
    this.#video.srcObject = stream;
    await this.#video.play();
    // Browsers tell of the others once one was allowed.
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.#all = devices.filter((device) => device.kind === "videoinput").map((device) => device.deviceId);
  }

  /** Goes on with the next of the device's cameras: those of a laptop face no side that could be asked for. */
  turn() {
    const current = this.#all.indexOf(this.#stream?.getVideoTracks()[0].getSettings().deviceId);
    this.#which = { deviceId: { exact: this.#all[(current + 1) % this.#all.length] } };
    return this.start();
  }

  stop() {
    this.#stops++;
    if (this.#stream) end(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
    this.#ended();
  }

  /** Waits for the next frame that has not been seen yet, or until the camera stops. */
  next() {
    const wait = this.#video.requestVideoFrameCallback?.bind(this.#video) ?? requestAnimationFrame;
    return new Promise((resolve) => {
      this.#ended = resolve;
      wait(resolve);
    });
  }

  /** The frame that is shown, as an ImageBitmap. */
  frame() {
    return createImageBitmap(this.#video);
  }
}
