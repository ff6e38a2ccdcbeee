// The page: what is dropped goes to the worker, and what comes back is shown.
const by = (id) => document.getElementById(id);
const SECTIONS = ["problem", "found", "made"];
const SAVE = "Save into a folder ...";
const CHECKPOINT = /\.(params|zip|npz|npy|tar|tgz|gz)$/i;

let files = [];
let worker = null;
let addresses = [];

// From a blob, a worker is under this page's content policy; from its own address it would be under none.
function startWorker() {
  const program = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
  worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })), { type: "module" });
}

// Gives the worker's reply to a request, and shows meanwhile how many bytes it has read of those that it will read.
async function ask(task, doing, request, rounds) {
  if (!worker) startWorker();
  const asked = worker;
  work(true);
  by("doing").textContent = doing;
  by("share").textContent = "";
  by("bar").removeAttribute("value");
  try {
    return await new Promise((reply, fail) => {
      asked.onmessage = ({ data }) => {
        if (data.event === "read") showRead(data.read / (data.total * rounds));
        if (data.event === "done") reply(data.reply);
        if (data.event === "broken") fail(new Error(data.message));
      };
      asked.onerror = (event) => fail(new Error(event.message || "the program of this page cannot be loaded"));
      asked.postMessage({ task, files, ...request });
    });
  } catch (error) {
    stopWorker();
    return { error: `This page failed: ${error.message}. Load it again, or use the command line.` };
  } finally {
    if (asked === worker || !worker) work(false);
  }
}

function work(begins) {
  by("work").hidden = !begins;
  for (const id of ["choices", "convert"]) by(id).disabled = begins;
}

function stopWorker() {
  worker?.terminate();
  worker = null;
}

function showRead(share) {
  by("bar").value = Math.min(share, 1);
  by("share").textContent = `${Math.floor(100 * by("bar").value)} %`;
}

function show(...ids) {
  for (const id of SECTIONS) by(id).hidden = !ids.includes(id);
}

async function inspect() {
  show();
  const reply = await ask("inspect", `Reading ${named()} ...`, { options: fitOptions() }, 1);
  if (reply.error) return showProblem(reply.error);
  if (reply.misfit) showProblem(reply.misfit, "It cannot be converted as it is");
  by("advice").hidden = !reply.misfit;
  showFound(reply);
}

async function convert() {
  show("found");
  const options = { ...fitOptions(), ...tokenizerOptions() };
  // The file is read to copy it, for its own checksum, and for that of each tensor.
  const reply = await ask("convert", `Converting ${named()} ...`, { options, name: target() }, 3);
  if (reply.error) return showProblem(reply.error);
  showMade(reply);
}

function showProblem(message, title = "This does not work") {
  by("problem").hidden = false;
  by("problem-title").textContent = title;
  by("message").textContent = message;
  by("advice").hidden = true;
}

