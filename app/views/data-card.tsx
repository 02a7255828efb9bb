// What was found in a file of cells, and what its columns are used for.
import { coverageLimits } from "../checks.js";
import { Icon } from "../icons.js";
import type { DataInfo } from "../protocol.js";
import type { DataFile } from "../state.js";
import { bytesText, count, counted, percent } from "../text.js";
import { pageWords } from "../words.js";
import { QueryKeys, ReferenceKeys } from "./columns.js";
import { Warning } from "./controls.js";
import { DataTable } from "./data-table.js";
import { QualityCheck } from "./quality.js";

const formats: Readonly<Record<DataInfo["format"], string>> = {
  "10x": "10x Genomics",
  zarr: "AnnData-Zarr",
  h5ad: "AnnData",
  modality: "AnnData",
};

export function DataCard({ file, role }: { readonly file: DataFile; readonly role: "query" | "reference" }) {
  const { info } = file;
  return (
    <div class="data">
      <p class="name">
        <Icon name="file" />
        <strong>{info.name}</strong>
        <span class="hint">
          {formats[info.format]}, {bytesText(info.bytes)}
        </span>
      </p>
      <Facts file={file} coverage={role === "query" ? file.coverage : null} />
      <Findings info={info} />
      {role === "query" && file.files.length > 0 && <QualityCheck file={file} />}
      {role === "reference" ? <ReferenceKeys file={file} /> : <QueryKeys file={file} />}
      <Metadata columns={info.inspection.columns} />
    </div>
  );
}

function Facts({ file, coverage }: { readonly file: DataFile; readonly coverage: DataFile["coverage"] }) {
  const { cells, genes, counts } = file.info.inspection;
  const isOpen = file.files.length > 0;
  return (
    <dl class="facts">
      <div>
        <dt>Cells</dt>
        <dd>{count(cells)}</dd>
      </div>
      <div>
        <dt>Genes</dt>
        <dd>{count(genes)}</dd>
      </div>
      <div>
        <dt>Raw counts</dt>
        <dd class={!counts ? "bad" : isOpen ? "good" : ""}>
          {counts ? (isOpen ? `in ${counts}` : "file not open") : "none found"}
        </dd>
      </div>
      {coverage && (
        <div class="wide">
          <dt>Genes of the model</dt>
          <dd>
            <CoverageBar found={coverage.found} all={coverage.model} />
          </dd>
        </div>
      )}
    </dl>
  );
}

/** What a user should know of a file before it is used. */
function Findings({ info: { inspection, notes } }: { readonly info: DataInfo }) {
  const { counts, places, feature_types: features, cellxgene } = inspection;
  return (
    <>
      {!counts && (
        <Warning>
          No matrix of this file holds raw counts, which the model needs:{" "}
          {places.map(({ place, holds }) => pageWords(`${place}: ${holds}`)).join("; ")}. Counts of normalised
          values may be recovered, fractional counts rounded; or open a file with counts.
        </Warning>
      )}
      {features && Object.keys(features).length > 1 && (
        <p class="hint">
          Features:{" "}
          {Object.entries(features)
            .map(([type, amount]) => `${count(amount)} ${type}`)
            .join(", ")}
          . Gene expression is modelled.
        </p>
      )}
      {cellxgene && (
        <p class="hint">
          CELLxGENE schema {cellxgene.schema_version}
          {cellxgene.title ? `: ${cellxgene.title}` : ""}
        </p>
      )}
      {notes
        .filter(({ level }) => level === "warning")
        .map(({ message }) => (
          <Warning key={message}>{pageWords(message)}</Warning>
        ))}
    </>
  );
}

function Metadata({ columns }: { readonly columns: DataInfo["inspection"]["columns"] }) {
  return (
    <details class="more">
      <summary>Cell metadata ({counted(columns.length, "column")})</summary>
      <DataTable
        caption="Columns of the cell metadata"
        file="cell-metadata"
        rows={columns}
        keyOf={({ name }) => name}
        most={40}
        columns={[
          { name: "column", value: ({ name }) => name },
          { name: "kind", value: ({ kind }) => kind },
          { name: "values", hint: "different values", value: ({ distinct }) => distinct },
        ]}
      />
    </details>
  );
}

function CoverageBar({ found, all }: { readonly found: number; readonly all: number }) {
  const share = found / all;
  const level = share >= coverageLimits.warn ? "good" : share >= coverageLimits.refuse ? "fair" : "bad";
  return (
    <span class={`coverage ${level}`}>
      <meter
        min={0}
        max={1}
        low={coverageLimits.refuse}
        high={coverageLimits.warn}
        optimum={1}
        value={share}
        aria-label="Genes of the model in the query"
      />{" "}
      {percent(share)} ({count(found)} of {count(all)})
    </span>
  );
}
