// The public interface: what each entry point exports, with its signatures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { signatures, snapshot } from "../scripts/api_signatures.mjs";

test("the public interface has the signatures of api-signatures.txt", () => {
  assert.equal(
    signatures(),
    readFileSync(snapshot, "utf8"),
    "if the change is meant: `node scripts/api_signatures.mjs`, and a line in CHANGELOG.md",
  );
});
