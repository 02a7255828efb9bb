// Hands jobs to a worker, with the files that the test has put into the file input; `window.job` is what the
// test calls.
let worker = null;

window.job = (name, options = {}) => {
  worker ??= new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const files = [...document.querySelector("#files").files];
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data.result));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ name, options, files });
  });
};

/** Ends the worker: the next job gets a new one. */
window.endWorker = () => {
  worker?.terminate();
  worker = null;
};

/** Saves a file that a job has handed out. */
window.save = async (name, options) => {
  const file = await window.job(name, options);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name ?? "folder.zip";
  link.click();
};
