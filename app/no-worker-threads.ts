// Takes the place of Node's worker_threads in the page: unzipit imports Worker from it where it runs in Node,
// and nowhere else.
export const Worker = undefined;
