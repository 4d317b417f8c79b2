// Requests to the server, with the token of this tab; and its events, which a page cannot get by EventSource with a token.

const KEPT = "gpu-saliency-token";

// The address that the server prints on a terminal ends with #token=...; it must not stay in the address bar.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEPT, given);
  history.replaceState(null, "", location.pathname);
}

export const keepToken = (token) => sessionStorage.setItem(KEPT, token);

function headers() {
  const token = sessionStorage.getItem(KEPT);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.cure ? `${problem.message} (${problem.cure})` : problem.message);
    this.status = status;
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  let problem = { message: `${answer.status} ${answer.statusText}` };
  try { problem = (await answer.json()).error; } catch { /* a proxy's page */ }
  throw new Refused(answer.status, problem);
}

export async function ask(path, method = "GET", body = undefined) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const kind = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await checked(await fetch(path, { method, headers: { ...headers(), ...kind }, ...sent }));
  return answer.json();
}

export async function download(path, name) {
  const answer = await checked(await fetch(path, { headers: headers() }));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Calls onEvent(kind, facts) for each event until the connection ends; resolves with the number of the last one.
export async function listen(last, onOpen, onEvent) {
  const more = last === null ? {} : { "Last-Event-ID": String(last) };
  const answer = await checked(await fetch("api/events", { headers: { ...headers(), ...more } }));
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return last;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
        if (!fields.data) continue;
        last = Number(fields.id);
        onEvent(fields.event, JSON.parse(fields.data));
      }
    }
  } catch {
    return last;
  }
}
