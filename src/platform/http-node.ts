// HTTP requests under Node: through the proxy of the environment, following only permitted redirects. Only
// the model registry of the command line makes requests.
import { request as plainRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as secureRequest } from "node:https";
import { connect } from "node:tls";
import type { Duplex } from "node:stream";
import { ScPoliError } from "../contract/errors.js";

export interface HttpAnswer {
  readonly status: number;
  /** lower-case names */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
  /** final URL, after redirects */
  readonly url: string;
  /** ends the request without reading the rest */
  close(): void;
}

export interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** timeout without data, in milliseconds. Default 30,000 */
  readonly idleMs?: number;
}

const mostRedirects = 5;

/**
 * Requests a URL (GET).
 * @throws ScPoliError "file" without an answer or for a redirect that is not permitted; "interrupted" by the
 * signal
 */
export async function httpGet(address: string, options: HttpOptions = {}): Promise<HttpAnswer> {
  let url = new URL(address);
  for (let redirects = 0; ; redirects++) {
    const answer = await ask(url, options);
    const target = answer.headers["location"];
    if (![301, 302, 303, 307, 308].includes(answer.status) || target === undefined) return answer;
    answer.close();
    const next = URL.canParse(target, url) ? new URL(target, url) : null;
    const isSafe =
      next !== null &&
      (next.protocol === "https:" || (next.protocol === "http:" && url.protocol === "http:"));
    if (!isSafe)
      throw failed(
        address,
        `it is redirected to '${target.slice(0, 200)}', which is not followed`,
        undefined,
      );
    if (redirects >= mostRedirects)
      throw failed(address, `it is redirected more than ${mostRedirects} times`, undefined);
    url = next;
  }
}

function failed(url: string, what: string, cause: unknown): ScPoliError {
  return new ScPoliError("file", `${url} cannot be downloaded: ${what}.`, { url }, { cause });
}

async function ask(url: URL, { headers = {}, signal, idleMs = 30_000 }: HttpOptions): Promise<HttpAnswer> {
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw failed(url.href, "only http and https are supported", undefined);
  try {
    const message = await answerOf(url, headers, signal, idleMs);
    const plain = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
    );
    return {
      status: message.statusCode ?? 0,
      headers: plain,
      body: bytesOf(message, url.href, signal),
      url: url.href,
      close: () => void message.destroy(),
    };
  } catch (error) {
    throw described(error, url.href, signal);
  }
}

function described(error: unknown, url: string, signal: AbortSignal | undefined): ScPoliError {
  if (error instanceof ScPoliError) return error;
  if (signal?.aborted) return new ScPoliError("interrupted", "Interrupted.", {}, { cause: error });
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string | undefined>> = {
    ENOTFOUND: "there is no such host, or this machine has no network",
    EAI_AGAIN: "the host name cannot be resolved; check the network connection",
    ECONNREFUSED: "the connection was refused",
    ECONNRESET: "the connection was closed",
    ETIMEDOUT: "the connection timed out",
  };
  return failed(url, (code && reasons[code]) ?? (message || code || "there was no answer"), error);
}

async function* bytesOf(
  message: IncomingMessage,
  url: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of message) yield piece as Uint8Array;
  } catch (error) {
    throw described(error, url, signal);
  }
}

function answerOf(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
  idleMs: number,
): Promise<IncomingMessage> {
  const proxy = proxyFor(url);
  const isSecure = url.protocol === "https:";
  const request = isSecure ? secureRequest : plainRequest;
  const options: RequestOptions = { headers: { ...headers, Host: url.host }, signal };
  return new Promise((resolve, reject) => {
    const send = (more: RequestOptions, target?: URL): void => {
      const sent = target ? request(target, { ...options, ...more }) : plainRequest({ ...options, ...more });
      sent.setTimeout(idleMs, () =>
        sent.destroy(Object.assign(new Error(`no byte came for ${idleMs / 1000} s`), { code: "EIDLE" })),
      );
      sent.on("error", reject).on("response", resolve).end();
    };
    if (!proxy) return send({}, url);
    const { hostname, port, username, password } = proxy;
    const secret = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const credentials: Record<string, string> =
      username === "" ? {} : { "Proxy-Authorization": `Basic ${btoa(secret)}` };
    const place = { host: hostname, port: port || "80" };
    if (!isSecure) return send({ ...place, path: url.href, headers: { ...options.headers, ...credentials } });
    // a tunnel: the proxy sees the host and nothing else
    const host = `${url.hostname}:${url.port || "443"}`;
    plainRequest({ ...place, method: "CONNECT", path: host, headers: { Host: host, ...credentials }, signal })
      .on("error", reject)
      .on("connect", (answer, socket: Duplex) => {
        if (answer.statusCode !== 200)
          return reject(new Error(`the proxy ${proxy.host} answers ${answer.statusCode}`));
        send(
          {
            createConnection: () => connect({ socket, servername: url.hostname }),
            agent: false,
          },
          url,
        );
      })
      .end();
  });
}

/** The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for; null for none. */
export function proxyFor(
  url: URL,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): URL | null {
  const value = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? "";
  const named = value(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY") || value("ALL_PROXY");
  const exempt = value("NO_PROXY")
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      const [host = "", port] = entry
        .replace(/^\*?\./, "")
        .toLowerCase()
        .split(":");
      if (port !== undefined && port !== url.port) return false;
      return entry === "*" || url.hostname === host || url.hostname.endsWith(`.${host}`);
    });
  if (named === "" || exempt) return null;
  const address = /^\w+:\/\//.test(named) ? named : `http://${named}`;
  if (!URL.canParse(address) || !/^http:/.test(address))
    throw new ScPoliError("usage", `The proxy '${named}' cannot be used: expected http://HOST:PORT.`, {
      proxy: named,
    });
  return new URL(address);
}
