"""The server's own page: choose a picture, see the answer. It loads nothing from elsewhere."""

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob:"
)

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>edge-fgir</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100%; max-height: 50vh; display: block; margin: 1rem 0 }
td { padding-right: 1.5rem } td + td { text-align: right }
</style>
<h1 id="name">edge-fgir</h1>
<label>A picture: <input id="file" type="file" accept="image/*"></label>
<img id="shown" alt="" hidden>
<p id="said" role="status"></p>
<table id="top"></table>
<p><a href="docs">The API's page</a> (its script comes from a server of the internet);
<a href="openapi.json">its description</a>, <a href="metrics">figures</a>.</p>
<script>
const at = (id) => document.getElementById(id);
const percent = (score) => (100 * score).toFixed(1) + " %";
fetch("v1/model").then((answer) => answer.json()).then((model) => {
  at("name").textContent = model.name;
});
at("file").onchange = async () => {
  const [file] = at("file").files;
  if (!file) return;
  URL.revokeObjectURL(at("shown").src);
  at("shown").src = URL.createObjectURL(file);
  at("shown").hidden = false;
  at("top").replaceChildren();
  at("said").textContent = "...";
  try {
    const answer = await fetch("v1/predict", { method: "POST", body: file });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    const known = body.is_unknown ? "unknown; most alike: " : "";
    at("said").textContent = known + body.label + ", " + percent(body.score);
    for (const [label, score] of body.top) {
      const row = at("top").insertRow();
      row.insertCell().textContent = label;
      row.insertCell().textContent = percent(score);
    }
  } catch (error) {
    at("said").textContent = error.message;
  }
};
</script>
</html>
"""
