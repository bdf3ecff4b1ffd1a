// The page of a web chat. The server knows the conversation; this shows it, sends what is written
// and follows the answer that is on its way, through reloads and lost connections.

import { element, link, render, safeUrl } from "./markdown.js";

const BASE = location.pathname.replace(/\/+$/, "");
const DRAW_MS = 60;
const LOOK_MS = 15_000;
const WAITS_S = [1, 2, 4, 8, 15];
const NEAR_PX = 140;
const ENDS = ["completed", "cancelled", "failed", "expired"];
const AXES = [["valence", "pleasure"], ["arousal", "energy"], ["dominance", "control"]];
const GONE = "This conversation has ended, and its link leads nowhere any more.";

const at = Object.fromEntries(
  ["composer", "ends", "hint", "latest", "line", "log", "model", "retry", "said", "send", "stop",
    "trouble", "trouble-text"].map((id) => [id, document.getElementById(id)]),
);
const others = "BroadcastChannel" in window ? new BroadcastChannel(BASE) : null;

let shown = []; // what stands in the log: {key, node}
let stream = null; // the answer that is on its way: {turn, text, emotion, last, source, node}
let unsent = null; // what the server has not taken yet: {content, key}
let again = null; // what "Try again" does
let goesOn = false;
let sending = false;
let failures = 0;
let timer = 0;
let countdown = 0;

// --- the conversation -----------------------------------------------------------------------

async function load() {
  clearTimeout(timer);
  let answer, told;
  try {
    answer = await fetch(`${BASE}/messages`, { cache: "no-store" });
    told = await answer.json();
  } catch {
    return later();
  }
  if (answer.status === 404) return end();
  if (!answer.ok) return later();
  failures = 0;
  at.line.textContent = "";
  goesOn = told.goes_on;
  at.model.textContent = told.model;
  at.ends.textContent = ends(told.expires_at);
  draw(told.messages);
}

function later() {
  const wait = WAITS_S[Math.min(failures, WAITS_S.length - 1)];
  failures += 1;
  at.line.textContent = "Connection lost. Reconnecting…";
  clearTimeout(timer);
  timer = setTimeout(load, wait * 1000);
}

function end() {
  stream?.source?.close();
  stream = null;
  goesOn = false;
  at.line.textContent = GONE;
  at.said.placeholder = "";
  buttons();
}

function ends(seconds) {
  const left = seconds - Date.now() / 1000;
  const [number, unit] = left > 129_600 ? [left / 86_400, "day"] : left > 5400 ? [left / 3600, "hour"]
    : [Math.max(1, left / 60), "minute"];
  const whole = Math.round(number);
  return `ends in ${whole} ${unit}${whole === 1 ? "" : "s"}`;
}

function draw(messages) {
  const near = isNear();
  const last = messages.at(-1);
  const open = last?.role === "assistant" && last.status === "in_progress" ? last : null;
  if (stream && stream.turn !== open?.turn) {
    stream.source?.close();
    stream = null;
  }
  messages.forEach((message, number) => {
    const key = JSON.stringify(message);
    if (shown[number]?.key === key) return;
    const node = message === open ? element("article", "message assistant") : article(message);
    if (shown[number]) shown[number].node.replaceWith(node);
    else at.log.append(node);
    shown[number] = { key, node };
    if (message === open && stream) stream.node = node;
  });
  shown.splice(messages.length).forEach(({ node }) => node.remove());
  at.log.setAttribute("aria-busy", String(open !== null));
  if (open) follow(open.turn, shown.at(-1).node);
  failed(messages);
  buttons();
  if (near) toEnd();
}

function failed(messages) {
  const last = messages.at(-1);
  if (last?.error && last.turn > 0 && !unsent) {
    const content = messages.at(-2).text;
    tell(last.error.message, () => say({ content, key: newKey() }));
  } else if (!unsent) {
    tell("");
  }
  if (messages[0]?.role === "deleted") {
    at.line.textContent = "What this conversation began with has been deleted, so it cannot go on.";
  }
}

