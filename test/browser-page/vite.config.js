export default { logLevel: "error", worker: { format: "es" }, build: { target: "es2022" } };
