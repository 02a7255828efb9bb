// The thread of side-work.ts.
import { answerCalls } from "#platform";
import { answering, type SideRequest, type SideTask } from "./side-work.js";

await answerCalls<SideTask, SideRequest, unknown>(answering);
