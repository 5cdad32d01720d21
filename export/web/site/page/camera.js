/** The device's camera: what it shows, and in words why it does not. */

// Models see 300 pixels at most: more would only take time.
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 } };

const REASONS = {
  NotAllowedError: "The camera is not allowed for this page. Permit it in the browser's settings of the page, then start it again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program, or cannot be opened.",
  OverconstrainedError: "No camera of that kind was found.",
};

export class Camera {
  #video;
  #stream = null;
  #side = "environment";
  #ended = () => {};

  constructor(video) {
    this.#video = video;
  }

  get isOn() {
    return this.#stream !== null;
  }

  /** Starts it; the error of a camera that does not start is a sentence for the user. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error("Browsers give a page the camera only if it came by https, or from this device itself.");
    this.stop();
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { ...WANTED, facingMode: this.#side }, audio: false });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera does not start: ${error.message}.`);
    }
    for (const track of this.#stream.getTracks()) track.onended = () => this.stop();
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  /** Goes on with the camera on the device's other side. */
  turn() {
    this.#side = this.#side === "environment" ? "user" : "environment";
    return this.start();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
    this.#ended();
  }

  /** Says whether there is more than one; browsers tell once a camera was allowed. */
  async hasOther() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length > 1;
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
