/**
 * Keeps a bundle's files for the time without a network.
 *
 * Its address carries the seal of the bundle: another bundle is another worker, with a cache of its
 * own. It also carries which of LiteRT's builds this browser loads; the other one is not kept.
 */

const { seal: SEAL, build: BUILD } = Object.fromEntries(new URL(location.href).searchParams);
const OURS = `edge-fgir ${registration.scope} `; // other pages of the same origin have other caches
const CACHE = OURS + SEAL;

// A worker obeys the policy that its own file comes with, not the page's; and this one sees every picture.
const WORKER = "page/worker.js";
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

/** Says whether the page needs a file here: no report, no golden picture, no other build. */
function isNeeded({ path }) {
  const [, build] = /^litert\/litert_wasm(.*)_internal/.exec(path) ?? [null, BUILD];
  return build === BUILD && !/^(golden|reports)\//.test(path);
}

async function digest(response) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await response.arrayBuffer()));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An answer as it is kept: with its policy, and without a redirection, as browsers open no page with such an answer. */
async function kept(path, found) {
  if (path !== WORKER && !found.redirected) return found;
  const headers = new Headers(found.headers);
  if (path === WORKER) headers.append("Content-Security-Policy", POLICY);
  return new Response(await found.blob(), { headers });
}

async function fill() {
  const response = await fetch("manifest.json", { cache: "no-cache" });
  const manifest = await response.clone().json();
  if (manifest.seal !== SEAL) throw new Error("another bundle has come");
  const cache = await caches.open(CACHE);
  await Promise.all(manifest.files.filter(isNeeded).map(async ({ path, sha256 }) => {
    const found = await fetch(path, { cache: "no-cache" });
    if (!found.ok || (await digest(found.clone())) !== sha256) throw new Error(`${path} is not as it was exported`);
    await cache.put(path, await kept(path, found));
  }));
  await cache.put("manifest.json", response);
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== CACHE).map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request.mode === "navigate" ? "index.html" : request)) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = request.url.replace(/[?#].*/, "");
  const isOurs = request.mode !== "navigate" || [registration.scope, `${registration.scope}index.html`].includes(path);
  // What is asked of the network alone looks for a newer bundle.
  if (request.method === "GET" && request.cache !== "no-store" && isOurs && path.startsWith(registration.scope))
    event.respondWith(answer(request));
});
