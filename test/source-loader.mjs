// Lets Node run the TypeScript sources, in worker threads too (tsx's usual hook skips those).
import { register } from "tsx/esm/api";

register();