function article(message) {
  if (message.role === "deleted") {
    return element("p", "message deleted", "This part of the conversation has been deleted.");
  }
  const made = element("article", `message ${message.role}`);
  if (message.role === "user") {
    made.append(element("h2", "unseen", "You"), element("p", "said", message.text));
    return made;
  }
  const numbered = (message.references ?? []).filter((one) => one.number !== null);
  const sources = new Map(numbered.map((one) => [one.number, one]));
  made.append(element("h2", "unseen", "Answer"), body(message.text, sources));
  if (message.status === "cancelled") made.append(element("p", "note", "Stopped."));
  if (message.error) made.append(element("p", "note failed", message.error.message));
  if (message.references?.length) made.append(sourceList(message.references));
  if (message.emotion?.primary_emotion) made.append(feeling(message.emotion));
  return made;
}

function body(text, sources) {
  return element("div", "text", render(text, sources));
}

function sourceList(references) {
  const list = element("ol", "");
  for (const { number, url, title } of references) {
    const item = element("li", "", element("span", "number", number === null ? "–" : String(number)));
    const name = title && title !== url ? title : url.replace(/^https?:\/\//, "");
    item.append(link(url, name));
    if (safeUrl(url) && name === title) item.append(element("span", "host", new URL(url).host));
    list.append(item);
  }
  return element("section", "sources", element("h3", "", "Sources"), list);
}

function feeling(emotion) {
  const made = element("p", "feeling", element("span", "word", emotion.primary_emotion));
  for (const [name, label] of AXES) {
    const value = Number(emotion[name]);
    if (!Number.isFinite(value)) continue;
    const part = Math.max(-1, Math.min(1, value)) * 50;
    const fill = element("i");
    fill.style.left = `${Math.min(50, 50 + part)}%`;
    fill.style.width = `${Math.max(2, Math.abs(part))}%`;
    const bar = element("span", "bar", fill);
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `${label} ${value.toFixed(2)}, of -1 to 1`);
    made.append(element("span", "axis", element("span", "name", label), bar));
  }
  if (emotion.description) made.title = emotion.description;
  return made;
}

// --- the answer on its way ------------------------------------------------------------------

function follow(turn, node) {
  if (stream?.source && stream.source.readyState !== EventSource.CLOSED) return redraw();
  stream ??= { turn, text: "", emotion: null, last: null, drawn: 0 };
  stream.node = node;
  const place = stream.last ? `&starting_after=${encodeURIComponent(stream.last)}` : "";
  const source = new EventSource(`${BASE}/events?turn=${turn}${place}`);
  stream.source = source;
  redraw();
  source.onopen = () => {
    failures = 0;
    at.line.textContent = "";
  };
  source.onerror = () => {
    if (stream?.source !== source) return;
    at.line.textContent = "Connection lost. Reconnecting…";
    if (source.readyState === EventSource.CLOSED) later();
  };
  const take = (name, work) => source.addEventListener(name, (event) => {
    if (stream?.source !== source) return;
    stream.last = event.lastEventId || stream.last;
    work(JSON.parse(event.data));
  });
  take("restarted", () => { stream.text = ""; redraw(); });
  take("snapshot", (told) => { stream.text = told.text; redraw(); });
  take("context", (told) => { stream.emotion = told.emotion; redraw(); });
  take("delta", (told) => { stream.text += told.text; redraw(); });
  for (const name of ENDS) {
    take(name, () => {
      source.close();
      load();
    });
  }
}

function redraw() {
  if (stream.drawn) return;
  stream.drawn = setTimeout(() => {
    if (!stream) return;
    stream.drawn = 0;
    const near = isNear();
    const parts = [element("h2", "unseen", "Answer")];
    if (stream.text) parts.push(body(stream.text, new Map()));
    const dots = element("p", stream.text ? "going small" : "going", element("i"), element("i"),
      element("i"));
    dots.setAttribute("aria-label", "The answer is being written");
    parts.push(dots);
    if (stream.emotion?.primary_emotion) parts.push(feeling(stream.emotion));
    stream.node.replaceChildren(...parts);
    if (near) toEnd();
  }, DRAW_MS);
}

