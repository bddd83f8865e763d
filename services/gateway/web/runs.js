// The web page: runs, one run live, and a form that starts one. Everything shown is text, never markup.
import { call, events, hasToken, problemOf, send } from "./gateway.js";

const view = document.getElementById("view");
const FINAL = new Set(["STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"]);
let following = null;
let shown = "";

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const number = (value) => Number(value || 0).toLocaleString("en", { maximumFractionDigits: 3 });
const stateOf = (state) => (state || "STATE_PENDING").replace("STATE_", "").toLowerCase();
const idOf = (run) => run.name.replace("runs/", "");
const titleOf = (run) => run.spec.topic || run.spec.model_name || idOf(run);

function expected(estimate) {
  const told = [`${number(Math.round(estimate.steps))} steps`, `${number(Math.round(estimate.tokens))} tokens`,
    `${size(estimate.memory_bytes)} of memory`, `${size(estimate.disk_bytes)} of disk`];
  if (estimate.seconds) told.push(duration(estimate.seconds));
  return `estimated: ${told.join(" · ")}`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = Number(bytes || 0), unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value.toLocaleString("en", { maximumFractionDigits: unit ? 1 : 0 })} ${units[unit]}`;
}

function duration(seconds) {
  const whole = Math.round(Number(seconds || 0));
  if (whole < 60) return `${Number(seconds || 0).toFixed(whole < 10 ? 1 : 0)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function badge(state) {
  const kind = state === "STATE_SUCCEEDED" ? "good" : state === "STATE_FAILED" ? "bad" : "soft";
  return make("span", { className: kind }, stateOf(state));
}

// The list of runs.

let next = "";
const listed = new Map();

async function listRuns(token = "") {
  const page = await call("GET", `/v1/runs?page_size=20&page_token=${encodeURIComponent(token)}`);
  if (!token) listed.clear();
  for (const run of page.runs || []) listed.set(run.name, run);
  next = page.next_page_token || "";
  showList();
}

function showList() {
  const list = document.getElementById("runs");
  list.replaceChildren(...[...listed.values()].map((run) => {
    const when = new Date(run.created_at * 1000).toLocaleString();
    const link = make("a", { href: `#/runs/${idOf(run)}` }, titleOf(run), make("br"), make("small", {}, badge(run.state), ` · ${when}`));
    if (idOf(run) === shown) link.setAttribute("aria-current", "page");
    return make("li", {}, link);
  }));
  if (!listed.size) list.append(make("li", { className: "soft" }, "No runs yet."));
  document.getElementById("more").hidden = !next;
}

document.getElementById("more").onclick = () => listRuns(next).catch(fail);

// One run.

function showRun(run, summary) {
  listed.set(run.name, run);
  showList();
  const id = idOf(run);
  const final = FINAL.has(run.state);
  const head = make("div", { className: "card" },
    make("h1", {}, titleOf(run)),
    make("p", {}, badge(run.state), make("span", { className: "soft" }, ` · ${id} · from ${run.spec.base_model}`)),
    run.reason ? make("div", { className: "problem" }, `${run.reason.reason}: ${run.reason.message}`) : null,
    actions(run, id, final));
  view.replaceChildren(head, make("h2", {}, "Stages"), stages(run), ...(summary ? results(run, id, summary) : []));
}

function actions(run, id, final) {
  const box = make("p", {});
  const act = (label, kind, work) => {
    const button = make("button", { className: kind }, label);
    button.onclick = async () => { button.disabled = true; try { await work(); } catch (error) { fail(error); } };
    box.append(button, " ");
  };
  if (!final) act("Cancel", "quiet", () => call("POST", `/v1/runs/${id}:cancel`));
  if (final) act("Delete", "quiet", async () => {
    if (!confirm("Delete this run? What it shares with others stays.")) { showRun(run); return; }
    await call("DELETE", `/v1/runs/${id}`);
    await listRuns();
    location.hash = "#/";
  });
  if ((run.files || []).some((file) => file.name === "report.html"))
    box.append(linkTo(id, "report.html", "The report"));
  return box;
}

// A browser sends no token when it opens a link, so the gateway is asked for one that carries its permission.
function linkTo(id, name, text) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const link = make("a", { href: `/v1/runs/${id}/files/${path}` }, text);
  link.onclick = async (event) => {
    if (!hasToken()) return;
    event.preventDefault();
    try { location.assign((await call("POST", `/v1/runs/${id}/links/${path}`)).url); } catch (error) { fail(error); }
  };
  return link;
}

