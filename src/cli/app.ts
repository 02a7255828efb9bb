// scpoli app: serves the web page in the package on localhost only.
import type { Command } from "commander";
import { openInBrowser, packageFile, serveFolder } from "#platform";
import { pageHeaders } from "./app-headers.js";
import { whole } from "./arguments.js";

export function addApp(program: Command): void {
  program
    .command("app")
    .summary("open the web page, served on localhost only")
    .description(
      "Serves the web page in the package on localhost until Ctrl-C. Files opened in the page are read " +
        "by the " +
        "browser and never leave this computer.",
    )
    .option("--port <n>", "port on localhost; 0 picks a free one", whole(0, 65535), 8137)
    .option("--open", "open the page in the browser")
    .action(({ port, open }: { readonly port: number; readonly open?: boolean }) =>
      serve(port, open ?? false),
    );
}

async function serve(port: number, open: boolean): Promise<void> {
  const served = await serveFolder(packageFile("dist/app"), port, pageHeaders);
  process.stdout.write(`${served.url}\n`);
  process.stderr.write("Press Ctrl-C to stop.\n");
  if (open) openInBrowser(served.url);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  await served.close();
}
