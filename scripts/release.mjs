// Makes a release: version, changelog, commit and tag. `node scripts/release.mjs 0.2.0`; pushing the tag
// publishes.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { versionPlaces } from "./version_places.mjs";

const [version] = process.argv.slice(2);
const git = (...args) => execFileSync("git", args, { encoding: "utf8" }).trim();
function stop(message) {
  console.error(message);
  process.exit(2);
}

if (!/^\d+\.\d+\.\d+$/.test(version ?? "")) stop("Give the new version, for example 0.2.0.");
if (git("status", "--porcelain") !== "") stop("The work tree has changes: commit or stash them first.");
if (git("tag", "--list", `v${version}`) !== "") stop(`The tag v${version} exists already.`);

const changelog = readFileSync("CHANGELOG.md", "utf8");
const heading = "## [Unreleased]";
if (!changelog.includes(`${heading}\n`)) stop(`CHANGELOG.md has no line "${heading}".`);
const unreleased = changelog
  .split(`${heading}\n`)[1]
  .split(/^## \[/m)[0]
  .trim();
if (unreleased === "") stop("CHANGELOG.md says nothing under [Unreleased].");
const date = new Date().toISOString().slice(0, 10);
writeFileSync("CHANGELOG.md", changelog.replace(heading, `${heading}\n\n## [${version}] - ${date}`));

execFileSync("npm", ["version", version, "--no-git-tag-version"], { stdio: "inherit" });
for (const { path, pattern } of versionPlaces) {
  const text = readFileSync(path, "utf8");
  const [line, old] = pattern.exec(text);
  writeFileSync(path, text.replace(line, line.replace(old, version)));
}

git("commit", "--all", "--message", `Release ${version}`);
git("tag", "--annotate", `v${version}`, "--message", `scpoli ${version}`);
console.log(`Committed and tagged v${version}. Publish it with: git push --follow-tags`);
