// Files that contain the version, in addition to package.json and its lock file: a release updates them, a
// test compares them.
export const versionPlaces = [
  { path: "src/contract/version.ts", pattern: /version = "([^"]+)"/ },
  { path: "CITATION.cff", pattern: /^version: (.+)$/m },
  { path: "integrations/bioconda/meta.yaml", pattern: /set version = "([^"]+)"/ },
  { path: "integrations/galaxy/macros.xml", pattern: /@TOOL_VERSION@">([^<]+)</ },
  { path: "integrations/nf-core/scpoli/map/environment.yml", pattern: /bioconda::scpoli=(.+)$/m },
  { path: "integrations/snakemake/map/environment.yaml", pattern: /- scpoli =(.+)$/m },
  { path: "integrations/snakemake/train/environment.yaml", pattern: /- scpoli =(.+)$/m },
  { path: "integrations/scverse/meta.yaml", pattern: /^version: (.+)$/m },
  { path: "docs/reference/python.md", pattern: /scpoli-([\d.]+)-py3/ },
];
