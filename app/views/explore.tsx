// Explore: colours on the left, the cells in the middle, and on the right answers about them, all linked.
import { tab, work, type Tab } from "../state.js";
import { CellsView } from "./cells.js";
import { ComparePanel } from "./compare.js";
import { GenesPanel } from "./genes.js";
import { Legend } from "./legend.js";
import { SelectionPanel } from "./selection.js";
import { SamplesPanel } from "./samples.js";
import { SampleAnalysisPanel } from "./sample-analysis.js";
import { NoveltyPanel } from "./uncertainty.js";
import { TypesPanel } from "./types.js";
import { UnknownPanel } from "./unknown.js";
import { MetricsPanel } from "./metrics.js";
import { VerdictPanel } from "./verdict.js";

const tabs: readonly { readonly id: Tab; readonly name: string; readonly isWide: boolean }[] = [
  { id: "overview", name: "Overview", isWide: false },
  { id: "unknown", name: "Unknown cells", isWide: false },
  { id: "types", name: "Types", isWide: true },
  { id: "genes", name: "Genes", isWide: true },
  { id: "compare", name: "Compare", isWide: true },
  { id: "samples", name: "Samples", isWide: true },
  { id: "metrics", name: "Metrics", isWide: true },
];

export function ExploreView() {
  const { result } = work.value;
  if (!result) return <p class="empty">Map cells first.</p>;
  const choose = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const next = tabs[(tabs.findIndex(({ id }) => id === tab.value) + by + tabs.length) % tabs.length]!;
    tab.value = next.id;
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <div class={tabs.find(({ id }) => id === tab.value)!.isWide ? "explore wide" : "explore"}>
      <Legend result={result} />
      <CellsView result={result} />
      <aside class="side" aria-label="About the mapping">
        <div class="tabs" role="tablist" aria-label="About the mapping" onKeyDown={choose}>
          {tabs.map(({ id, name }) => (
            <button
              key={id}
              id={`tab-${id}`}
              role="tab"
              aria-selected={tab.value === id}
              aria-controls="panel"
              tabIndex={tab.value === id ? 0 : -1}
              onClick={() => (tab.value = id)}
            >
              {name}
            </button>
          ))}
        </div>
        <div id="panel" class="panel" role="tabpanel" aria-labelledby={`tab-${tab.value}`} tabIndex={0}>
          <SelectionPanel result={result} />
          {tab.value === "overview" && (
            <>
              <VerdictPanel result={result} />
              <NoveltyPanel result={result} />
              <SamplesPanel result={result} />
            </>
          )}
          {tab.value === "unknown" && (
            <>
              <UnknownPanel result={result} />
              <NoveltyPanel result={result} />
            </>
          )}
          {tab.value === "types" && <TypesPanel result={result} />}
          {tab.value === "genes" && <GenesPanel result={result} />}
          {tab.value === "compare" && <ComparePanel result={result} />}
          {tab.value === "metrics" && <MetricsPanel result={result} />}
          {tab.value === "samples" && <SampleAnalysisPanel result={result} />}
        </div>
      </aside>
    </div>
  );
}
