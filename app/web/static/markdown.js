// Simple Markdown as DOM nodes: paragraphs, headings, lists, quotes, code, emphasis, links. All text
// goes into text nodes, so nothing that a model writes can become markup or run.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)\s*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.+?)\s*#*\s*$/;
const ITEM = /^( *)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const INLINE = new RegExp(
  [
    "(`+)(.+?)\\1(?!`)",
    "\\*\\*(?=\\S)([^\\n]*?\\S)\\*\\*",
    "(?<![\\w*])\\*(?=[^\\s*])([^*\\n]*?[^\\s*])\\*(?![\\w*])",
    "\\[([^\\]\\n]+)\\]\\((https?:\\/\\/[^\\s)]+)\\)",
    "\\[(\\d{1,4}(?: ?, ?\\d{1,4})*)\\]",
    "(https?:\\/\\/[^\\s<>\"'`()\\[\\]]+[^\\s<>\"'`()\\[\\].,;:!?])",
  ].join("|"),
  "g",
);

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function safeUrl(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

export function link(text, ...children) {
  const href = safeUrl(text);
  if (href === null) return element("span", "", ...children);
  const made = element("a", "", ...children);
  made.href = href;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  return made;
}

// A fragment of `text`. `sources`: what the numbers of marks such as [2] stand for, by number.
export function render(text, sources = new Map()) {
  const out = document.createDocumentFragment();
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  let at = 0;
  while (at < lines.length) at = block(out, lines, at, sources);
  return out;
}

function block(out, lines, at, sources) {
  const line = lines[at];
  if (!line.trim()) return at + 1;
  const fence = FENCE.exec(line);
  if (fence) return code(out, lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    const level = Math.min(6, heading[1].length + 2);
    out.append(element(`h${level}`, "", inline(heading[2], sources)));
    return at + 1;
  }
  if (RULE.test(line)) {
    out.append(element("hr"));
    return at + 1;
  }
  if (ITEM.test(line)) return list(out, lines, at, sources);
  if (QUOTE.test(line)) return quote(out, lines, at, sources);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !begins(lines[end])) end += 1;
  out.append(element("p", "", inline(lines.slice(at, end).join("\n"), sources)));
  return end;
}

function begins(line) {
  return [FENCE, HEADING, RULE, ITEM, QUOTE].some((form) => form.test(line));
}

function code(out, lines, at, fence) {
  const closes = (line) => line.trim().startsWith(fence[1]) && !line.trim().slice(fence[1].length);
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const block = element("pre", "", element("code", "", lines.slice(at + 1, end).join("\n")));
  block.tabIndex = 0;
  if (fence[2]) block.setAttribute("aria-label", `Code, ${fence[2]}`);
  out.append(block);
  return end + 1;
}

function quote(out, lines, at, sources) {
  const inner = [];
  let found;
  while (at < lines.length && (found = QUOTE.exec(lines[at]))) {
    inner.push(found[1]);
    at += 1;
  }
  out.append(element("blockquote", "", render(inner.join("\n"), sources)));
  return at;
}

function list(out, lines, at, sources) {
  const first = ITEM.exec(lines[at]);
  const indent = first[1].length;
  const ordered = first[2] !== undefined;
  const made = element(ordered ? "ol" : "ul");
  if (ordered && first[2] !== "1") made.start = Number(first[2]);
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length < indent || (item[2] !== undefined) !== ordered) break;
    const inner = [item[3]];
    at += 1;
    while (at < lines.length && belongs(lines, at, indent)) {
      inner.push(lines[at].replace(new RegExp(`^ {0,${indent + 3}}`), ""));
      at += 1;
    }
    const body = render(inner.join("\n"), sources);
    const only = body.childNodes.length === 1 && body.firstChild.nodeName === "P";
    made.append(element("li", "", ...(only ? body.firstChild.childNodes : body.childNodes)));
    while (at < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1] ?? "")) at += 1;
  }
  out.append(made);
  return at;
}

function belongs(lines, at, indent) {
  const line = lines[at];
  if (!line.trim()) return /^ {2,}\S/.test(lines[at + 1] ?? "") && indented(lines[at + 1], indent);
  return indented(line, indent) || !begins(line);
}

function indented(line, indent) {
  return line.length - line.trimStart().length >= indent + 2;
}

function inline(text, sources) {
  const out = document.createDocumentFragment();
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    const made = span(found, sources);
    if (made === null) continue;
    plain(out, text.slice(last, found.index));
    out.append(made);
    last = found.index + found[0].length;
  }
  plain(out, text.slice(last));
  return out;
}

function span(found, sources) {
  const [, , shown, bold, slanted, label, url, marks, bare] = found;
  if (shown !== undefined) return element("code", "", shown);
  if (bold !== undefined) return element("strong", "", inline(bold, sources));
  if (slanted !== undefined) return element("em", "", inline(slanted, sources));
  if (url !== undefined) return link(url, inline(label, sources));
  if (bare !== undefined) return link(bare, bare);
  return cited(marks.split(",").map(Number), sources);
}

function cited(numbers, sources) {
  if (!numbers.every((number) => sources.has(number))) return null;
  const made = element("sup", "cites");
  for (const number of numbers) {
    const source = sources.get(number);
    const mark = link(source.url, String(number));
    mark.setAttribute("aria-label", `Source ${number}: ${source.title || source.url}`);
    mark.title = source.title || source.url;
    made.append(mark);
  }
  return made;
}

function plain(out, text) {
  text.split("\n").forEach((line, number) => {
    if (number) out.append(element("br"));
    if (line) out.append(line);
  });
}
