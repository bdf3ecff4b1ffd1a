// The console's page of the router. What it shows it asks of the API, with the key or the session
// that its visitor signs in with; that is kept in this tab alone.

import { element } from "./markdown.js";

const KEPT = "moonpool.console";
const SENDABLE = /^[\x21-\x7e]+$/;
const PROFILES = "/v1/router/profiles";

const at = Object.fromEntries(
  ["by-key", "by-password", "email", "figure-head", "gist", "key", "line", "models", "models-note", "password",
    "picture", "profiles", "retry", "router", "sign-in", "sign-out", "trouble", "trouble-text",
    "version", "who"].map((id) => [id, document.getElementById(id)]),
);

let credential = sessionStorage.getItem(KEPT);
let asked = ""; // the version that is being shown
let turn = 0; // of what is being done; what is no longer awaited tells nothing
let again = null; // what "Try again" does

// --- asking ---------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, { as = credential, accept = "application/json", ...how } = {}) {
  const headers = { Accept: accept, ...how.headers };
  if (as) headers.Authorization = `Bearer ${as}`;
  let answer;
  try {
    answer = await fetch(path, { ...how, headers, cache: "no-store" });
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error?.message ?? `The server answers ${answer.status}.`);
}

async function json(path, how) {
  const answer = await ask(path, how);
  try {
    return await answer.json();
  } catch {
    throw new Refused(0, "The server's answer broke off.");
  }
}

async function doing(line, work, retry) {
  turn += 1;
  const mine = turn;
  tell("");
  at.line.textContent = line;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (mine !== turn) return;
    if (error.status === 401 && credential) leave();
    tell(error.message, error.status === 0 || error.status >= 500 ? retry : null);
  } finally {
    if (mine === turn) at.line.textContent = "";
  }
}

function tell(text, retry = null) {
  again = retry;
  at["trouble-text"].textContent = text;
  at.trouble.hidden = !text;
  at.retry.hidden = retry === null;
}

// --- signing in and out ---------------------------------------------------------------------

function byKey(event) {
  event.preventDefault();
  const key = at.key.value.trim();
  if (!SENDABLE.test(key)) return tell("This is no API key.");
  enter(async () => key);
}

function byPassword(event) {
  event.preventDefault();
  const body = JSON.stringify({ email: at.email.value, password: at.password.value });
  enter(async () => {
    const headers = { "Content-Type": "application/json" };
    return (await json("/v1/sessions", { as: null, method: "POST", headers, body })).token;
  });
}

function enter(open) {
  const buttons = at["sign-in"].querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  return doing("Signing in…", async () => {
    const opened = await open();
    const me = await json("/v1/me", { as: opened });
    credential = opened;
    sessionStorage.setItem(KEPT, opened);
    at.key.value = at.password.value = "";
    await load(me);
    at["figure-head"].focus();
  }, () => enter(open)).finally(() => {
    buttons.forEach((button) => { button.disabled = false; });
  });
}

async function signOut() {
  const left = credential;
  turn += 1;
  leave();
  at.line.textContent = "";
  tell("");
  at.key.focus();
  // Of a key there is no session to end; and the tab has forgotten it whatever comes of this.
  await ask("/v1/sessions/current", { as: left, method: "DELETE" }).catch(() => {});
}

function leave() {
  credential = null;
  sessionStorage.removeItem(KEPT);
  at.who.textContent = "";
  at.router.hidden = at["sign-out"].hidden = true;
  at["sign-in"].hidden = false;
}

// --- the router -----------------------------------------------------------------------------

function begin() {
  return doing("Loading…", async () => load(await json("/v1/me")), begin);
}

async function load(me) {
  at["sign-in"].hidden = true;
  at["sign-out"].hidden = false;
  at.who.textContent = me.user?.email ?? me.tenant.name ?? "";
  const profiles = await json(PROFILES);
  at.profiles.replaceChildren(...profiles.versions.map(profileRow));
  await show(profiles.active);
}

