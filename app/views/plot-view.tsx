// A chart of the library on the page: drawn from the same numbers as in a report and in a saved picture.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Plot } from "scpoli";
import { SaveChart } from "../charts/save-chart.js";
import type { Plots } from "../saving.js";

/** @param depends - inputs of the plot: it is redrawn when one of them changes */
export function PlotView({
  name,
  plot,
  depends,
}: {
  readonly name: string;
  readonly plot: (plots: Plots) => Plot;
  readonly depends: readonly unknown[];
}) {
  const svg = useSignal("");
  useEffect(() => {
    let isWanted = true;
    void import("../plots.js").then((plots) => {
      if (isWanted) svg.value = plot(plots).svg;
    });
    return () => void (isWanted = false);
  }, depends);
  return (
    <figure class="chart library-plot">
      {/* made by the library, which escapes every name */}
      <div
        class="scroll-x"
        tabIndex={0}
        role="group"
        aria-label={name}
        dangerouslySetInnerHTML={{ __html: svg.value }}
      />
      <div class="chart-foot">
        <span />
        <SaveChart name={name} plot={plot} />
      </div>
    </figure>
  );
}
