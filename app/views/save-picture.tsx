// The picture of the cells as a file, beside the picture.
import { guarded } from "../job-status.js";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import { savePicture } from "../saving.js";

export function SavePicture() {
  const save = (kind: "svg" | "png"): Promise<void> =>
    guarded("The picture could not be saved", async () => {
      const { file, name } = await savePicture(kind);
      download(file, name);
    });
  return (
    <span class="save-chart" role="group" aria-label="Save the picture of the cells">
      <Icon name="download" />
      {(["svg", "png"] as const).map((kind) => (
        <button
          key={kind}
          class="quiet"
          title={`Save the picture as ${kind.toUpperCase()}, as it is drawn now`}
          onClick={() => save(kind)}
        >
          {kind.toUpperCase()}
        </button>
      ))}
    </span>
  );
}
