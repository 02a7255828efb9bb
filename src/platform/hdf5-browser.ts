// The HDF5 library in a browser: h5wasm as a separate module of this package, which reads and writes the
// virtual file system.
import { lookAtRead, type Hdf5, type LoadedHdf5 } from "./hdf5.js";
import { StoredFile } from "./stored-file.js";
import { find } from "./virtual-folder.js";

let hdf5: Promise<LoadedHdf5> | null = null;
let hdf5Copies = 0;

/** The HDF5 library, loaded at the first call. It throws its errors instead of printing them. */
export function loadHdf5(): Promise<LoadedHdf5> {
  return (hdf5 ??= load().catch((error: unknown) => {
    abandonHdf5(); // retry at the next call
    throw error;
  }));
}

async function load(): Promise<LoadedHdf5> {
  // a separate file, not part of a bundle: a fresh instance is the same file at a different URL
  const address = new URL("../hdf5/h5wasm.js", import.meta.url).href;
  const library = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ hdf5Copies++ === 0
      ? address
      : `${address}?copy=${hdf5Copies}`
  )) as Hdf5;
  const module = await library.ready;
  module.activate_throwing_error_handler();
  const system = (module as unknown as { FS: FileSystem }).FS;
  system.mkdir(mountPoint);
  system.mount({ mount: () => topOf(system) }, {}, mountPoint);
  class File extends library.File {
    constructor(path: string, mode?: ConstructorParameters<Hdf5["File"]>[1], options?: boolean | object) {
      super(`${mountPoint}/${encodeURIComponent(path)}`, mode, options as boolean);
    }
  }
  return {
    library: { ...library, File },
    provideFilter: filterProvider(system, module.get_plugin_search_paths()[0]!),
  };
}

/**
 * After a failure inside the library, its memory and open files cannot be trusted: the next file gets a fresh
 * instance.
 */
export function abandonHdf5(): void {
  hdf5 = null;
}

/** URLs as literals, so that bundlers find them. */
const filters: Readonly<Record<string, URL>> = {
  bitgroom: new URL("../hdf5/filters/libH5Zbitgroom.so", import.meta.url),
  bitround: new URL("../hdf5/filters/libH5Zbitround.so", import.meta.url),
  blosc: new URL("../hdf5/filters/libH5Zblosc.so", import.meta.url),
  blosc2: new URL("../hdf5/filters/libH5Zblosc2.so", import.meta.url),
  bshuf: new URL("../hdf5/filters/libH5Zbshuf.so", import.meta.url),
  lz4: new URL("../hdf5/filters/libH5Zlz4.so", import.meta.url),
  lzf: new URL("../hdf5/filters/libH5Zlzf.so", import.meta.url),
  zstd: new URL("../hdf5/filters/libH5Zzstd.so", import.meta.url),
};

/**
 * Fetches filters when data need them, from the location of this module. HDF5 cannot wait for promises, so
 * the request is synchronous, which workers allow.
 */
function filterProvider(system: FileSystem, folder: string): LoadedHdf5["provideFilter"] {
  system.mkdirTree(folder);
  const provided = new Set<string>();
  return (name) => {
    const address = filters[name];
    if (!address || provided.has(name)) return address !== undefined;
    const request = new XMLHttpRequest();
    request.open("GET", address, false);
    request.responseType = "arraybuffer";
    try {
      request.send();
    } catch {
      return false;
    }
    if (request.status !== 200) return false;
    system.writeFile(`${folder}/libH5Z${name}.so`, new Uint8Array(request.response as ArrayBuffer));
    provided.add(name);
    return true;
  };
}

const mountPoint = "/files";

/** Part of Emscripten's file system interface. */
interface FileSystem {
  readonly ErrnoError: new (code: number) => Error;
  readonly FSNode: new (parent: FileNode | null, name: string, mode: number, device: number) => FileNode;
  createNode(parent: null, name: string, mode: number, device: number): FileNode;
  mkdir(path: string): void;
  mkdirTree(path: string): void;
  mount(type: object, options: object, path: string): void;
  writeFile(path: string, content: Uint8Array): void;
}
interface FileNode {
  readonly mode: number;
  node_ops: object;
  stream_ops: object;
}
interface Stream {
  readonly node: FileNode;
  readonly position: number;
}

const [folderMode, fileMode] = [0o40777, 0o100666];
/** Emscripten's error numbers. */
const [noSuchFile, inputOutput, invalid] = [44, 29, 28];

/** The folder of all files, each named by its path with encoded slashes. */
function topOf(system: FileSystem): FileNode {
  const top = system.createNode(null, "/", folderMode, 0);
  top.node_ops = {
    getattr: () => status(0, folderMode, 4096),
    lookup: (_: FileNode, name: string): FileNode => {
      const file = find(decodeURIComponent(name));
      if (!(file instanceof StoredFile)) throw new system.ErrnoError(noSuchFile);
      return nodeOf(system, top, name, file);
    },
  };
  return top;
}

/** A new node for each opening, because the path may refer to a different file later. */
function nodeOf(system: FileSystem, top: FileNode, name: string, file: StoredFile): FileNode {
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch {
      throw new system.ErrnoError(inputOutput); // HDF5 reports it as an error of the file
    }
  };
  const node = new system.FSNode(top, name, fileMode, 0);
  node.node_ops = {
    getattr: () => status(file.id, fileMode, file.bytes),
    setattr: (_: FileNode, { size }: { readonly size?: number }) => {
      if (size !== undefined) attempt(() => file.truncate(size));
    },
  };
  node.stream_ops = {
    read: (_: Stream, buffer: Int8Array, offset: number, length: number, position: number): number =>
      attempt(() => {
        const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
        const done = file.read(position, bytes);
        lookAtRead(bytes.subarray(0, done), position, (from, into) => file.read(from, into));
        return done;
      }),
    write: (_: Stream, buffer: Int8Array, offset: number, length: number, position: number): number =>
      attempt(() => {
        file.write(position, new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length));
        return length;
      }),
    llseek: (stream: Stream, offset: number, whence: number): number => {
      const position = offset + (whence === 1 ? stream.position : whence === 2 ? file.bytes : 0);
      if (position < 0) throw new system.ErrnoError(invalid);
      return position;
    },
  };
  return node;
}

/** HDF5 identifies a file by its inode number. */
function status(ino: number, mode: number, size: number): object {
  const time = new Date(0);
  return {
    dev: 1,
    ino,
    mode,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    size,
    atime: time,
    mtime: time,
    ctime: time,
    blksize: 4096,
    blocks: Math.ceil(size / 512),
  };
}
