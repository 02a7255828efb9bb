// The page's start.
import { render } from "preact";
import { openExample } from "./example.js";
import { startAutosave } from "./autosave.js";
import { startHistory } from "./history.js";
import { startOffline } from "./offline.js";
import { Page } from "./page.js";
import { isUnsaved, job, work } from "./state.js";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/cards.css";
import "./styles/site-models.css";
import "./styles/charts.css";
import "./styles/explore.css";
import "./styles/small-screens.css";

render(<Page />, document.getElementById("page")!);
// an address that ends with #example opens it at once
const isExample = location.hash === "#example";
startHistory();
void startAutosave().then(() => {
  if (isExample && !work.value.query) void openExample();
});
void startOffline(
  () => !isUnsaved.value && !job.value && !work.value.query && !work.value.reference && !work.value.model,
);
