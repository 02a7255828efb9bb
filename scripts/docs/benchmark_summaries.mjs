// The first paragraph of pages of docs/benchmarks/: what the results say, with their figures.
// scripts/docs/benchmark_figures.mjs inserts them.

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const times = (ratio) => ratio.toFixed(1);
const count = (value) => Math.round(value).toLocaleString("en-US");
const hours = (value) => (value < 1 ? `${Math.round(60 * value)} minutes` : `${value.toFixed(1)} hours`);
const twoDigits = (value) => value.toFixed(2);
const signed = (value) => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;
const unique = (values) => [...new Set(values)];
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const rangeOf = (values, write) => {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(write);
  return least === most ? least : `${least} to ${most}`;
};
const listed = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/**
 * Summaries by page.
 * @param rowsOf - rows of bench/results/NAME.csv
 * @param valueOf - content of bench/results/NAME.json
 */
export function summaries(rowsOf, valueOf) {
  return {
    scale: scale(rowsOf("scale")),
    speed: speed(rowsOf("speed")),
    costs: costs(rowsOf("costs-predicted"), rowsOf("costs")),
    "scale-out": scaleOut(rowsOf("scale-out")),
    rounds: rounds(rowsOf("rounds")),
    cluster: cluster(rowsOf("cluster")),
    samples: samples(valueOf("samples")),
    "sample-uncertainty": sampleUncertainty(rowsOf("sample-uncertainty")),
    "markers-and-comparisons": comparisons(valueOf("answers")),
    modalities: modalities(rowsOf("modalities"), rowsOf("likelihoods")),
    evaluation: evaluation(rowsOf("metrics"), rowsOf("evaluate")),
  };
}

function scale(rows) {
  const [least, most] = [Math.min, Math.max].map((of) => of(...rows.map(({ cells }) => cells)));
  const row = (what, cells = most) => rows.find((one) => one.cells === cells && one.what === what);
  const growth = (what) => times(row(what).peak_mb / row(what, least).peak_mb);
  const training = "train, streamed: an epoch of fine-tuning";
  const mapping = "map, streamed";
  return (
    `Counts are streamed from disk: for ${count(most / least)} times as many cells, training takes ` +
    `${growth(training)} times the memory and mapping ${growth(mapping)} times. ${count(most)} cells train ` +
    `in ${count(row(training).peak_mb)} MB and map in ${count(row(mapping).peak_mb)} MB. On two cores an ` +
    `epoch of training takes ${count(row(training).seconds)} s, mapping ${count(row(mapping).seconds)} s, ` +
    `and embedding ${count(row("embed").seconds)} s.`
  );
}

function speed(rows) {
  const median = (what) => rows.find((row) => row.what === what).median;
  const ratios = (build, width) =>
    ["pretraining", "fine-tuning"].map((stage) => times(median(`ratio ${build}, ${width} units, ${stage}`)));
  const [published, ours, relaxed] = [ratios("plain", 64), ratios("plain", 128), ratios("relaxed", 128)];
  return (
    `On the same two cores and at the default width (128 hidden units), pretraining is ${ours[0]} and ` +
    `fine-tuning ${ours[1]} times as fast as scArches of that width; with relaxed SIMD ${relaxed[0]} and ` +
    `${relaxed[1]} times; at the published width (64 units) ${published[0]} and ${published[1]} times.`
  );
}

function costs(runs, steps) {
  const seen = runs.filter(({ kind }) => kind === "small run");
  const unseen = runs.filter(({ kind, fitted }) => kind !== "small run" && fitted === "no");
  const ratios = (of) =>
    rangeOf(
      of.map((run) => run.predicted_seconds / run.seconds),
      twoDigits,
    );
  const memory = steps.map((row) => row.memory_predicted_mb / row.memory_mb);
  return (
    "`scpoli plan` predicts time and memory from the sizes of the files. On runs that the fit did not see, " +
    `the predicted time is ${ratios(unseen)} times the measured time; on the runs of the fit, ` +
    `${ratios(seen)} times. The predicted memory is ${rangeOf(memory, twoDigits)} times the peak.`
  );
}

function scaleOut(rows) {
  const at = (cores, nodes) =>
    rows.find(
      ({ kind, what }) =>
        kind === "simulated hours" &&
        what.startsWith(`${cores} cores, 100 epochs, ${nodes} nodes`) &&
        what.endsWith("one job"),
    );
  return (
    "Simulated, not run: the paper's atlas of 7.8 million cells for 100 epochs. With 2 cores per node it " +
    `takes ${hours(at(2, 1).value)} on one node, ${hours(at(2, 8).value)} on 8 and ` +
    `${hours(at(2, 64).value)} on 64, an efficiency of ${percent(at(2, 64).efficiency)}. One node of 32 ` +
    `cores takes ${hours(at(32, 1).value)}, so more cores help before more nodes do.`
  );
}

function rounds(rows) {
  const sets = unique(rows.map(({ set }) => set));
  const alone = (set, figure) =>
    mean(rows.filter((row) => row.set === set && row.shards === 1).map((row) => row[figure]));
  const cut = rows.filter(({ shards }) => shards > 1);
  const differences = (figure) => cut.map((row) => row[figure] - alone(row.set, figure));
  return (
    `So far ${cut.length} run${cut.length === 1 ? "" : "s"} in rounds on ${listed(sets)}, beside training ` +
    `on one machine: the accuracy of the nearest prototype differs by ` +
    `${rangeOf(differences("prototype_accuracy"), signed)}, integration by ` +
    `${rangeOf(differences("integration"), signed)}. Most are of one seed, so small differences say little.`
  );
}

