// Node needs no list of background workers: background-threads-node.ts knows their modules.

export function provideWorkThreads(): void {}