async function show(version) {
  asked = version;
  const path = `${PROFILES}/${encodeURIComponent(version)}/pareto`;
  const [told, picture] = await Promise.all([
    json(path), ask(path, { accept: "image/svg+xml" }).then((answer) => answer.blob()),
  ]);
  if (asked !== version || !credential) return;
  URL.revokeObjectURL(at.picture.src);
  at.picture.src = URL.createObjectURL(picture);
  const drawn = told.models.filter((model) => model.drawn);
  at.gist.textContent = at.picture.alt = gist(drawn, told.router);
  at.version.textContent = version;
  const ranked = [...told.models].sort((a, b) => b.expected_quality - a.expected_quality);
  at.models.replaceChildren(...ranked.map(modelRow));
  at["models-note"].textContent = note(told.models);
  for (const button of at.profiles.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === version));
  }
  at.router.hidden = false;
}

function gist(drawn, router) {
  const best = drawn.reduce((a, b) => (b.expected_quality > a.expected_quality ? b : a));
  const only = drawn.length === 1;
  const who = only ? `${best.model}, the only model to choose from,` : `The best single model, ${best.model},`;
  const alone = `${who} is expected to answer ${percent(best.expected_quality)} of prompts well.`;
  if (only) return alone;
  const peak = router.at(-1);
  const most = percent(peak.expected_quality);
  if (best.cost === 0) return `${alone} The router is expected to answer ${most} well at its best.`;
  const cost = costOf(best.expected_quality, router);
  const forMost = percent(peak.cost / best.cost);
  if (cost === null || cost >= best.cost) {
    return `${alone} The router is expected to answer ${most} well at its best, for ${forMost} of its price.`;
  }
  return `${alone} The router is expected to reach that for ${percent(cost / best.cost)} of its price, `
    + `and ${most} at its best, for ${forMost}.`;
}

// The least cost that buys a quality, on the lines between the points of a curve.
function costOf(quality, points) {
  const right = points.findIndex((point) => point.expected_quality >= quality);
  if (right <= 0) return right < 0 ? null : points[0].cost;
  const [a, b] = [points[right - 1], points[right]];
  const along = (quality - a.expected_quality) / (b.expected_quality - a.expected_quality);
  return a.cost + along * (b.cost - a.cost);
}

function note(models) {
  if (models.every((model) => model.available)) return "";
  return models.some((model) => model.available)
    ? "Models that cannot be called here are not drawn: the router does not choose them."
    : "None of these models can be called here, so all are drawn, and the default model answers. "
      + "They join with a key of their provider.";
}

function modelRow(model) {
  const row = element("tr", model.available ? "" : "absent", head(element("span", "", model.model)));
  row.append(
    cell(percent(model.expected_quality, 1), "number"),
    cell(`$${model.price_usd.toFixed(model.price_usd < 0.1 ? 3 : 2)}`, "number"),
    cell(percent(model.cost, model.cost < 0.1 ? 1 : 0), "number wide"),
    cell(String(Math.round(model.prompts)), "number wide"),
    cell(model.available ? "yes" : "no"),
  );
  return row;
}

function profileRow(profile) {
  const button = element("button", "plain", "Show");
  button.type = "button";
  button.value = profile.version;
  button.setAttribute("aria-label", `Show ${profile.version}`);
  button.addEventListener("click", () => choose(profile.version));
  const created = profile.created_at === null ? "comes along"
    : new Date(profile.created_at * 1000).toISOString().slice(0, 16).replace("T", " ");
  return element(
    "tr", "", head(element("code", "", profile.version)), cell(profile.origin),
    cell(String(profile.models.length), "number wide"), cell(created, "wide"),
    cell(profile.active ? "active" : "–"), cell(button),
  );
}

function choose(version) {
  return doing("Loading…", () => show(version), () => choose(version));
}

function head(content) {
  const made = element("th", "", content);
  made.scope = "row";
  return made;
}

function cell(content, name = "") {
  return element("td", name, content);
}

function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)}%`;
}

at["by-key"].addEventListener("submit", byKey);
at["by-password"].addEventListener("submit", byPassword);
at["sign-out"].addEventListener("click", signOut);
at.retry.addEventListener("click", () => again?.());

if (credential) {
  await begin();
} else {
  leave();
  at.key.focus();
}
