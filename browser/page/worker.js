// Python and bort_convert, on a thread of their own: the page asks, and this answers. Nothing leaves the browser.
import { loadPyodide } from "./pyodide/pyodide.mjs";
import { Disk, tellReads } from "./files.js";

const GIVEN = "/given";
const MADE = "/made";

const started = start();
let disk = null;

async function start() {
  const [python, wheels, program] = await Promise.all([
    loadPyodide({ indexURL: new URL("pyodide/", import.meta.url).href, env: { HOME: "/home", TMPDIR: MADE } }),
    fetched("wheels.json").then((reply) => reply.json()).then(allFetched),
    fetched("in_browser.py").then((reply) => reply.text()),
  ]);
  for (const wheel of wheels) python.unpackArchive(wheel, "wheel");
  python.FS.mkdirTree("/home/page");
  python.FS.writeFile("/home/page/in_browser.py", program);
  python.runPython("import sys; sys.path.append('/home/page')");
  for (const folder of [GIVEN, MADE]) python.FS.mkdir(folder);
  return { FS: python.FS, module: python.pyimport("in_browser") };
}

async function fetched(name) {
  const reply = await fetch(new URL(name, import.meta.url));
  if (!reply.ok) throw new Error(`${name}: the site answered ${reply.status}`);
  return reply;
}

function allFetched(names) {
  return Promise.all(names.map((name) => fetched(name).then((reply) => reply.arrayBuffer())));
}

// Gives Python the files by slices, and a disk to write to, for as long as `work` runs.
async function withFiles({ FS, module }, files, work) {
  await disk?.remove();
  disk = await Disk.make(FS);
  const total = files.reduce((sum, file) => sum + file.size, 0);
  tellReads(FS, (read) => postMessage({ event: "read", read, total }));
  FS.mount(FS.filesystems.WORKERFS, { files }, GIVEN);
  FS.mount(disk, {}, MADE);
  FS.chdir(GIVEN);
  try {
    return await work(module);
  } finally {
    FS.chdir("/");
    FS.unmount(MADE);
    FS.unmount(GIVEN);
  }
}

const tasks = {
  async inspect(python, { files, options }) {
    const names = files.map((file) => file.name);
    return withFiles(python, files, (module) => JSON.parse(module.inspect(JSON.stringify({ names, options }))));
  },

  async convert(python, { files, options, name }) {
    const names = files.map((file) => file.name);
    const target = `${MADE}/${name}`;
    return withFiles(python, files, async (module) => {
      const reply = JSON.parse(module.convert(JSON.stringify({ names, options, target })));
      if (reply.error) return reply;
      const blobs = new Map();
      for (const { name: file } of reply.files) blobs.set(file, await disk.blob(`${target}/${file}`));
      const parts = reply.archive.map((part) => ("file" in part ? blobs.get(part.file) : bytes(part.text)));
      return {
        lines: reply.lines,
        files: [...blobs].map(([file, blob]) => ({ name: file, blob })),
        archive: new Blob(parts, { type: "application/zip" }),
      };
    });
  },
};

function bytes(digits) {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

onmessage = async ({ data: { task, ...request } }) => {
  try {
    postMessage({ event: "done", reply: await tasks[task](await started, request) });
  } catch (error) {
    postMessage({ event: "broken", message: String(error?.message ?? error) });
  }
};