async function stop() {
  if (at.stop.hidden) return;
  at.stop.disabled = true;
  try {
    await fetch(`${BASE}/stop`, { method: "POST" });
  } catch {
    at.line.textContent = "It was not stopped: the connection is lost.";
  }
  at.stop.disabled = false;
}

// --- writing --------------------------------------------------------------------------------

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function say(message) {
  if (sending || stream || !goesOn) return;
  sending = true;
  unsent = message;
  tell("");
  if (at.said.value === message.content) at.said.value = "";
  grow();
  const waiting = element("article", "message user sending", element("p", "said", message.content));
  at.log.append(waiting);
  toEnd();
  buttons();
  let trouble = null;
  try {
    const answer = await fetch(`${BASE}/messages`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": message.key },
      body: JSON.stringify({ content: message.content }),
    });
    trouble = answer.ok ? null : await refusal(answer);
  } catch {
    trouble = { text: "Your message was not sent: the connection is lost.", wait: 0 };
  }
  sending = false;
  waiting.remove();
  if (trouble) {
    if (!at.said.value) at.said.value = message.content;
    grow();
    tell(trouble.text, () => at.composer.requestSubmit(), trouble.wait);
  } else {
    unsent = null;
    others?.postMessage("said");
  }
  await load();
  at.said.focus({ preventScroll: true });
}

async function refusal(answer) {
  const told = await answer.json().catch(() => ({}));
  const message = told.error?.message ?? "Your message was not taken.";
  if (answer.status === 404) return { text: GONE, wait: 0 };
  if (answer.status === 429) {
    const wait = Number(answer.headers.get("Retry-After")) || 5;
    return { text: "Too many messages just now.", wait };
  }
  if (answer.status === 503) return { text: "The service is busy just now.", wait: 0 };
  return { text: message, wait: 0 };
}

function tell(text, work = null, wait = 0) {
  clearInterval(countdown);
  again = work;
  at.trouble.hidden = !text;
  at.retry.hidden = work === null;
  at.retry.disabled = wait > 0;
  at["trouble-text"].textContent = wait > 0 ? `${text} You can go on in ${wait} s.` : text;
  if (wait > 0) countdown = setInterval(() => tell(text, work, wait - 1), 1000);
}

function submit(event) {
  event.preventDefault();
  const content = at.said.value;
  if (!content.trim()) return;
  say(unsent?.content === content ? unsent : { content, key: newKey() });
}

function keys(event) {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
}

function buttons() {
  at.said.disabled = !goesOn;
  at.stop.hidden = !(stream && stream.turn > 0);
  at.send.hidden = !at.stop.hidden;
  at.send.disabled = !goesOn || sending || stream !== null || !at.said.value.trim();
}

function grow() {
  at.said.style.height = "auto";
  at.said.style.height = `${at.said.scrollHeight}px`;
  buttons();
}

// --- the place on the page ------------------------------------------------------------------

function isNear() {
  const page = document.documentElement;
  return page.scrollHeight - window.scrollY - window.innerHeight < NEAR_PX;
}

function toEnd() {
  window.scrollTo(0, document.documentElement.scrollHeight);
}

at.composer.addEventListener("submit", submit);
at.said.addEventListener("keydown", keys);
at.said.addEventListener("input", grow);
at.stop.addEventListener("click", stop);
at.retry.addEventListener("click", () => again?.());
at.latest.addEventListener("click", () => { toEnd(); at.said.focus({ preventScroll: true }); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
window.addEventListener("scroll", () => { at.latest.hidden = isNear(); }, { passive: true });
window.addEventListener("online", () => { if (!sending) load(); });
window.addEventListener("focus", () => { if (!sending) load(); });
others?.addEventListener("message", () => { if (!sending) load(); });
setInterval(() => { if (!document.hidden && !stream && !sending) load(); }, LOOK_MS);

await load();
toEnd();
if (goesOn && matchMedia("(pointer: fine)").matches) at.said.focus({ preventScroll: true });
