// The signatures of the public interface, from the declarations of the built package, entry point by entry
// point. `node scripts/api_signatures.mjs` writes test/api-signatures.txt; a test compares.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
export const snapshot = `${root}test/api-signatures.txt`;

export function signatures() {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const entries = Object.entries(exports).flatMap(([name, { types }]) =>
    types ? [[`scpoli${name.slice(1)}`, `${root}${types.slice(2)}`]] : [],
  );
  const program = ts.createProgram(
    entries.map(([, path]) => path),
    { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, skipLibCheck: true },
  );
  const checker = program.getTypeChecker();
  const printer = ts.createPrinter({ removeComments: true });
  const textOf = (symbol) => {
    const original = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return original.declarations.map((declaration) => {
      const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
      return printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile());
    });
  };
  return entries
    .map(([name, path]) => {
      const names = checker
        .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      return `# ${name}\n\n${names.flatMap(textOf).join("\n\n")}\n`;
    })
    .join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(snapshot, signatures());
