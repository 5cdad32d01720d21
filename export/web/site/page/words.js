/** What the page says in numbers and names. */

/** A class as people read it: "001.Black_footed-Albatross" without its number and joints. */
export const readable = (label) => label.replace(/^\d+\./, "").replaceAll(/[_-]+/g, " ").trim() || label;

export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** An answer's most likely class, with its score. */
export const closestOf = ({ label, score }) => `${readable(label)}, ${percent(score)}`;

export const sentenceOf = (answer) => (answer.isUnknown ? `Unknown; most like ${closestOf(answer)}` : closestOf(answer));

/** A name from outside, so short that it leaves room for the sentence around it. */
export const named = (name) => (name.length > 40 ? `${name.slice(0, 39)}…` : name);

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** A manifest in words: a title, a line below it, and terms with what they are. */
export function factsOf(manifest) {
  const name = readable(manifest.data.name || manifest.name);
  const model = manifest.files.find((file) => file.path === manifest.model_file);
  return {
    name: name[0].toUpperCase() + name.slice(1),
    tells: `Tells ${manifest.output.classes} classes apart.`,
    about: [
      ["Model", `${manifest.name} (${manifest.architecture}, ${manifest.precision}, ${megabytes(model.size)})`],
      ["Made", manifest.created.slice(0, 10)],
      ["Learned from", `${manifest.data.name}; licence: ${manifest.data.licence || "not stated"}`],
      ["Sees", `${manifest.input.shape[1]} x ${manifest.input.shape[2]} pixels`],
      ["Computes by", "LiteRT in WebAssembly"],
    ],
  };
}
