// Analysis of samples: principal components of their embeddings, associations with metadata, prediction of
// groups, and correlated genes.
import { analyses } from "../answers.js";
import { queryConditions } from "../conditions.js";
import { signal, useSignal } from "@preact/signals";
import { guarded, working } from "../job-status.js";
import { CopyCommand } from "./copy-command.js";
import { DataTable, numberColumn, pColumn, SaveTable, type TableColumn } from "./data-table.js";
import { geneColumn } from "./marker-list.js";
import { SaveChart } from "../charts/save-chart.js";
import type { MappingResult, SampleAnalysisResult } from "../protocol.js";
import { isBusy, work } from "../state.js";
import { count, percent, pValue } from "../text.js";
import { pageWords } from "../words.js";
import { SampleScatter } from "./samples.js";

const source = signal<"query" | "reference">("query");

async function analyse(classify: readonly string[]): Promise<void> {
  const { result, query, reference } = work.value;
  if (!result) return;
  const file = source.value === "reference" ? reference : query;
  const conditions =
    source.value === "query" && query
      ? queryConditions(query, Object.keys(result.model.summary.conditions))
      : { conditionKeys: {}, conditionValues: {} };
  await guarded("The samples could not be analysed", async () => {
    const results = await working("Analysing samples", ({ jobs, listener }) =>
      jobs.analyseSamples(
        { modelFiles: result.model.files, dataFiles: file?.files ?? [], ...conditions, classify },
        listener,
      ),
    );
    analyses.value = {
      of: result,
      results,
      file: file && file.files.length > 0 ? file.info.name : null,
      conditions,
      classified: classify,
    };
  });
}

export function SampleAnalysisPanel({ result }: { readonly result: MappingResult }) {
  const { query, reference } = work.value;
  const answer = analyses.value?.of === result ? analyses.value : null;
  if (result.samples.length === 0)
    return (
      <p class="empty">
        This model encodes samples one-hot: it has no embeddings of them. A model with learnt embeddings (the
        default) has them.
      </p>
    );
  return (
    <>
      <section aria-labelledby="analysis-title">
        <header class="row">
          <h3 id="analysis-title">Samples of the model</h3>
        </header>
        <div class="row">
          <label class="row tight">
            <span>Metadata and genes from</span>
            <select
              value={source.value}
              onChange={(event) => (source.value = event.currentTarget.value as "query" | "reference")}
            >
              <option value="query" disabled={!query || query.files.length === 0}>
                the query
              </option>
              <option value="reference" disabled={!reference}>
                the reference's cells
              </option>
            </select>
          </label>
          <button onClick={() => analyse([])} disabled={isBusy.value}>
            {answer ? "Analyse again" : "Analyse"}
          </button>
        </div>
        {!answer && (
          <p class="hint">
            Reads the mean expression of each sample, and the columns that are constant within samples as
            their metadata.
          </p>
        )}
      </section>
      {(
        answer?.results ??
        result.samples.map((map): SampleAnalysisResult | { readonly map: typeof map } => ({ map }))
      ).map((analysis, position) => (
        <Analysis
          key={analysis.map.key}
          result={result}
          map={analysis.map}
          position={position}
          analysis={"guidance" in analysis ? analysis : null}
        />
      ))}
      {answer && <CopyCommand id="samples" />}
    </>
  );
}

interface AnalysisProps {
  readonly result: MappingResult;
  readonly map: SampleAnalysisResult["map"];
  readonly position: number;
  readonly analysis: SampleAnalysisResult | null;
}

function Analysis({ result, map, position, analysis }: AnalysisProps) {
  const axes = useSignal<readonly [number, number]>([0, 1]);
  const covariate = useSignal("");
  const shown = analysis?.covariates.find(({ name }) => name === covariate.value);
  return (
    <>
      <section class="plane" aria-label={`Components of ${map.key}`}>
        <div class="row">
          {([0, 1] as const).map((axis) => (
            <AxisChoice
              key={axis}
              map={map}
              name={axis === 0 ? "x" : "y"}
              component={axes.value[axis]}
              onChange={(component) =>
                (axes.value = axis === 0 ? [component, axes.value[1]] : [axes.value[0], component])
              }
            />
          ))}
          {analysis && (
            <CovariateChoice
              names={analysis.covariates.map(({ name }) => name)}
              chosen={covariate.value}
              onChange={(name) => (covariate.value = name)}
            />
          )}
        </div>
        <SampleScatter
          result={result}
          samples={map}
          position={position}
          components={axes.value}
          colouring={shown ?? null}
        />
      </section>
      {analysis && (
        <>
          <Associations analysis={analysis} />
          <Classifications analysis={analysis} />
          <Genes analysis={analysis} />
        </>
      )}
    </>
  );
}