function stages(run) {
  const rows = (run.stages || []).map((stage) => {
    const progress = stage.progress || {};
    const total = Number(progress.total || 0), done = Number(progress.completed || 0);
    const what = make("td", {});
    if (stage.state === "STATE_RUNNING") {
      what.append(make("div", {}, progress.activity || "…", " ",
        make("small", {}, total ? `${number(done)} of ${number(total)} ${progress.unit || ""}` : ""),
        make("small", {}, progress.remaining_seconds ? ` · ${duration(progress.remaining_seconds)} to go` : ""),
        make("small", {}, (progress.figures || {}).loss !== undefined ? ` · loss ${number(progress.figures.loss)}` : "")));
      if (stage.estimate) what.append(make("small", {}, expected(stage.estimate)));
      const bar = make("progress", { max: total || 1 });
      if (total) bar.value = done;
      what.append(bar);
    } else {
      const counts = (stage.counts || []).map((count) => `${number(count.value)} ${count.name.replaceAll("_", " ")}`);
      if (Number(stage.recorded)) counts.push(`${number(stage.recorded)} from records`);
      what.append(make("small", {}, counts.join(" · ")));
      if (stage.reason) what.append(make("div", { className: "bad" }, `${stage.reason.reason}: ${stage.reason.message}`));
    }
    if (Number(stage.refused)) what.append(make("div", { className: "bad" }, `${number(stage.refused)} set aside`));
    return make("tr", {}, make("td", {}, stage.name), make("td", {}, badge(stage.state)), what,
      make("td", { className: "number" }, stage.seconds ? duration(stage.seconds) : ""));
  });
  return make("div", { className: "card scroll" }, make("table", {}, make("tbody", {}, ...rows)));
}

