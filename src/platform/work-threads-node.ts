// Under Node the threads that work for others are found without help: giver-node.ts knows their modules.

export function provideWorkThreads(): void {}