function showFound({ document: data, format, arrays, fit, lines, tables, families }) {
  by("found").hidden = false;
  by("title").textContent = fit ? `${fit.title} (${data.fit.table})` : "No conversion yet";
  const facts = { File: data.path, Format: format, Size: bytes(data.size), Arrays: arrays.toLocaleString("en") };
  facts.Parameters = data.parameters.toLocaleString("en");
  if (data.published) facts.Published = data.published.name;
  if (fit) {
    facts.Becomes = data.fit.architecture;
    facts["Loaded by"] = `transformers.${fit.loaded_by}`;
    facts["Published size"] = data.fit.variant || "none has these sizes";
  }
  by("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [node("dt", name), node("dd", value)]));
  by("remarks").replaceChildren(...lines.map((line) => node("li", line)));
  const { family } = settings;
  by("family").replaceChildren(...[["", "as found"], ...families].map(([name, title]) => option(name, title)));
  by("family").value = family;
  by("casing").hidden = !(fit?.tokenizer_files.length && files.length > 1);
  by("convert").hidden = !fit;
  by("command").textContent = command();
  by("tables").replaceChildren(...tables.map(table));
  by("found").focus();
}

function showMade({ files: written, archive, lines }) {
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [];
  show("found", "made");
  link(by("archive"), archive, `${target()}.zip`);
  by("made-files").replaceChildren(
    ...written.map(({ name, blob }) => {
      const item = node("li", "");
      item.append(link(node("a", name), blob, name), ` ${bytes(blob.size)}`);
      return item;
    }),
  );
  by("folder").textContent = SAVE;
  by("folder").hidden = !("showDirectoryPicker" in window);
  by("folder").onclick = () => save(written);
  by("made-lines").replaceChildren(...lines.map((line) => node("li", line)));
  by("verify").textContent = `bort-convert verify ${source()} ${quoted(target())}`;
  by("made").focus();
}

// Writes the files into a folder of the user's choice, as streams.
async function save(written) {
  let folder;
  try {
    folder = await showDirectoryPicker({ mode: "readwrite" });
  } catch {
    return; // the user chose none
  }
  const button = by("folder");
  button.disabled = true;
  try {
    const inside = await folder.getDirectoryHandle(target(), { create: true });
    for (const { name, blob } of written) {
      button.textContent = `Saving ${name} ...`;
      const file = await inside.getFileHandle(name, { create: true });
      await blob.stream().pipeTo(await file.createWritable());
    }
    button.textContent = `Saved in ${folder.name}/${target()}`;
  } catch (error) {
    button.textContent = SAVE;
    showProblem(`The files cannot be saved in ${folder.name}: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

function node(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

function option(value, text) {
  return Object.assign(node("option", text), { value });
}

function link(anchor, blob, name) {
  addresses.push(URL.createObjectURL(blob));
  return Object.assign(anchor, { href: addresses.at(-1), download: name });
}

function table({ titles, rows }) {
  const [details, scrolled, drawn] = [node("details", ""), node("div", ""), node("table", "")];
  const line = (cells, tag) => {
    const row = node("tr", "");
    row.append(...cells.map((cell) => node(tag, cell)));
    return row;
  };
  const [head, body] = [node("thead", ""), node("tbody", "")];
  head.append(line(titles, "th"));
  for (const cell of head.querySelectorAll("th")) cell.scope = "col";
  body.append(...rows.map((cells) => line(cells, "td")));
  drawn.append(head, body);
  Object.assign(scrolled, { className: "wide", tabIndex: 0 }).append(drawn);
  scrolled.setAttribute("role", "region");
  scrolled.setAttribute("aria-label", "Arrays of the file");
  details.append(node("summary", `${rows.length.toLocaleString("en")} lines: every array of the file`), scrolled);
  return details;
}

function bytes(size) {
  return size < 1e6 ? `${size.toLocaleString("en")} bytes` : `${(size / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}

const settings = {
  get family() {
    return by("family").value;
  },
  get heads() {
    return by("heads").valueAsNumber;
  },
  get lowerCase() {
    return by("casing").hidden ? "" : by("lower-case").value;
  },
};

function fitOptions() {
  const { family, heads } = settings;
  return { ...(family && { family }), ...(heads > 0 && { heads }) };
}

function tokenizerOptions() {
  const { lowerCase } = settings;
  return lowerCase && { lower_case: lowerCase === "true" };
}

function command() {
  const { family, heads, lowerCase } = settings;
  const words = ["bort-convert", source(), quoted(target())];
  if (family) words.push("--family", family);
  if (heads > 0) words.push("--heads", heads);
  if (lowerCase) words.push(lowerCase === "true" ? "--lower-case" : "--cased");
  return words.join(" ");
}

function checkpoint() {
  return files.find((file) => CHECKPOINT.test(file.name)) ?? files[0];
}

function named() {
  return checkpoint().name;
}

// On the command line, several files are a directory.
function source() {
  return files.length > 1 ? "DIRECTORY" : quoted(named());
}

function target() {
  return named().replace(/(\.tar)?\.[^.]+$/, "").replace(/^\.+/, "") || "converted";
}

function quoted(word) {
  return /^[\w./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function take(list) {
  if (!list.length || !by("work").hidden) return;
  files = [...list];
  by("options").reset();
  inspect();
}

by("files").addEventListener("change", (event) => take(event.target.files));
by("options").addEventListener("submit", (event) => {
  event.preventDefault();
  inspect();
});
by("options").addEventListener("change", () => (by("command").textContent = command()));
by("convert").addEventListener("click", convert);
by("cancel").addEventListener("click", () => {
  stopWorker();
  work(false);
  (by("found").hidden ? by("files") : by("convert")).focus();
});
for (const name of ["dragover", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    by("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files);
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) by("drop").classList.remove("over");
});
