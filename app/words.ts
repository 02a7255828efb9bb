// Messages of the library in the page's words: options of the command line and of the library become the
// names of the page's fields; options without a field are left out.

/** Options by flag: how the page calls them. */
const fields: Readonly<Record<string, string>> = {
  force: '"Ignore failed checks"',
  "recover-counts": '"Recover counts"',
  "round-counts": '"Round fractional counts"',
  genes: '"Variable genes"',
  minibatch: '"Minibatch"',
  "condition-key": '"Samples or batches to correct for"',
  "condition-value": '"All cells are of one sample, named"',
  "condition-encoding": '"Sample encoding"',
  "unlabeled-prototypes": '"Find clusters in the query"',
  seed: '"Seed"',
};

/** @returns the message without flags and option names */
export function pageWords(message: string): string {
  return (
    message
      // "(force: true)", "(--memory changes it)", "(scpoli map --save-model)": what a page has no field for
      .replace(/ \((?:force|recoverCounts|roundCounts): true\)/g, "")
      .replace(/ \([^()]*--[a-z][^()]*\)/g, "")
      // a field of the page
      .replace(/--([a-z][a-z-]*)\b(?: [A-Z][A-Z=]*\b)?/g, (flag, name: string) => fields[name] ?? flag)
      // sentences, and parts of them, about what only the command line has
      .replace(/(^|[.;:,] ?|, or )[^.;:,]*--[a-z][^;,]*?(?=[;,]|\. |\.?$)/g, (_, before: string) =>
        /^[;:,]/.test(before) || before === "" ? "" : before.replace(/ $/, ""),
      )
      .replace(/\.\.+(?!\.)/g, (dots) => (dots.length === 3 ? dots : "."))
      .replace(/ {2,}/g, " ")
      .trim()
  );
}
