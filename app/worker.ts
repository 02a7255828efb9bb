// The worker: the library behind the jobs that the page asks for. The library is used through its public
// entry only.
import { expose } from "comlink";
import {
  inspectFiles,
  loadModelFiles,
  readCellNames,
  readColumn,
  readCoverage,
  readEmbedding,
  readGenes,
  readGeneMeans,
  readGeneNames,
} from "./worker/open.js";
import { continueTraining, finishTraining, pauseTraining, trainModel } from "./worker/train.js";
import { mapQuery, nameCellType, stopMapping } from "./worker/map.js";
import { analyseSamples } from "./worker/samples.js";
import { repackModel, saveAnnotated, scoreMapping, writeReport } from "./worker/save.js";
import { compareGroups, markerGenes, measureQuality } from "./worker/answers.js";
import { carryErrors } from "./worker/errors.js";

const jobs = {
  inspectFiles,
  loadModelFiles,
  readCellNames,
  readColumn,
  readCoverage,
  readEmbedding,
  readGenes,
  readGeneMeans,
  readGeneNames,
  trainModel,
  continueTraining,
  pauseTraining,
  finishTraining,
  mapQuery,
  stopMapping,
  nameCellType,
  analyseSamples,
  compareGroups,
  markerGenes,
  measureQuality,
  repackModel,
  saveAnnotated,
  scoreMapping,
  writeReport,
};
export type Jobs = typeof jobs;

carryErrors();
expose(jobs);
