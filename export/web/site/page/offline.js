/** Keeping the page for the time without a network: sw.js does it. */

/**
 * Lets sw.js keep the files of the bundle with this seal, and looks for a newer one.
 *
 * @param build Of LiteRT's builds, the one that this browser loads.
 * @returns A sentence for the user, empty where this browser keeps nothing.
 */
export async function keepOffline(seal, build) {
  if (!navigator.serviceWorker) return "";
  try {
    await kept(seal, build);
  } catch {
    return "";
  }
  if (await isNewer(seal, build)) return " A newer model has come: load the page again.";
  return " Works without a network from now on.";
}

/** A worker of its own for each bundle: its address tells them apart. */
async function kept(seal, build) {
  const registration = await navigator.serviceWorker.register(`sw.js?seal=${seal}&build=${build}`);
  const coming = registration.installing ?? registration.waiting;
  if (coming && coming.state !== "activated")
    await new Promise((resolve, reject) => {
      coming.onstatechange = () => {
        if (coming.state === "activated") resolve();
        else if (coming.state === "redundant") reject(new Error("the files cannot be kept"));
      };
    });
}

async function isNewer(seal, build) {
  try {
    const found = await (await fetch("manifest.json", { cache: "no-store" })).json();
    if (found.seal === seal) return false;
    await kept(found.seal, build);
    return true;
  } catch {
    return false; // no network: what is here is the newest
  }
}
