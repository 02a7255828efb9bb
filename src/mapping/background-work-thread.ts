// The thread of background-work.ts.
import { answerRequests } from "#platform";
import { answering, type BackgroundRequest, type BackgroundTask } from "./background-work.js";

await answerRequests<BackgroundTask, BackgroundRequest, unknown>(answering);
