// Buttons that save a chart as a picture.
import type { Plot } from "scpoli";
import { guarded } from "../job-status.js";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import type { Plots } from "../saving.js";

/**
 * @param name - of the chart, also in the file's name
 * @param plot - made of the numbers of now when it is saved
 */
export function SaveChart({ name, plot }: { readonly name: string; readonly plot: (plots: Plots) => Plot }) {
  const save = (kind: "svg" | "png"): Promise<void> =>
    guarded("The picture could not be saved", async () => {
      const { savePlot } = await import("../saving.js");
      const { file, name: fileName } = await savePlot(kind, name, plot);
      download(file, fileName);
    });
  return (
    <span class="save-chart" role="group" aria-label={`Save the picture: ${name}`}>
      <Icon name="download" />
      {(["svg", "png"] as const).map((kind) => (
        <button
          key={kind}
          type="button"
          class="quiet"
          title={`Save this as ${kind.toUpperCase()}`}
          onClick={() => save(kind)}
        >
          {kind.toUpperCase()}
        </button>
      ))}
    </span>
  );
}
