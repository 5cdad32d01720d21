/** The page: its buttons, the pictures that come in, and the answers that are shown. */

import { Camera } from "./camera.js";
import { Model } from "./model.js";
import { keepOffline } from "./offline.js";
import { Speech } from "./speech.js";
import { litertBuild } from "./wasm.js";
import { closestOf, factsOf, named, percent, readable, sentenceOf } from "./words.js";

const RATE_OVER_MS = 2000;
// A worker that is no module imports modules from Firefox 114 on; it has a canvas from Safari 16.4 on.
const BROWSERS = "Chrome from 91, Firefox from 114 and Safari from 16.4 on";

const element = Object.fromEntries(Array.from(document.querySelectorAll("[id]"), (each) => [each.id, each]));
const camera = new Camera(element.video);
const speech = new Speech(element.spoken);
let model;

function state(name, message = "") {
  document.body.dataset.state = name;
  element.message.textContent = message;
  element.message.hidden = message === "";
  speech.say(message);
}

function text(tag, content) {
  return Object.assign(document.createElement(tag), { textContent: content });
}

/** Lets one of some buttons work at a time. None is disabled meanwhile: it would lose the focus. */
function oneAtATime(...buttons) {
  for (const [button, act] of buttons)
    button.onclick = async () => {
      if (button.hasAttribute("aria-disabled")) return;
      for (const [each] of buttons) each.setAttribute("aria-disabled", "true");
      try {
        await act();
      } finally {
        for (const [each] of buttons) each.removeAttribute("aria-disabled");
      }
    };
}

let sources = 0; // how many photos, and starts of the camera, there were

/** Begins with another photo or camera. What is returned says whether it is the newest still: older ones answer late. */
function newSource() {
  const mine = ++sources;
  state("ready");
  speech.forget();
  return () => mine === sources;
}

function show(answer) {
  element.label.textContent = answer.isUnknown ? "Unknown" : readable(answer.label);
  element.score.textContent = answer.isUnknown ? "" : percent(answer.score);
  element.doubt.hidden = !answer.isUnknown;
  element.doubt.textContent = `Most like ${closestOf(answer)}, but not sure enough to say so.`;
  element.top.replaceChildren(...answer.top.map(([other, share]) => {
    const line = document.createElement("li");
    line.style.setProperty("--share", share);
    line.append(text("span", readable(other)), text("span", percent(share)));
    return line;
  }));
  element.answer.hidden = false;
}

function showStage(shown) {
  for (const each of [element.video, element.photo, element.invitation]) each.hidden = each !== shown;
  element.speed.hidden = shown !== element.video;
  element.camera.textContent = camera.isOn ? "Stop camera" : "Start camera";
  const canTurn = camera.isOn && camera.hasOther;
  if (!canTurn && document.activeElement === element.turn) element.camera.focus();
  element.turn.hidden = !canTurn;
}

function showStageWithoutCamera() {
  showStage(element.photo.hidden ? element.invitation : element.photo);
}

/** Answers for the camera's frames, the newest one each time, until it stops or another source comes. */
async function watch(isNewest) {
  const goesOn = () => camera.isOn && isNewest();
  const times = [];
  try {
    while (goesOn()) {
      await camera.next();
      if (!goesOn()) break;
      const answer = await model.classify(await camera.frame());
      if (!goesOn()) break;
      const now = performance.now();
      times.push(now);
      while (now - times[0] > RATE_OVER_MS) times.shift();
      const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
      element.speed.textContent = `${rate.toFixed(0)} frames a second, ${(answer.preprocessMs + answer.inferMs).toFixed(0)} ms each`;
      show(answer);
      speech.see(answer);
    }
  } catch (error) {
    if (goesOn()) {
      camera.stop();
      state("ready", error.message);
    }
  }
  if (isNewest()) showStageWithoutCamera();
}

async function startCamera(start) {
  const isNewest = newSource();
  try {
    await start();
    if (!isNewest()) return;
    element.answer.hidden = true;
    showStage(element.video);
    watch(isNewest);
  } catch (error) {
    if (!isNewest()) return;
    camera.stop();
    state("ready", `${error.message} Photos can be chosen or dropped all the same.`);
    showStageWithoutCamera();
  }
}

/** Decodes a photo; the error of what is none is a sentence for the user. */
async function decoded(file) {
  try {
    // Upright, as its EXIF data have it: that is the default, which older browsers know no name for.
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${named(file.name)} is not a picture that this browser can read. JPEG, PNG and WebP always go.`);
  }
}

async function showPhoto(file) {
  const isNewest = newSource();
  camera.stop();
  element.answer.hidden = true;
  URL.revokeObjectURL(element.photo.src);
  element.photo.src = URL.createObjectURL(file);
  element.photo.alt = file.name;
  showStage(element.photo);
  try {
    const bitmap = await decoded(file);
    if (!isNewest()) return bitmap.close();
    const answer = await model.classify(bitmap);
    if (!isNewest()) return;
    show(answer);
    speech.say(sentenceOf(answer));
  } catch (error) {
    if (!isNewest()) return;
    showStage(element.invitation);
    state("ready", error.message);
  }
}

function takePhotos() {
  element.file.onchange = () => {
    if (element.file.files.length) showPhoto(element.file.files[0]);
    element.file.value = ""; // so that the same file can be chosen again
  };
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) showPhoto(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.stage.classList.add("over");
  });
  document.addEventListener("dragleave", () => element.stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element.stage.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) showPhoto(file);
  });
}

async function check() {
  element.checked.textContent = "Asking about the pictures that came with the model …";
  try {
    const { pictures, same, largest, tolerance } = await model.check();
    const right = same === pictures && largest <= tolerance;
    element.checked.textContent =
      `${same} of ${pictures} pictures get the label that they got at the export; ` +
      `probabilities differ by ${largest.toPrecision(2)} at most. ` +
      (right ? "This device computes as it should." : `More than ${tolerance} is too much: do not trust this device's answers.`);
  } catch (error) {
    element.checked.textContent = error.message;
  }
}

async function begin() {
  const build = litertBuild();
  if (build === undefined)
    throw new Error(`This browser has no WebAssembly SIMD, which the model needs. ${BROWSERS} have it.`);
  if (!globalThis.OffscreenCanvas)
    throw new Error(`This browser is too old for this page. ${BROWSERS} can show it.`);
  state("loading", "Loading the model …");
  model = new Model();
  const manifest = await model.open(build);
  const facts = factsOf(manifest);
  document.title = element.name.textContent = facts.name;
  element.tells.textContent = facts.tells;
  element.facts.replaceChildren(...facts.about.flatMap(([term, what]) => [text("dt", term), text("dd", what)]));
  element.about.hidden = false;
  oneAtATime(
    [element.camera, () => (camera.isOn ? camera.stop() : startCamera(() => camera.start()))],
    [element.turn, () => startCamera(() => camera.turn())]);
  oneAtATime([element.check, check]);
  takePhotos();
  element.camera.disabled = element.file.disabled = false;
  state("ready");
  element.offline.textContent = await keepOffline(manifest.seal, build);
}

begin().catch((error) => state("failed", error.message));
