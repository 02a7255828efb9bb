// Checks the built site (docs/.vitepress/dist, or the folder named): every link leads to an existing page and
// heading, every picture exists, and nothing is loaded from another site. Exit code 1 if there are problems.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const site = process.argv[2] ?? fileURLToPath(new URL("../../docs/.vitepress/dist", import.meta.url));
const base = process.env.DOCS_BASE ?? "/";
const pages = readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html"));
const html = new Map(pages.map((name) => [join(site, name), readFileSync(join(site, name), "utf8")]));
const anchors = new Map(
  [...html].map(([file, text]) => [file, new Set([...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
);
const problems = [];
let links = 0;
let requests = 0;

for (const [file, text] of html) {
  const page = relative(site, file);
  for (const [, tag, attribute, value] of text.matchAll(
    /<(a|img|script|link|source|iframe)\b[^>]*?\s(href|src|srcset)="([^"]*)"/g,
  )) {
    const target = value.replaceAll("&amp;", "&");
    const isForeign = /^(https?:)?\/\//.test(target);
    if (tag !== "a" && isForeign) {
      requests++;
      problems.push(`${page}: <${tag} ${attribute}="${target}"> is loaded from another site`);
    }
    if (isForeign || /^(mailto:|data:|#$)/.test(target) || target === "") continue;
    links++;
    const [path, anchor] = target.split("#");
    const destination =
      path === ""
        ? file
        : join(
            path.startsWith("/") ? site : dirname(file),
            decodeURI(path.replace(base, path.startsWith("/") ? "/" : base)),
          );
    const targetFile = [destination, `${destination}.html`, join(destination, "index.html")].find(
      (one) => existsSync(one) && statSync(one).isFile(),
    );
    if (!targetFile) problems.push(`${page}: ${target} is not there`);
    else if (anchor && html.has(targetFile) && !anchors.get(targetFile).has(decodeURIComponent(anchor)))
      problems.push(`${page}: ${target} has no such heading`);
  }
}
for (const name of readdirSync(join(site, "assets")).filter((one) => one.endsWith(".css")))
  for (const [, target] of readFileSync(join(site, "assets", name), "utf8").matchAll(/url\(["']?([^)"']+)/g))
    if (/^(https?:)?\/\//.test(target)) {
      requests++;
      problems.push(`assets/${name}: ${target} is loaded from another site`);
    }

for (const problem of problems) console.error(problem);
console.log(
  `${pages.length} pages, ${links} links: ${problems.length - requests} dead, ${requests} foreign requests.`,
);
if (problems.length > 0) process.exitCode = 1;
