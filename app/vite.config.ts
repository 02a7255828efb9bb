// How the page is built: static files in dist/app that any host serves, workers as modules, the example
// and a service worker beside them.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { example, policyInPage, serviceWorker } from "./build.js";
import { modelIndex } from "./build-models.js";

// while developing, Vite's client is an inline script and talks to its server
const { "Content-Security-Policy": _, ...isolation } = pageHeaders;

/** The build is short; where its time goes is no warning. */
const checks = { bundlerTimings: false };

export default defineConfig({
  base: "./",
  resolve: {
    alias: { worker_threads: fileURLToPath(new URL("./no-worker-threads.ts", import.meta.url)) },
  },
  plugins: [example, modelIndex, policyInPage, serviceWorker],
  worker: { format: "es", rolldownOptions: { checks } },
  build: {
    outDir: "../dist/app",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // HDF5 is one chunk of 4.2 MB, which is loaded when a file is opened
    chunkSizeWarningLimit: 4300,
    rolldownOptions: {
      checks,
      input: { index: "index.html", "service-worker": "service-worker.ts" },
      output: {
        entryFileNames: ({ name }) => (name === "service-worker" ? "[name].js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: { headers: isolation },
});
