// A model in short: what it was built from, what it knows.
import { LossChart } from "../charts/losses.js";
import { Icon } from "../icons.js";
import type { ModelInfo } from "../protocol.js";
import { count, counted } from "../text.js";

export function ModelCard({ model }: { readonly model: ModelInfo }) {
  const { summary, name, origin, history } = model;
  const keys = Object.entries(summary.conditions);
  const origins = {
    scpoli: "scPoli model",
    scarches: "model of scArches, imported",
    "trained here": "trained here",
    "mapped here": "grown here by a query",
  } as const;
  return (
    <div class="data">
      <p class="name">
        <Icon name="folder" />
        <strong>{name}</strong>
        <span class="hint">{origins[origin]}</span>
      </p>
      <dl class="facts">
        <div>
          <dt>Cells</dt>
          <dd>{summary.cells === null ? "not known" : count(summary.cells)}</dd>
        </div>
        <div>
          <dt>Genes</dt>
          <dd>{count(summary.genes)}</dd>
        </div>
        <div>
          <dt>Latent</dt>
          <dd>{summary.model.latent_dim} dimensions</dd>
        </div>
        <div>
          <dt>Likelihood</dt>
          <dd>{summary.model.recon_loss}</dd>
        </div>
        {keys.map(([key, names]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd title={names.join(", ")}>{counted(names.length, "condition")}</dd>
          </div>
        ))}
      </dl>
      {Object.entries(summary.cell_types).map(([level, types]) => (
        <details key={level} class="more" open={Object.keys(types).length <= 12}>
          <summary>
            {level}: {counted(Object.keys(types).length, "cell type")}
          </summary>
          <ul class="types">
            {Object.entries(types)
              .sort(([, a], [, b]) => b - a)
              .map(([type, cells]) => (
                <li key={type}>
                  <span>{type}</span>
                  {cells > 0 && <span class="hint">{count(cells)}</span>}
                </li>
              ))}
          </ul>
        </details>
      ))}
      {history.length > 1 && (
        <details class="more">
          <summary>Training: {counted(history.length, "epoch")}</summary>
          <LossChart
            epochs={history.map((losses, epoch) => ({ epoch: epoch + 1, losses }))}
            planned={history.length}
          />
        </details>
      )}
    </div>
  );
}
