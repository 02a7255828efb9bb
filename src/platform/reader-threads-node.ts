// Under Node the threads that read are found without help: giver-node.ts knows their modules.

export function provideReaderThreads(): void {}
