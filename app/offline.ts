// Starts the service worker: the page works offline from its second load on, and threads share memory even on
// hosts that send no headers.

/** Whether the page runs with several threads. */
function isIsolated(): boolean {
  return globalThis.crossOriginIsolated;
}

/**
 * Starts the service worker of a built page. Where the host sends no headers, the page is loaded once more as
 * soon as the service worker sends them, unless work has begun: then one thread has to do.
 * @param mayReload - whether nothing would be lost
 */
export async function startOffline(mayReload: () => boolean): Promise<void> {
  if (import.meta.env.DEV || !("serviceWorker" in navigator)) return;
  try {
    const { serviceWorker } = navigator;
    const wasControlled = serviceWorker.controller !== null;
    await serviceWorker.register("./service-worker.js");
    await serviceWorker.ready;
    if (isIsolated() || wasControlled) return; // once more would change nothing
    await controlled(serviceWorker);
    if (mayReload()) location.reload();
  } catch {
    // without it the page works all the same, while it is connected: private windows have none, and hosts
    // without https
  }
}

function controlled(serviceWorker: ServiceWorkerContainer): Promise<void> {
  if (serviceWorker.controller) return Promise.resolve();
  return new Promise((resolve) =>
    serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true }),
  );
}