function cluster(rows) {
  const value = (what) => rows.find((row) => row.what === what).value;
  const isSame = ["model.json, same bytes", "model.safetensors, same bytes"].every(
    (what) => value(what) === "yes",
  );
  return (
    `Jobs and the controller of a run on Slurm were killed. It finished, and its model has ` +
    `${isSame ? "the same bytes as" : "OTHER BYTES than"} that of an undisturbed run. On one ` +
    `node, the run took ${count(value("seconds of the workflow"))} s with ${value("Slurm jobs")} jobs; the ` +
    `training alone, without a scheduler, takes ${count(value("seconds of the undisturbed training"))} s.`
  );
}

function samples(results) {
  const explained = (name, covariate) =>
    results[name].explained.find((one) => one.covariate === covariate).adjusted_r2.toFixed(2);
  const first = results["kang16, sample"].associations.find(
    ({ covariate, component }) => covariate === "condition" && component === 1,
  );
  const heldOut = results["held out"].flatMap(({ predicted, truth }) =>
    truth.map((value, sample) => predicted.linear[sample] === value),
  );
  return (
    "What the embeddings of samples tell on real data. Among stimulated and control samples (kang16), the " +
    `treatment explains ${first.adjusted_r2.toFixed(2)} of the first component (adjusted R2), and it is ` +
    `predicted right for ${heldOut.filter(Boolean).length} of ${heldOut.length} held-out samples. Among ` +
    "healthy donors (onek1k), neither sex nor age explains anything (adjusted R2 " +
    `${explained("onek1k, donor", "sex")} and ${explained("onek1k, donor", "age")}).`
  );
}

function sampleUncertainty(rows) {
  const ratios = (isShown) =>
    rangeOf(
      rows.filter(isShown).map(({ computed, observed }) => computed / observed),
      twoDigits,
    );
  return (
    "How far would the embedding of a sample move if other cells of it had been measured? The computed " +
    `standard deviation is ${ratios(({ set }) => set !== "pbmc3")} times the observed one where the ` +
    `reference has many samples, and ${ratios(({ set }) => set === "pbmc3")} times, far too large, where ` +
    "it has two (pbmc3)."
  );
}

function comparisons({ comparison }) {
  const { rows, calibration } = comparison.numbers;
  const ranks = rows.flatMap(({ induced }) => (induced ?? []).map(({ rank }) => rank));
  const top = ranks.filter((rank) => rank <= 30).length;
  const shares = calibration.map(({ below05 }) => below05);
  return (
    "Marker genes of blood cells, and the response to interferon-beta (kang16). Of the known " +
    `interferon-induced genes that could be tested, ${percent(top / ranks.length)} are among the first 30 ` +
    `of their cell type. Where nothing differs, ${rangeOf(shares, (share) => percent(share, 1))} of the P ` +
    "values are below 0.05."
  );
}

function modalities(rows, speeds) {
  const accuracy = (configuration, labels) =>
    mean(
      rows
        .filter((row) => row.configuration === configuration && row.labels === labels)
        .map((row) => row.accuracy),
    );
  const bothRules = (configuration) =>
    `${percent(accuracy(configuration, "nearest prototype"))} (by the classifier on genes: ` +
    `${percent(accuracy(configuration, "head"))})`;
  const others = "atac, others on all 10,000 peaks";
  const zinb = speeds.filter(({ likelihood, build }) => likelihood === "zinb" && build === "plain");
  return (
    "Labels of chromatin accessibility and across primates. On scATAC, " +
    `${bothRules("atac, poisson on fragments, all 10,000 peaks")} of the cells get the right label ` +
    `(scArches: ${percent(accuracy(others, "scArches, poisson, nearest prototype"))}; linear SVMs on all ` +
    `peaks: ${percent(accuracy(others, "linear SVM, C = 1"))} and ` +
    `${percent(accuracy(others, "linear SVM, C = 0.001, types weighted alike"))}). Of the human cells, ` +
    `${bothRules("species, conditions are clones")} get it from gorilla and macaque. The zinb likelihood ` +
    `runs at ${rangeOf(
      zinb.map((row) => row.ratio_to_nb),
      twoDigits,
    )} of the ` +
    "speed of nb."
  );
}

function evaluation(metrics, speeds) {
  const isClustered = ({ metric }) => /leiden|isolated_label_f1/.test(metric);
  const largest = (rows) => Math.max(...rows.map(({ difference }) => Math.abs(difference)));
  const [clustered, exact] = [true, false].map((wanted) =>
    largest(metrics.filter((row) => isClustered(row) === wanted)),
  );
  return (
    "The [metrics](../reference/metrics.md) of `scpoli evaluate`, compared with the Python packages that " +
    `define them: those that need Leiden clusters differ by at most ${clustered.toFixed(4)}, all others ` +
    `by at most ${exact.toExponential(0)}. All of them together take ` +
    `${percent(1 / speeds.find(({ what }) => what === "all metrics").ratio)} of the time of scib-metrics.`
  );
}
