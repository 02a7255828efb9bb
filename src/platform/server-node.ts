// Serves a folder of static files on this machine, under Node.
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { ScPoliError } from "../contract/errors.js";

export interface ServedFolder {
  readonly url: string;
  close(): Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
};

/**
 * Serves a folder on the loopback interface, which is not reachable from the network.
 * @param port - 0 picks a free port
 * @param headers - of every answer
 * @throws ScPoliError "usage" if the port is in use or not permitted, "file" if there is no folder
 */
export async function serveFolder(
  folder: string,
  port: number,
  headers: Readonly<Record<string, string>>,
): Promise<ServedFolder> {
  if (!(await stat(join(folder, "index.html")).catch(() => null)))
    throw new ScPoliError("file", `${folder} holds no page (index.html). Build it first: npm run build.`, {
      path: folder,
    });
  const server = createServer((request, response) => void answerRequest(folder, headers, request, response));
  await listen(server, port);
  const address = server.address() as { readonly port: number };
  return {
    url: `http://localhost:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerRequest(
  folder: string,
  headers: Readonly<Record<string, string>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = (status: number, more: Readonly<Record<string, string | number>> = {}): ServerResponse =>
    response.writeHead(status, { ...headers, ...more });
  const refuse = (status: number, text: string): void =>
    void answer(status, { "Content-Type": types[".txt"]! }).end(text);
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "GET and HEAD only\n");
  // rejects requests of other sites that resolve their host name to this address (DNS rebinding)
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? ""))
    return refuse(403, "localhost only\n");
  const path = pathOf(folder, request.url ?? "/");
  const status = path === null ? null : await stat(path).catch(() => null);
  if (path === null || !status?.isFile()) return refuse(404, "not found\n");
  const tag = `"${status.size.toString(36)}-${status.mtimeMs.toString(36)}"`;
  if (request.headers["if-none-match"] === tag)
    return void answer(304, { ETag: tag, "Cache-Control": "no-cache" }).end();
  answer(200, {
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": status.size,
    "Cache-Control": "no-cache",
    ETag: tag,
  });
  if (request.method === "HEAD") return void response.end();
  createReadStream(path)
    .on("error", () => response.destroy())
    .pipe(response);
}

/** @throws ScPoliError "usage" if the port is in use or not permitted */
function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === "EADDRINUSE"
          ? "another program uses it"
          : error.code === "EACCES"
            ? "this user is not permitted to use it"
            : error.message;
      reject(
        new ScPoliError(
          "usage",
          `port ${port} cannot be used: ${reason}. Choose another with --port (0: any that is free).`,
          { port },
          { cause: error },
        ),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
}

/** The file for a URL path; null if it leads out of the folder. */
function pathOf(folder: string, address: string): string | null {
  try {
    const path = normalize(decodeURIComponent(address.split(/[?#]/)[0]!));
    return !path.startsWith("/") || path.includes("\0") || path.includes("..")
      ? null
      : join(folder, path.endsWith("/") ? `${path}index.html` : path);
  } catch {
    return null;
  }
}

/** Opens a URL in the desktop's browser; does nothing without a desktop. */
export function openInBrowser(url: string): void {
  const [program, ...args] =
    process.platform === "darwin"
      ? ["open", url]
      : process.platform === "win32"
        ? ["cmd", "/c", "start", "", url]
        : ["xdg-open", url];
  spawn(program, args, { stdio: "ignore", detached: true })
    .on("error", () => undefined)
    .unref();
}
