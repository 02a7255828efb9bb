// The page's service worker: keeps all its files, so that it works without a network after the first load,
// and gives each answer the headers of `scpoli app`, so that threads may share memory also where a host
// cannot be told to send them.
import { pageHeaders } from "../dist/cli/app-headers.js";

/** Filled in when the page is built (build.ts). */
declare const PAGE_FILES: readonly string[];
declare const PAGE_VERSION: string;
declare const MODEL_INDEX: string;

/** Part of a service worker's scope, which TypeScript's library for pages has not. */
interface Scope {
  readonly clients: { claim(): Promise<void> };
  readonly registration: { readonly scope: string };
  addEventListener(
    type: "install" | "activate",
    listener: (event: { waitUntil(work: Promise<unknown>): void }) => void,
  ): void;
  addEventListener(
    type: "fetch",
    listener: (event: { readonly request: Request; respondWith(answer: Promise<Response>): void }) => void,
  ): void;
}
const scope = self as unknown as Scope;

const prefix = `scpoli ${scope.registration.scope} `;
const kept = prefix + PAGE_VERSION;

scope.addEventListener("install", (event) => {
  // past the browser's own cache, which may hold files of an older page
  event.waitUntil(
    caches
      .open(kept)
      .then((cache) => cache.addAll(PAGE_FILES.map((file) => new Request(file, { cache: "no-cache" })))),
  );
});

// A new version waits until no page of the old one is open: their later requests are for the old files.
scope.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys())
        if (name.startsWith(prefix) && name !== kept) await caches.delete(name);
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

/** The list of models changes without the page: it comes from the server, and from the cache when offline. */
const isIndex = ({ url }: Request): boolean => new URL(url).pathname.endsWith(`/${MODEL_INDEX}`);

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(kept);
  // what follows a question mark asks for one more copy of the same file
  const cached = await cache.match(request, { ignoreSearch: true });
  const response =
    isIndex(request) && cached
      ? await fetch(request).catch(() => cached)
      : (cached ?? (await fetch(request)));
  if (response.type === "opaqueredirect" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(pageHeaders)) headers.set(name, value);
  const isEmpty = [101, 204, 205, 304].includes(response.status);
  return new Response(isEmpty ? null : response.body, {
    status: response.status,
    statusText: response.statusText,
    headers,
  });
}
