// Quality of the query's cells before they are mapped: counts, genes and mitochondrial counts per cell.
import { measuredQuality } from "../answers.js";
import { guarded, working } from "../job-status.js";
import type { CellQuality } from "../protocol.js";
import { job, type DataFile } from "../state.js";
import { percent, short } from "../text.js";
import { PlotView } from "./plot-view.js";

export function QualityCheck({ file }: { readonly file: DataFile }) {
  const quality = measuredQuality.value?.of === file.files ? measuredQuality.value.quality : null;
  const measure = (): Promise<void> =>
    guarded("The quality of the cells could not be measured", async () => {
      measuredQuality.value = {
        of: file.files,
        quality: await working("Measuring the cells", ({ jobs, listener }) =>
          jobs.measureQuality(file.files, listener),
        ),
      };
    });
  return (
    <details class="more">
      <summary>Quality of the cells</summary>
      {quality ? (
        <Measured quality={quality} />
      ) : (
        <p class="row">
          <button type="button" onClick={measure} disabled={job.value !== null}>
            Measure counts per cell
          </button>
          <span class="hint">counts, genes and mitochondrial counts of each cell</span>
        </p>
      )}
    </details>
  );
}

function Measured({ quality: { counts, genes, mitochondrial } }: { readonly quality: CellQuality }) {
  const measures = [
    { name: "Counts per cell", unit: "counts", values: counts, write: short },
    { name: "Genes per cell", unit: "genes", values: genes, write: short },
    ...(mitochondrial
      ? [
          {
            name: "Mitochondrial counts",
            unit: "share of the counts",
            values: mitochondrial,
            write: (share: number) => percent(share),
          },
        ]
      : []),
  ];
  return (
    <>
      <dl class="facts">
        {measures.map(({ name, values, write }) => {
          const sorted = values.toSorted();
          const at = (share: number): string => write(sorted[Math.floor(share * (sorted.length - 1))]!);
          return (
            <div key={name}>
              <dt>{name}: median (5 % to 95 %)</dt>
              <dd>
                {at(0.5)} ({at(0.05)} to {at(0.95)})
              </dd>
            </div>
          );
        })}
      </dl>
      {!mitochondrial && <p class="hint">No gene is named as a mitochondrial one (MT-...).</p>}
      {measures.map(({ name, unit, values }) => (
        <PlotView
          key={name}
          name={name}
          depends={[values]}
          plot={(plots) => plots.qualityPlot(name, unit, values)}
        />
      ))}
    </>
  );
}
