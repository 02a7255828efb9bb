/**
 * Charts as SVG, with the numbers behind them: `import { lineChart } from "scpoli/plots"`.
 *
 * @module scpoli/plots
 */
export type { AxisScale } from "./axes.js";
export { barChart, histogram, type BarChartOptions, type HistogramOptions } from "./bar-charts.js";
export {
  dotPlot,
  violinPlot,
  type DotPlotOptions,
  type GeneInGroups,
  type ViolinGroup,
} from "./expression-charts.js";
export { heatMap, type HeatMapOptions } from "./heat-map.js";
export { placeLabels, type LabelPlace } from "./labels.js";
export { lineChart, type Series } from "./line-chart.js";
export {
  colourOn,
  divergingColour,
  expressionColour,
  groupColour,
  missingColour,
  rampColour,
  sampleColour,
  typeColour,
  typeNumber,
  unknownColour,
  type Paper,
} from "./palette.js";
export {
  normalEllipse,
  pointCloud,
  scatterPlot,
  type ScatterPlotOptions,
  type ScatterPoint,
  type Spread,
} from "./scatter-plots.js";
export { standaloneSvg, type Plot, type PlotTable } from "./svg.js";
