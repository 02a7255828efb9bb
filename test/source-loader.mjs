// Tests import the built package, ../dist/NAME.js. With this module (`npm run test:unit`) the same imports
// lead to the sources, in worker threads too, so that nothing has to be built but what scripts generate.
import { register as registerHooks } from "node:module";
import { register } from "tsx/esm/api";
import { checkGenerated } from "../scripts/generated.mjs";

checkGenerated();
register();
registerHooks("./source-hooks.mjs", import.meta.url);
