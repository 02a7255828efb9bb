// scpoli app: serves the web page that comes with the package, to this computer only.
import type { Command } from "commander";
import { openInBrowser, packageFile, serveFolder } from "#platform";
import { pageHeaders } from "./app-headers.js";
import { whole } from "./arguments.js";

export function addApp(program: Command): void {
  program
    .command("app")
    .summary("the web page, served to this computer only")
    .description(
      "Serves the web page that comes with the package, to this computer only, until Ctrl-C. Files that are opened in it are read by the browser and go nowhere.",
    )
    .option("--port <n>", "port on localhost; 0 takes any that is free", whole(0, 65535), 8137)
    .option("--open", "open it in the browser")
    .action(({ port, open }: { readonly port: number; readonly open?: boolean }) =>
      serve(port, open ?? false),
    );
}

async function serve(port: number, open: boolean): Promise<void> {
  const served = await serveFolder(packageFile("dist/app"), port, pageHeaders);
  process.stdout.write(`${served.url}\n`);
  process.stderr.write("Ctrl-C ends it.\n");
  if (open) openInBrowser(served.url);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  await served.close();
}
