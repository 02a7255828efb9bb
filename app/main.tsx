// The page's start.
import { render } from "preact";
import { startOffline } from "./offline.js";
import { Page } from "./page.js";
import { isUnsaved, job, work } from "./state.js";
import "./styles.css";

render(<Page />, document.getElementById("page")!);
void startOffline(
  () => !isUnsaved.value && !job.value && !work.value.query && !work.value.reference && !work.value.model,
);
