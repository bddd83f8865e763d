// The page's calls to the gateway, and the token that it may ask for: asked once, kept for this tab alone.

const KEY = "bookmill-token";
const RETRY_MILLISECONDS = 1000;
let asking = null;

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

// fetch, with the token; an answer 401 has the reader give one, and the call is made again.
export async function send(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    // Unless another call was given one meanwhile.
    if (sessionStorage.getItem(KEY) === token) await newToken(token ? (await problemOf(answer)).message : "");
  }
}

// A call with JSON. Throws an Error with the gateway's `reason` and `message`.
export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await send(path, options);
  if (!answer.ok) throw await problemOf(answer);
  return answer.json();
}

export async function problemOf(answer) {
  try {
    const { error } = await answer.json();
    return Object.assign(new Error(error.message), error);
  } catch {
    return Object.assign(new Error(`the gateway answered ${answer.status}`), { reason: "BAD_ANSWER" });
  }
}

// Server-sent events, until the gateway has no more or `signal` is aborted. EventSource would send no token; as it does,
// a stream that ends or breaks is taken up where it was.
export async function* events(path, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const answer = await send(path, { signal, cache: "no-store", headers: last ? { "Last-Event-ID": last } : {} });
      if (answer.status === 204) return;
      if (answer.ok) {
        for await (const event of eventsIn(answer.body)) {
          last = event.id ?? last;
          if (event.data) yield event;
        }
      } else if (answer.status < 500) throw await problemOf(answer);
    } catch (error) {
      if (error.reason) throw error;
      // The connection broke, or was ended by us.
    }
    await new Promise((resolve) => { setTimeout(resolve, RETRY_MILLISECONDS); });
  }
}

async function* eventsIn(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks)
        yield Object.fromEntries(block.split("\n").map((line) => line.match(/^([a-z]*): ?(.*)$/).slice(1)));
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

// Asks the reader; all calls that wait for a token wait for the same one.
function newToken(problem) {
  asking ??= new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const form = document.createElement("form");
    const label = document.createElement("label");
    const input = document.createElement("input");
    const button = document.createElement("button");
    label.append("This gateway asks for its token", input);
    Object.assign(input, { name: "token", type: "password", required: true, autocomplete: "off", pattern: "\\s*[A-Za-z0-9._~+\\/\\-]+=*\\s*" });
    button.textContent = "Go on";
    if (problem) {
      const said = document.createElement("div");
      said.className = "problem";
      said.textContent = problem;
      form.append(said);
    }
    form.append(label, button);
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    };
    dialog.oncancel = (event) => event.preventDefault(); // there is nothing to see without it
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