function table(titles, rows, numbers = 0) {
  const from = titles.length - numbers;
  const cell = (tag) => (value, at) => make(tag, { className: at >= from ? "number" : "" }, value);
  return make("div", { className: "card scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...titles.map(cell("th")))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell("td")))))));
}

function results(run, id, summary) {
  const parts = [];
  const add = (title, node) => parts.push(make("h2", {}, title), node);
  const mark = summary.verified ? make("span", { className: "good" }, "verified") : make("span", { className: "bad" }, `not verified: ${(summary.not_verified || []).join("; ")}`);
  if ((summary.perplexities || []).length)
    add("Perplexity on held-out text", make("div", {}, make("p", {}, mark), table(["model", "perplexity", "tokens"],
      summary.perplexities.map((row) => [row.subject, row.value.toFixed(4), number(row.tokens)]), 2)));
  for (const sample of summary.samples || [])
    add(sample.prompt + " …", make("div", { className: "samples" },
      make("div", {}, make("small", {}, "base"), make("blockquote", {}, sample.base)),
      make("div", {}, make("small", {}, "tuned"), make("blockquote", {}, sample.tuned))));
  if ((run.files || []).length)
    add("Files", table(["file", "SHA-256", "size"], run.files.map((file) => [
      linkTo(id, file.name, file.name),
      make("code", {}, file.file.sha256.slice(0, 16) + "…"), size(file.file.size_bytes)]), 1));
  const books = summary.books || [];
  if (books.length || (summary.refusals || []).length)
    add(`Books: ${number(books.length)}${summary.asked > books.length ? ` of ${number(summary.asked)} asked for` : ""}`, table(
      ["book", "split", "chunks", "in", "out"],
      books.slice(0, 200).map((book) => [book.title || book.uri, book.split, number(book.chunks), number(book.characters_in), number(book.characters_out)]), 3));
  if ((summary.refusals || []).length)
    add("Set aside", table(["book", "stage", "reason", "why"],
      summary.refusals.slice(0, 200).map((row) => [row.title || row.book, row.stage, row.reason, row.message])));
  return parts;
}

async function watch(id) {
  following = new AbortController();
  for await (const event of events(`/v1/runs/${id}/events`, following.signal)) {
    if (event.event === "error") throw JSON.parse(event.data).error;
    const run = JSON.parse(event.data);
    if (idOf(run) !== shown) return;
    showRun(run);
    if (!FINAL.has(run.state)) continue;
    const summary = run.summary ? await call("GET", `/v1/runs/${id}/files/summary.json`) : null;
    if (summary && idOf(run) === shown) showRun(run, summary);
    return;
  }
}

// The form.

function showForm() {
  view.replaceChildren(document.getElementById("form").content.cloneNode(true));
  call("GET", "/v1/models").then((known) => {
    const options = (known.base_models || []).flatMap((model) => model.asked_as || []);
    document.getElementById("known").append(...options.map((value) => make("option", { value })));
  }).catch(() => {});
  const form = view.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const spec = await specOf(form);
      const run = await call("POST", "/v1/runs", { spec, request_id: crypto.randomUUID() });
      location.hash = `#/runs/${idOf(run)}`;
    } catch (error) {
      const box = document.getElementById("problem");
      box.hidden = false;
      box.textContent = `${error.reason ? error.reason + ": " : ""}${error.message}`;
      box.scrollIntoView();
    }
    button.disabled = false;
    const doing = document.getElementById("doing");
    if (doing) doing.textContent = "";
  };
}

async function specOf(form) {
  const value = (name) => form.elements[name].value.trim();
  const lines = (name) => value(name).split("\n").map((line) => line.trim()).filter(Boolean);
  const words = (name) => value(name).split(/[\s,]+/).filter(Boolean);
  const spec = { base_model: value("base_model"), quantizations: words("quantizations") };
  if (value("topic")) Object.assign(spec, { topic: value("topic"), max_books: Number(value("max_books")), languages: words("languages") });
  if (value("model_name")) spec.model_name = value("model_name");
  if (value("max_characters")) spec.max_characters = Number(value("max_characters"));
  const hyperparameters = {};
  for (const name of ["epochs", "max_steps", "context_length", "batch_size", "gradient_accumulation", "lora_rank", "learning_rate"])
    if (value(name)) hyperparameters[name] = Number(value(name));
  if (Object.keys(hyperparameters).length) spec.hyperparameters = hyperparameters;
  if (value("prompts")) spec.samples = { prompts: lines("prompts") };
  spec.books = lines("books").map((uri) => ({ uri }));
  for (const file of form.elements.texts.files)
    spec.books.push({ uri: `upload:${await upload(file)}`, title: file.name.replace(/\.[^.]+$/, "") });
  return spec;
}

async function upload(file) {
  document.getElementById("doing").textContent = `uploading ${file.name}`;
  const data = await file.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const answer = await send(`/v1/uploads/${sha256}`, { method: "PUT", body: data });
  if (!answer.ok) throw await problemOf(answer);
  return sha256;
}

// Which of them is shown.

function fail(error) {
  view.prepend(make("div", { className: "problem", role: "alert" }, `${error.reason ? error.reason + ": " : ""}${error.message}`));
}

function route() {
  following?.abort();
  const run = location.hash.match(/^#\/runs\/([0-9a-z]+)$/);
  shown = run ? run[1] : "";
  view.replaceChildren();
  if (run) watch(shown).catch(fail);
  else showForm();
  listRuns().catch(fail);
}

window.addEventListener("hashchange", route);
route();
