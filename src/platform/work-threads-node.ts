// Under Node background threads are found without help: background-threads-node.ts knows their modules.

export function provideWorkThreads(): void {}
