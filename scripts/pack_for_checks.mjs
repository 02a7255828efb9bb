// Packs the package as it would be published into .cache/package.tgz, for publint and attw: this folder
// itself may hold other packages (environments of Python, builds), which they would read too. Needs a build.
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";

mkdirSync(".cache", { recursive: true });
const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", ".cache"], {
  encoding: "utf8",
  shell: process.platform === "win32",
});
renameSync(`.cache/${packed.trim()}`, ".cache/package.tgz");