function AxisChoice({
  map: { dimensions, variance },
  name,
  component,
  onChange,
}: {
  readonly map: AnalysisProps["map"];
  readonly name: string;
  readonly component: number;
  readonly onChange: (component: number) => void;
}) {
  return (
    <label class="row tight">
      <span>{name}</span>
      <select value={component} onChange={(event) => onChange(Number(event.currentTarget.value))}>
        {Array.from({ length: Math.min(dimensions, 10) }, (_, one) => (
          <option key={one} value={one}>
            PC{one + 1} ({percent(variance[one] ?? 0, 0)})
          </option>
        ))}
      </select>
    </label>
  );
}

/** What colours the samples: a covariate, else the gene of the cells or where they come from. */
function CovariateChoice({
  names,
  chosen,
  onChange,
}: {
  readonly names: readonly string[];
  readonly chosen: string;
  readonly onChange: (name: string) => void;
}) {
  const { colourBy } = work.value.view;
  return (
    <label class="row tight">
      <span>Colour</span>
      <select value={chosen} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">
          {colourBy.kind === "gene" ? `${colourBy.name}, as the cells` : "reference, query"}
        </option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

const mostComponents = 6;

type Association = SampleAnalysisResult["associations"][number];

/** Adjusted R2 of every covariate with every component. */
function Associations({ analysis }: { readonly analysis: SampleAnalysisResult }) {
  const { associations, guidance, map } = analysis;
  const covariates = [
    ...new Set(
      associations.filter((row) => Number.isFinite(row.adjusted_r2)).map(({ covariate }) => covariate),
    ),
  ];
  const components = Array.from({ length: Math.min(mostComponents, map.dimensions) }, (_, k) => k + 1);
  const cells = covariates.map((covariate) =>
    components.map((component) =>
      associations.find((row) => row.covariate === covariate && row.component === component),
    ),
  );
  const hasCells = covariates.length > 0;
  return (
    <section aria-labelledby={`associations-${map.key}`}>
      <header class="row">
        <h3 id={`associations-${map.key}`}>What explains the samples</h3>
        {hasCells && (
          <SaveChart
            name={`Associations of ${map.key}`}
            plot={(plots) =>
              plots.associationsPlot(
                analysis,
                covariates,
                cells.map((row) => row.map((cell) => cell?.adjusted_r2 ?? NaN)),
              )
            }
          />
        )}
      </header>
      <p class="hint">{pageWords(guidance.reason)}</p>
      {hasCells && (
        <>
          <AssociationTable covariates={covariates} components={components} cells={cells} />
          <p class="hint">* corrected P below 0.05, by a linear model of the component on the covariate.</p>
          <SaveTable
            file={`associations-${map.key}`}
            rows={associations}
            columns={[
              { name: "covariate", value: (row) => row.covariate },
              { name: "component", value: (row) => `PC${row.component}` },
              { name: "adjusted R2", value: (row) => row.adjusted_r2 },
              { name: "P", value: (row) => row.p },
              { name: "P corrected", value: (row) => row.p_adjusted },
              { name: "samples", value: (row) => row.samples },
            ]}
          />
        </>
      )}
    </section>
  );
}

/** @param cells - per covariate and component; undefined where it is not known */
function AssociationTable({
  covariates,
  components,
  cells,
}: {
  readonly covariates: readonly string[];
  readonly components: readonly number[];
  readonly cells: readonly (readonly (Association | undefined)[])[];
}) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Associations">
      <table class="matrix">
        <caption class="unseen">Adjusted R squared of each covariate with each principal component</caption>
        <thead>
          <tr>
            <th scope="col">adjusted R²</th>
            {components.map((component) => (
              <th key={component} scope="col">
                PC{component}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {covariates.map((covariate, row) => (
            <tr key={covariate}>
              <th scope="row">{covariate}</th>
              {components.map((component, column) => (
                <AssociationCell key={component} cell={cells[row]![column]} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function AssociationCell({ cell }: { readonly cell: Association | undefined }) {
  const value = cell?.adjusted_r2 ?? NaN;
  const share = Number.isFinite(value) ? Math.max(0, Math.min(1, value)) : 0;
  return (
    <td
      title={
        cell
          ? `P ${pValue(cell.p)}, corrected ${pValue(cell.p_adjusted)}, ${cell.samples} samples`
          : "not known"
      }
      style={{ background: `color-mix(in srgb, var(--accent) ${Math.round(42 * share)}%, var(--sunken))` }}
    >
      {Number.isFinite(value) ? value.toFixed(2) : "–"}
      {cell && cell.p_adjusted < 0.05 ? "*" : ""}
    </td>
  );
}

type Score = SampleAnalysisResult["classifications"][number]["scores"][number];

const scoreColumns: readonly TableColumn<Score>[] = [
  { name: "features", value: (score) => score.features },
  { name: "classifier", value: (score) => score.classifier },
  {
    name: "weighted F1",
    hint: "mean and standard deviation over the repeats",
    value: (score) => score.weighted_f1,
    show: (score) => `${score.weighted_f1.toFixed(2)} ± ${score.weighted_f1_sd.toFixed(2)}`,
  },
  { name: "accuracy", value: (score) => score.accuracy, show: (score) => percent(score.accuracy, 0) },
  {
    name: "P",
    hint: "against permuted groups",
    value: (score) => score.p,
    show: (score) => (score.p === null ? "–" : pValue(score.p)),
  },
];

function Classifications({ analysis }: { readonly analysis: SampleAnalysisResult }) {
  const candidates = analysis.covariates.filter(
    ({ kind, levels, values }) => kind !== "number" && levels.length >= 2 && levels.length < values.length,
  );
  const chosen = useSignal(candidates[0]?.name ?? "");
  if (candidates.length === 0) return null;
  return (
    <section aria-labelledby={`classification-${analysis.map.key}`}>
      <h3 id={`classification-${analysis.map.key}`}>Predicting sample groups</h3>
      <div class="row">
        <label class="row tight">
          <span>Classify by</span>
          <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
            {candidates.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button disabled={isBusy.value} onClick={() => analyse([chosen.value])}>
          Cross-validate
        </button>
      </div>
      {analysis.classifications.map(({ covariate, scores, folds, repeats }) => (
        <div key={covariate}>
          <p class="hint">
            {covariate}: {folds}-fold cross-validation, {repeats} times
          </p>
          <DataTable
            caption={`Prediction of ${covariate}`}
            file={`prediction-${covariate}`}
            rows={scores}
            keyOf={(score) => `${score.features} ${score.classifier}`}
            columns={scoreColumns}
          />
        </div>
      ))}
    </section>
  );
}

const mostGenes = 15;

const correlationColumns: readonly TableColumn<SampleAnalysisResult["genes"][number]>[] = [
  geneColumn,
  numberColumn("r", (row) => row.r, 3),
  pColumn("P", (row) => row.p),
  pColumn("P corr.", (row) => row.p_adjusted),
];

/** Genes whose mean expression per sample goes with a component; a click colours the cells by one. */
function Genes({ analysis: { genes, geneCounts, map } }: { readonly analysis: SampleAnalysisResult }) {
  const component = useSignal(1);
  if (genes.length === 0) return null;
  const ofComponent = genes.filter((row) => row.component === component.value);
  const counted = geneCounts.find((row) => row.component === component.value);
  return (
    <section aria-labelledby={`genes-${map.key}`}>
      <header class="row">
        <h3 id={`genes-${map.key}`}>Genes correlated with</h3>
        <select
          aria-label="Component"
          value={component.value}
          onChange={(event) => (component.value = Number(event.currentTarget.value))}
        >
          {[...new Set(genes.map((row) => row.component))].map((one) => (
            <option key={one} value={one}>
              PC{one}
            </option>
          ))}
        </select>
      </header>
      {counted && (
        <p class="hint">
          {count(counted.positive)} genes positively and {count(counted.negative)} negatively (P below 0.01,
          |r| above 0.3); {count(counted.after_correction)} after correction.
        </p>
      )}
      <DataTable
        caption={`Genes correlated with PC${component.value}`}
        file={`genes-PC${component.value}`}
        rows={ofComponent}
        keyOf={(row) => row.gene}
        most={mostGenes}
        columns={correlationColumns}
      />
    </section>
  );
}
