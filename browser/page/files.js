// The files of Python in this tab: those that were dropped are read by slices, those that it writes lie on the disk.
// Nothing of either is held in memory, so that a checkpoint may be larger than a tab's memory.

const [EIO, ENOSPC, ENOTSUP] = [29, 51, 138]; // as Emscripten numbers them
const HANDLES = 32; // a conversion writes some 10 files, and a shard for each 5 GB
const PIECE = 8 << 20;

// Reads dropped files by slices, counts the bytes, and makes an error of Python's of one of the browser's.
export function tellReads(FS, tell) {
  let [read, told] = [0, 0];
  FS.filesystems.WORKERFS.stream_ops.read = ({ node }, buffer, offset, length, position) => {
    const slice = node.contents.slice(position, position + length);
    const count = guarded(FS, EIO, () => copy(slice, buffer.subarray(offset, offset + length)));
    read += count;
    if (read - told >= PIECE) {
      told = read;
      tell(read);
    }
    return count;
  };
}

const reader = new FileReaderSync();
const { port1: away, port2: nobody } = new MessageChannel();
nobody.close();

function copy(blob, target) {
  const bytes = reader.readAsArrayBuffer(blob);
  target.set(new Uint8Array(bytes));
  away.postMessage(null, [bytes]); // lets go of them now: the collector waits until a whole checkpoint has piled up
  return blob.size;
}

function guarded(FS, code, call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof FS.ErrnoError) throw error;
    throw new FS.ErrnoError(error?.name === "QuotaExceededError" ? ENOSPC : code);
  }
}

// A file system of Emscripten's: directories and names as in its MEMFS, the bytes of files in the browser's private
// folder of this site, which is on the disk; or in blobs, in a browser without such a folder.
export class Disk {
  static async make(FS) {
    const disk = new Disk(FS);
    try {
      await disk.#open();
    } catch {
      disk.#spare = []; // none: a private window, or an old browser: blobs will do
    }
    return disk;
  }

  #FS;
  #name = `bort-convert-${crypto.randomUUID()}`;
  #folder = null;
  #release = () => {};
  #handles = [];
  #spare = [];
  #operations;

  constructor(FS) {
    this.#FS = FS;
    const { MEMFS } = FS.filesystems;
    const place = MEMFS.createNode(null, "/", 0o40777, 0);
    const plain = MEMFS.createNode(null, "/", 0o100666, 0);
    this.#operations = {
      folder: { ...place.node_ops, mknod: (...of) => this.#node(...of) },
      file: { ...plain.node_ops, setattr: (node, changes) => this.#change(node, changes, plain.node_ops.setattr) },
      stream: {
        ...plain.stream_ops,
        read: (stream, buffer, offset, length, position) =>
          guarded(FS, EIO, () => stream.node.bytes.read(buffer.subarray(offset, offset + length), { at: position })),
        write: (stream, buffer, offset, length, position) => this.#write(stream.node, buffer, offset, length, position),
        mmap: () => {
          throw new FS.ErrnoError(ENOTSUP);
        },
      },
    };
  }

  mount() {
    return this.#node(null, "/", 0o40777, 0);
  }

  #node(parent, name, mode, device) {
    const node = this.#FS.filesystems.MEMFS.createNode(parent, name, mode, device);
    if (this.#FS.isDir(mode)) node.node_ops = this.#operations.folder;
    if (this.#FS.isFile(mode)) {
      node.node_ops = this.#operations.file;
      node.stream_ops = this.#operations.stream;
      node.bytes = this.#spare.pop() ?? new Blobs();
    }
    return node;
  }

  #change(node, { size, ...changes }, others) {
    if (size !== undefined) {
      guarded(this.#FS, EIO, () => node.bytes.truncate(size));
      node.usedBytes = size;
    }
    others(node, changes);
  }

  #write(node, buffer, offset, length, position) {
    const count = guarded(this.#FS, EIO, () =>
      node.bytes.write(buffer.subarray(offset, offset + length), { at: position }),
    );
    node.usedBytes = Math.max(node.usedBytes, position + count);
    if (length && !count) throw new this.#FS.ErrnoError(ENOSPC);
    return count;
  }

  // Opens files before Python runs: opening one is asynchronous, and Python does not wait.
  async #open() {
    const root = await navigator.storage.getDirectory();
    await removeLeftovers(root);
    await new Promise((held, refused) => {
      navigator.locks.request(this.#name, () => {
        held();
        return new Promise((release) => (this.#release = release));
      }).catch(refused);
    });
    this.#folder = await root.getDirectoryHandle(this.#name, { create: true });
    this.#handles = await Promise.all(
      Array.from({ length: HANDLES }, async (_, number) => {
        const file = await this.#folder.getFileHandle(`${number}`, { create: true });
        return Object.assign(await file.createSyncAccessHandle(), { file });
      }),
    );
    this.#spare = [...this.#handles];
  }

  // A written file as a blob, of which no byte is in memory.
  async blob(path) {
    const { bytes } = this.#FS.lookupPath(path).node;
    if (bytes instanceof Blobs) return bytes.whole();
    bytes.close();
    return bytes.file.getFile();
  }

  async remove() {
    for (const handle of this.#handles) handle.close();
    this.#release();
    if (this.#folder) await (await navigator.storage.getDirectory()).removeEntry(this.#name, { recursive: true });
  }
}

// A tab that was closed leaves its files, and frees its lock.
async function removeLeftovers(root) {
  const { held } = await navigator.locks.query();
  const living = new Set(held.map((lock) => lock.name));
  for await (const name of root.keys()) {
    if (name.startsWith("bort-convert-") && !living.has(name)) await root.removeEntry(name, { recursive: true });
  }
}

// The bytes of a file that is written from its beginning to its end, handed to the browser piece by piece.
class Blobs {
  #parts = [];
  #size = 0;
  #piece = new Uint8Array(1 << 16);
  #filled = 0;

  write(bytes, { at }) {
    if (at !== this.#size + this.#filled) throw new Error("a file is written from its beginning to its end");
    if (this.#filled + bytes.length > this.#piece.length) this.#flush(bytes.length);
    this.#piece.set(bytes, this.#filled);
    this.#filled += bytes.length;
    return bytes.length;
  }

  read(target, { at }) {
    return copy(this.whole().slice(at, at + target.length), target);
  }

  truncate(size) {
    this.#parts = [this.whole().slice(0, size)];
    this.#size = size;
  }

  whole() {
    this.#flush(0);
    if (this.#parts.length !== 1) this.#parts = [new Blob(this.#parts)];
    return this.#parts[0];
  }

  // Gives what was collected to the browser, and makes room for so many bytes.
  #flush(room) {
    if (this.#filled) this.#parts.push(new Blob([this.#piece.subarray(0, this.#filled)]));
    this.#size += this.#filled;
    this.#filled = 0;
    if (room > this.#piece.length) this.#piece = new Uint8Array(Math.max(room, PIECE));
  }
}
