// The live face of shadow keys: draws one view (plain data) and sends commands. It computes nothing about the unit.
// Elements are made once; a new view changes only texts, classes and attributes that differ. Helpers are in
// ../../static/elements.js, which comes before this in one module.

const KEYS = [
  ["0–3", "the guest's privilege level"], ["r w x", "read, write or execute"], ["↑ ↓", "choose the page"],
  ["→", "one attempt of the hardware"], ["Enter", "attempts until the access is made or the guest faults"],
  ["←", "take the last step back"], ["Home", "back to the start"], ["k", "the hardware's check of keys on or off"],
  ["?", "this list"],
];
const SIGN = { passes: "✓ passes", stops: "✕ stops here", "not reached": "not reached" };
const WIDE = 130, TOP = 34; // of a gate, in the drawing's own units
const STEP = 40; // ms that the path takes from gate to gate: seven of them are 280

/** As many children as items: made or removed at the end, then patched. */
function fit(parent, items, make, patch) {
  while (parent.children.length > items.length) parent.lastChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, i) => patch(parent.children[i], item, i));
}

function render({ model, el }) {
  let view = model.get("view");
  let shownPath = view.path;
  let held = null; // the bit whose rule is shown because of a click or of focus

  function send(what, to) {
    model.send({ do: what, to });
    kernel.wait();
  }

  // --- the parts, made once
  const radio = (what, to, label, key) => h("button", {
    type: "button", role: "radio", "data-do": what, "data-to": to, "aria-keyshortcuts": key, "aria-label": label,
  }, label, what === "kind" ? kbd(key) : null);
  const command = (what, label, key, keyName) => h("button", {
    type: "button", "data-do": what, "aria-keyshortcuts": keyName, title: `${label} (${key})`,
  }, h("span", null, label), kbd(key));
  const levels = [0, 1, 2, 3].map((level) => radio("level", level, `${level}`, `${level}`));
  const kinds = ["read", "write", "execute"].map((kind) => radio("kind", kind, kind, kind === "execute" ? "x" : kind[0]));
  const keysOn = h("button", { type: "button", "data-do": "keys", "aria-keyshortcuts": "k", title: "the hardware's check of keys (k)" }, h("span", null, "keys checked"), kbd("k"));
  const status = h("span", { class: "status", role: "status", "aria-live": "polite" });
  const bar = h("div", { class: "bar", role: "toolbar", "aria-label": "what the guest does" },
    h("div", { class: "gs" },
      h("div", { class: "g", role: "radiogroup", "aria-label": "guest level" }, h("span", { class: "s" }, "guest level ", kbd("0"), "–", kbd("3")), ...levels),
      h("div", { class: "g", role: "radiogroup", "aria-label": "access" }, h("span", { class: "s" }, "access"), ...kinds)),
    h("div", { class: "gs" },
      h("div", { class: "g" }, command("back", "back", "←", "ArrowLeft"), command("step", "one attempt", "→", "ArrowRight"), command("access", "whole access", "Enter", "Enter")),
      h("div", { class: "g" }, keysOn)));
  const message = h("p", { class: "msg", role: "status", "aria-live": "polite", hidden: "" });
  const lost = lostLine(), kernel = listening(model, lost);
  const keys = h("ul", { class: "keys", hidden: "", "aria-label": "all keys" },
    ...KEYS.map(([key, what]) => h("li", null, h("span", null, h("kbd", null, key)), h("span", null, what))));
  const heading = (name) => h("th", { scope: "col", title: name === "p d a" ? "present, dirty, accessed" : null }, name);
  const rows = h("tbody"), more = h("p", { class: "s" });
  const table = h("table", { class: "m tl", "aria-label": "virtual and shadow entries" },
    h("thead", null,
      h("tr", { class: "who" }, h("th", { colspan: 6, scope: "colgroup" }, h("b", { class: "guest" }, "Virtual TLB"), " what the guest set"),
        h("th", { class: "mid", "aria-hidden": "true" }), h("th", { colspan: 4, scope: "colgroup" }, h("b", { class: "monitor" }, "Shadow TLB"), " ", h("b", { class: "monitor" }, "+"), " permits too much now")),
      h("tr", null, ...["page", "address", "rights", "level", "key", "p d a"].map(heading), h("th", { class: "mid", "aria-hidden": "true" }),
        ...["r w x", "level", "shadow key", "p d a"].map(heading))),
    rows);
  const why = h("p", { class: "why", role: "status", "aria-live": "polite" });
  const rightsTitle = h("span", { class: "s" }), rights = h("tbody");
  const rightsHead = [0, 1, 2, 3].map(() => h("th", { scope: "col" }));
  const rightsTable = h("table", { class: "m rgt", "aria-label": "rights by level" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "access rights"), ...rightsHead, h("th", { scope: "col", class: "monitor" }, "any level"))), rights);
  const changes = h("span", { class: "s" }), registers = h("ol", { class: "k16 m" }), guestKeys = h("p", { class: "s gk" });
  const counters = h("dl", { class: "cnt" });
  const gates = svgElement("svg", { class: "gt", role: "img" }), outcome = h("p", { class: "out" });
  const gateList = h("ol", { class: "gl" });
  const pane = (name, head, ...body) => h("section", { class: "pane", "aria-label": name.toLowerCase() }, h("div", { class: "hd" }, h("h4", null, name), ...head), ...body);
  const foot = h("div", { class: "foot s" },
    h("span", { class: "theirs" }, "click, or tab into it: keys then work here"), h("span", { class: "mine" }, "keys go to this view"),
    h("button", { type: "button", "data-do": "help", "aria-expanded": "false", "aria-keyshortcuts": "?" }, "all keys ", kbd("?")),
    h("span", { class: "r" }, "copy as ", h("button", { type: "button", "data-do": "copy", "data-to": "text" }, "text"), " · ", h("button", { type: "button", "data-do": "copy", "data-to": "SVG" }, "SVG")));
  const root = h("div", { class: "lk lkk", role: "application", tabindex: "0", "data-lm-suppress-shortcuts": "true", "aria-roledescription": "view of shadow keys", "aria-label": "keys stand in for rights" },
    h("div", { class: "title" }, h("h3", null, "Keys stand in for rights"), status), bar, message, lost, keys,
    h("div", { class: "tw" }, table), more, h("div", { class: "whyw" }, h("b", null, "why"), why),
    h("div", { class: "two" },
      pane("Key registers", [changes], registers, counters, guestKeys),
      pane("Rights", [rightsTitle], rightsTable)),
    pane("The check", [h("span", { class: "s" }, "the hardware's gates, in their order")], h("div", { class: "gtw" }, gates), gateList, outcome), foot);
  el.append(root);

  // --- drawing
  /** A bit is a button: its rule is shown while it is pointed at, has the focus, or was clicked. */
  const makeBit = () => h("button", { type: "button", class: "bit", "data-do": "why" });
  function patchBit(node, bit, what, reachable) {
    text(node, bit.text);
    node.lkRule = `${what} ${bit.name} ${bit.text}${bit.mark ? ` ${bit.mark}` : ""}: ${bit.rule}`;
    attr(node, "aria-label", `${what} ${bit.name} ${bit.text}${bit.mark === "+" ? ", permits too much" : bit.mark ? ", changed" : ""}`);
    attr(node, "title", bit.rule);
    attr(node, "data-mark", bit.mark || null);
    attr(node, "tabindex", reachable ? "0" : "-1");
  }
  const cell = (bits, from, to) => bits.slice(from, to);
  function makeRow() {
    const row = h("tr", { "data-do": "choose" }, h("th", { scope: "row" }, h("button", { type: "button", class: "pick", "data-do": "choose" })));
    row.append(...Array.from({ length: 5 }, () => h("td")), h("td", { class: "mid", "aria-hidden": "true" }), ...Array.from({ length: 4 }, () => h("td")));
    return row;
  }
  function patchRow(row, item) {
    attr(row, "class", item.selected ? "on" : null);
    attr(row, "data-to", item.page);
    attr(row, "aria-current", item.selected ? "true" : null);
    const name = item.name || item.address;
    const pick = row.cells[0].firstChild;
    text(pick, item.name || `page ${item.page.toString(16)}`);
    attr(pick, "data-to", item.page);
    attr(pick, "tabindex", item.selected ? "0" : "-1");
    attr(pick, "aria-label", `choose ${name}${item.selected ? ", chosen" : ""}`);
    text(row.cells[1], item.address);
    const put = (at, bits, what) => {
      const td = row.cells[at];
      if (td.lkSaid) { td.replaceChildren(); td.lkSaid = null; }
      fit(td, bits, makeBit, (node, bit) => patchBit(node, bit, `${name}, ${what}`, item.selected));
    };
    [[2, 0, 1], [3, 1, 2], [4, 2, 3], [5, 3, 6]].forEach(([at, from, to]) => put(at, cell(item.virtual, from, to), "virtual"));
    text(row.cells[6], item.changed ? "≠→" : "→");
    attr(row.cells[6], "class", item.changed ? "mid new" : "mid");
    const filled = item.shadow.length > 0;
    attr(row.cells[7], "colspan", filled ? null : 4);
    for (const at of [8, 9, 10]) row.cells[at].hidden = !filled;
    if (filled) [[7, 0, 3], [8, 3, 4], [9, 4, 5], [10, 5, 8]].forEach(([at, from, to]) => put(at, cell(item.shadow, from, to), "shadow"));
    else { row.cells[7].replaceChildren(h("span", { class: "s" }, "not filled yet")); row.cells[7].lkSaid = true; }
  }
  function patchRegister(node, register) {
    attr(node, "class", [register.selected && "on", register.changed && "chg", register.bits.length === 1 && "free"].filter(Boolean).join(" ") || null);
    const [number, key, bits, what] = node.children;
    text(number, `${register.number}`);
    const name = `register ${register.number}`;
    fit(key, register.bits.slice(0, 1), makeBit, (bit, item) => patchBit(bit, item, name, register.selected));
    fit(bits, register.bits.slice(1), makeBit, (bit, item) => patchBit(bit, item, name, register.selected));
    text(what, `${register.changed ? "≠ " : ""}${register.what}`);
  }
  const makeRegister = () => h("li", null, h("span", { class: "s" }), h("b"), h("span", { class: "r3" }), h("span", { class: "s" }));

  function drawGates(list) {
    const y = TOP, parts = [];
    list.forEach((gate, i) => {
      const x = i * WIDE, ink = gate.state === "stops" ? "lf" : gate.state === "passes" ? "ink" : "ln";
      const end = gate.state === "stops" ? `L${x + 78} ${y - 22}` : `L${x + 86} ${y}`;
      parts.push(svgElement("path", { class: ink, d: `M${x} ${y}H${x + 44}` }), svgElement("path", { class: `${ink} arm`, d: `M${x + 47} ${y}${end}` }),
        svgElement("path", { class: gate.state === "passes" ? "ink" : "ln", d: `M${x + 89} ${y}H${x + WIDE}` }),
        svgElement("circle", { class: ink, cx: x + 44, cy: y, r: 3 }), svgElement("circle", { class: ink, cx: x + 86, cy: y, r: 3 }));
    });
    attr(gates, "viewBox", `0 0 ${WIDE * list.length} ${y + 12}`);
    attr(gates, "aria-label", list.map((gate) => `${gate.name} ${gate.state}`).join(", "));
    const dot = svgElement("circle", { class: "dot", cx: 0, cy: 0, r: 5 });
    gates.replaceChildren(...parts, dot);
    fit(gateList, list, () => h("li", null, h("b"), h("span", { class: "m" }), h("span", { class: "s" })), (node, gate) => {
      attr(node, "class", gate.state === "stops" ? "fault" : gate.state === "passes" ? null : "dim");
      text(node.children[0], gate.name);
      text(node.children[1], gate.detail || "\u00a0");
      text(node.children[2], SIGN[gate.state]);
    });
    walk(dot, list);
  }
  /** The access goes along the path to the gate that stops it. Without motion it only stands there. */
  function walk(dot, list) {
    const stop = list.findIndex((gate) => gate.state === "stops");
    const tried = list[0].state !== "not reached";
    dot.style.display = tried ? "" : "none";
    const to = stop < 0 ? WIDE * list.length - 8 : stop * WIDE + 31;
    dot.setAttribute("transform", `translate(${to} ${TOP})`);
    attr(dot, "class", stop < 0 ? "dot" : "dot fault");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!tried || view.path === shownPath || still || !dot.animate) return;
    const time = STEP * (stop < 0 ? list.length : stop + 1);
    dot.animate([{ transform: `translate(0px, ${TOP}px)` }, { transform: `translate(${to}px, ${TOP}px)` }], { duration: time, easing: "linear" });
  }

  function draw() {
    kernel.heard();
    view = model.get("view");
    text(status, view.status);
    message.hidden = !view.message;
    text(message, view.message);
    levels.forEach((node, i) => { attr(node, "aria-checked", String(i === view.level)); attr(node, "tabindex", i === view.level ? "0" : "-1"); });
    kinds.forEach((node) => { const on = node.dataset.to === view.access; attr(node, "aria-checked", String(on)); attr(node, "tabindex", on ? "0" : "-1"); });
    attr(keysOn, "aria-pressed", String(view.keys_on));
    text(keysOn.firstChild, view.keys_on ? "keys checked" : "keys NOT checked");
    bar.querySelector('[data-do="back"]').disabled = view.step === 0;
    fit(rows, view.rows, makeRow, patchRow);
    more.hidden = !view.more;
    text(more, view.more);
    text(rightsTitle, view.rights_title);
    rightsHead.forEach((node, i) => { attr(node, "class", i === view.level ? "lit" : null); text(node, i === view.level ? `${i} now` : `${i}`); });
    fit(rights, view.rights, () => h("tr", null, h("th", { scope: "row" }), ...Array.from({ length: 5 }, () => h("td"))), (row, item) => {
      attr(row, "class", item.selected ? "on" : null);
      text(row.cells[0], item.name);
      item.cells.forEach((value, i) => { text(row.cells[i + 1], value); attr(row.cells[i + 1], "class", [i === view.level && "lit", i === view.level && item.selected && "hit"].filter(Boolean).join(" ") || null); });
      text(row.cells[5], item.union);
      attr(row.cells[5], "class", "monitor");
    });
    text(changes, view.changes);
    attr(registers, "aria-label", "hardware key registers");
    fit(registers, view.registers, makeRegister, patchRegister);
    fit(counters, view.counters, () => h("div", null, h("dt", { class: "s" }), h("dd")), (node, counter) => {
      text(node.children[0], counter.name);
      text(node.children[1], `${counter.value}${counter.step ? ` +${counter.step}` : ""}`);
      attr(node, "class", counter.step ? "chg" : null);
    });
    text(guestKeys, `the guest's own registers: ${view.guest_keys.map((bit) => bit.text).join(", ") || "none in use"}`);
    drawGates(view.gates);
    shownPath = view.path;
    text(outcome, view.outcome);
    attr(outcome, "class", `out ${view.outcome_kind === "fault" ? "fault" : ""}`);
    if (held && !held.isConnected) held = null;
    showRule(held);
  }
  function showRule(bit) {
    text(why, bit?.lkRule ?? "point at a bit, or tab to one of the chosen entry or its key register: here stands the rule that set it");
    attr(why, "class", bit ? "why" : "why dim");
  }

  // --- input
  function act(what, node) {
    if (what === "why") { held = node; showRule(held); return; }
    if (what === "help") {
      keys.hidden = !keys.hidden;
      attr(foot.querySelector('[data-do="help"]'), "aria-expanded", String(!keys.hidden));
      return;
    }
    if (what === "copy") { model.send({ do: "copy", to: node.dataset.to }); return; }
    const to = node?.dataset.to;
    send(what, to === undefined ? null : what === "level" || what === "choose" ? Number(to) : to);
  }
  root.addEventListener("click", (event) => {
    const node = event.target.closest("[data-do]");
    if (!node || node.disabled) { if (!event.target.closest("button")) root.focus({ preventScroll: true }); return; }
    act(node.dataset.do, node);
    if (node.tagName === "TR" || node.classList.contains("pick")) root.focus({ preventScroll: true });
  });
  root.addEventListener("pointerover", (event) => { const bit = event.target.closest(".bit"); showRule(bit ?? held); });
  root.addEventListener("pointerleave", () => showRule(held));
  root.addEventListener("focusin", (event) => { if (event.target.classList.contains("bit")) { held = event.target; showRule(held); } });
  const KEY = {
    ArrowRight: ["step"], ArrowLeft: ["back"], Enter: ["access"], Home: ["start"], k: ["keys"],
    ArrowUp: ["move", -1], ArrowDown: ["move", 1], r: ["kind", "read"], w: ["kind", "write"], x: ["kind", "execute"],
    0: ["level", 0], 1: ["level", 1], 2: ["level", 2], 3: ["level", 3],
  };
  root.addEventListener("keydown", (event) => {
    if (event.key === "Tab" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // the notebook must not take it for a command
    const own = event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ");
    if (own) return; // the button's own
    if (event.key === "?") { event.preventDefault(); act("help"); return; }
    if (event.key === "Escape") { held = null; showRule(null); root.focus(); return; }
    const found = KEY[event.key] ?? KEY[event.key.toLowerCase()];
    if (!found) return;
    event.preventDefault();
    send(found[0], found[1] ?? null);
  });
  const answered = (content) => copied(content, status);
  model.on("change:view", draw);
  model.on("msg:custom", answered);
  draw();
  return () => { kernel.stop(); model.off("change:view", draw); model.off("msg:custom", answered); };
}

export default { render };
