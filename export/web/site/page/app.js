/** The page: its buttons, the pictures that come in, and the answers that are shown. */

import { Camera } from "./camera.js";
import { Model } from "./model.js";
import { keepOffline } from "./offline.js";
import { litertBuild } from "./wasm.js";
import { factsOf, named, percent, readable } from "./words.js";

const SPOKEN_AFTER_MS = 1200; // a label is spoken when it has stood for so long
const RATE_OVER_MS = 2000;

const element = Object.fromEntries(Array.from(document.querySelectorAll("[id]"), (each) => [each.id, each]));
const camera = new Camera(element.video);
let model;

function state(name, message = "") {
  document.body.dataset.state = name;
  element.message.textContent = message;
  element.message.hidden = message === "";
}

function text(tag, content) {
  return Object.assign(document.createElement(tag), { textContent: content });
}

let spoken = "", heard = "", since = 0;

/** Tells a screen reader what is seen, when it has stayed the same for a while. */
function speak(sentence, now) {
  if (sentence !== heard) [heard, since] = [sentence, performance.now()];
  if (sentence !== spoken && (now || performance.now() - since > SPOKEN_AFTER_MS))
    element.spoken.textContent = spoken = sentence;
}

function show(answer, now) {
  const label = readable(answer.label);
  const closest = `${label}, ${percent(answer.score)}`;
  element.label.textContent = answer.isUnknown ? "Unknown" : label;
  element.score.textContent = answer.isUnknown ? "" : percent(answer.score);
  element.doubt.hidden = !answer.isUnknown;
  element.doubt.textContent = `Most like ${closest}, but not sure enough to say so.`;
  element.top.replaceChildren(...answer.top.map(([other, share]) => {
    const line = document.createElement("li");
    line.style.setProperty("--share", share);
    line.append(text("span", readable(other)), text("span", percent(share)));
    return line;
  }));
  element.answer.hidden = false;
  speak(answer.isUnknown ? `Unknown; most like ${closest}` : closest, now);
}

function showStage(shown) {
  for (const each of [element.video, element.photo, element.invitation]) each.hidden = each !== shown;
  element.speed.hidden = shown !== element.video;
  element.camera.textContent = camera.isOn ? "Stop camera" : "Start camera";
}

/** Answers for the camera's frames, the newest one each time, until it stops. */
async function watch() {
  const times = [];
  while (camera.isOn) {
    await camera.next();
    if (!camera.isOn) break;
    const answer = await model.classify(await camera.frame());
    if (!camera.isOn) break;
    const now = performance.now();
    times.push(now);
    while (now - times[0] > RATE_OVER_MS) times.shift();
    const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
    element.speed.textContent = `${rate.toFixed(0)} frames a second, ${(answer.preprocessMs + answer.inferMs).toFixed(0)} ms each`;
    show(answer, false);
  }
}

async function startCamera(start) {
  element.camera.disabled = true;
  try {
    await start();
    state("ready");
    showStage(element.video);
    element.turn.hidden = !(await camera.hasOther());
    watch().catch((error) => state("failed", error.message)).finally(() => showStageWithoutCamera());
  } catch (error) {
    state("ready", `${error.message} Photos can be chosen or dropped all the same.`);
    showStageWithoutCamera();
  } finally {
    element.camera.disabled = false;
  }
}

function showStageWithoutCamera() {
  if (camera.isOn) return;
  if (element.photo.hidden) showStage(element.invitation);
  element.turn.hidden = true;
}

async function showPhoto(file) {
  camera.stop();
  URL.revokeObjectURL(element.photo.src);
  element.photo.src = URL.createObjectURL(file);
  element.photo.alt = file.name;
  showStage(element.photo);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    element.answer.hidden = true;
    showStage(element.invitation);
    state("ready", `${named(file.name)} is not a picture that this browser can read. JPEG, PNG and WebP always go.`);
    return;
  }
  state("ready");
  show(await model.classify(bitmap), true);
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
  element.check.disabled = true;
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
  } finally {
    element.check.disabled = false;
  }
}

async function begin() {
  const build = litertBuild();
  if (build === undefined)
    throw new Error("This browser has no WebAssembly SIMD, which the model needs. Chrome from 91, Firefox from 89 and Safari from 16.4 on have it.");
  if (!globalThis.OffscreenCanvas)
    throw new Error("This browser is too old for this page. Chrome from 91, Firefox from 105 and Safari from 16.4 on can show it.");
  state("loading", "Loading the model …");
  model = new Model();
  const manifest = await model.open(build);
  const facts = factsOf(manifest);
  document.title = element.name.textContent = facts.name;
  element.tells.textContent = facts.tells;
  element.facts.replaceChildren(...facts.about.flatMap(([term, what]) => [text("dt", term), text("dd", what)]));
  element.about.hidden = false;
  element.camera.onclick = () => (camera.isOn ? camera.stop() : startCamera(() => camera.start()));
  element.turn.onclick = () => startCamera(() => camera.turn());
  element.check.onclick = check;
  takePhotos();
  element.camera.disabled = element.file.disabled = false;
  state("ready");
  element.offline.textContent = await keepOffline(manifest.seal, build);
}

begin().catch((error) => state("failed", error.message));
