// HTTP headers of the web page. They block requests to other origins and turn on cross-origin isolation, so
// that threads can share memory. The development server (app/vite.config.ts) and the service worker for hosts
// that set no headers (app/service-worker.ts) use the same.

/**
 * Blocks every other origin. Exceptions serve the page itself: WebAssembly is compiled, scripts set styles,
 * and images and downloads are generated in the page.
 */
export const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

export const pageHeaders: Readonly<Record<string, string>> = {
  "Content-Security-Policy": `${contentSecurityPolicy}; frame-ancestors 'none'`,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};
