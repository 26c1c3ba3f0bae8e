// The debugger's live face: draws one view (plain data) and sends commands. It computes nothing about the machine.
// Elements are made once; a new view changes only texts, classes and attributes that differ.

const ICONS = {
  over: "M1 8h1.5c0-3 1.5-4.5 3.5-4.5S9 5 9.2 7H7.5l2.2 3 2.2-3h-1.4C10.3 4 8.6 2 6 2S1.2 4 1 8z",
  previous_event: "M1 1h1.6v10H1zM7 1v10L2.8 6zM11.5 1v10L7.3 6z", back: "M9 1v10L2 6z", step: "M3 1v10l7-5z",
  event: "M.5 1v10l4.2-5zM5 1v10l4.2-5zM9.4 1H11v10H9.4z", run: "M3 1v10l7-5z", pause: "M2 1h3v10H2zM7 1h3v10H7z",
};
const SPEEDS = ["1 a second", "10 a second", "every event", "1 million a second", "as fast as it goes"];
const KEYS = [
  ["←", "step back"], ["→", "step"], ["⇧←", "back to the event before"], ["⇧→", "on to the next event"],
  ["n", "step over a call"], ["p", "back over a call that has returned"], ["space", "run or pause"], ["1–5", "speed"], ["Home", "to the start"], ["End", "to the end of the history"],
  ["g", "go to a point, address, symbol, event or name"], ["b", "breakpoint on or off: focused row, or next"],
  ["⇧B", "stop at events of the chosen kind, or not"], ["s", "stop at: address, register, write ADDRESS, event"],
  ["⇧W", "stop when the register or byte asked about is written, or not"],
  ["[", "back to the stop before"], ["]", "on to the next stop"], ["m", "memory at an address"],
  ["w", "who wrote the selected byte or register"], ["e", "edit the focused register, or the selected bytes (forks)"],
  ["t", "type to the console"], ["f", "the other history, after a fork"], ["v", "serial console or VGA screen"], ["/", "choose the kind of event"],
  ["?", "this list; Esc closes it, too"],
];
const PATIENCE = 4000; // ms without an answer before we say so

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) attr(node, name, value);
  node.append(...children.filter((child) => child != null));
  return node;
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function attr(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
function text(node, value) {
  if (node.lkText !== value) node.textContent = node.lkText = value;
}
const icon = (name) => svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
const kbd = (key) => h("kbd", { "aria-hidden": "true" }, key);

/** Keep a list's elements in step with its items: one element per key, moved and patched, never rebuilt. */
function keyed(parent, items, keyOf, make, patch) {
  const old = parent.lkRows ?? new Map();
  const rows = new Map();
  const keys = items.map((item, i) => {
    let key = keyOf(item, i);
    while (rows.has(key)) key += "'";
    rows.set(key, null);
    return key;
  });
  const free = [...old].filter(([key]) => !rows.has(key)).map(([, row]) => row);
  let at = parent.firstElementChild;
  items.forEach((item, i) => {
    const row = old.get(keys[i]) ?? free.shift() ?? make();
    rows.set(keys[i], row);
    patch(row, item, i);
    if (row.el === at) at = at.nextElementSibling;
    else parent.insertBefore(row.el, at);
  });
  for (const row of free) row.el.remove();
  parent.lkRows = rows;
}

function render({ model, el }) {
  let view = model.get("view");
  let sent = view.seq ?? 0;
  let waiting = null;
  let help = false;
  let edited = null; // the field whose edit waits for its answer

  // --- talking to the kernel
  function send(what, more) {
    sent += 1;
    model.send({ do: what, seq: sent, ...more });
    wait();
  }
  function wait() {
    clearTimeout(waiting);
    waiting = setTimeout(() => { lost.hidden = false; }, PATIENCE);
  }
  const button = (what, label, key, keyName, extra) => h("button", {
    type: "button", "data-do": what, "aria-keyshortcuts": keyName, title: `${label} (${key})`, ...extra,
  }, ICONS[what] ? icon(what) : null, h("span", null, label), kbd(key));

  // --- the parts, made once
  const title = h("h3"), subtitle = h("span", { class: "s" });
  const status = h("span", { class: "status", role: "status", "aria-live": "polite" });
  const runPath = svg("path", { d: ICONS.run }), runLabel = h("span", null, "run");
  const run = h("button", { type: "button", class: "run", "data-do": "run", "aria-keyshortcuts": "Space", title: "run or pause (space)" },
    svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, runPath), runLabel, kbd("space"));
  const speeds = SPEEDS.map((name, i) => h("button", {
    type: "button", role: "radio", "data-speed": i + 1, "aria-label": `speed ${i + 1}: ${name}`, title: `${i + 1}: ${name}`,
  }, h("i", { style: `height:${3 * (i + 1)}px` })));
  const goTo = h("input", { class: "m", "aria-label": "go to a point, address, symbol, event or name", "aria-keyshortcuts": "g", placeholder: "12 345 or code c126 4d49", title: "decimal digits: a point; hexadecimal with a letter, a final h, or in four and four: code; 50%, a symbol, an event or a name", spellcheck: "false", autocomplete: "off" });
  const stopAt = h("input", { class: "m", "aria-label": "stop at: an address, a register, write ADDRESS, or an event", "aria-keyshortcuts": "s", placeholder: "eax, interrupt, write esp", spellcheck: "false", autocomplete: "off" });
  const speedName = h("span", { class: "s spn" });
  const toolbar = h("div", { class: "bar", role: "toolbar", "aria-label": "moving in time" },
    h("div", { class: "g" },
      button("previous_event", "back event", "⇧←", "Shift+ArrowLeft"), button("back", "back", "←", "ArrowLeft"),
      button("step", "step", "→", "ArrowRight"), button("over", "over", "n", "n", { title: "step over a call (n); back over one (p)" }), button("event", "next event", "⇧→", "Shift+ArrowRight")),
    h("div", { class: "g" }, run),
    h("div", { class: "g sp", role: "radiogroup", "aria-label": "speed" },
      h("span", { class: "s", style: "margin-right:6px", "aria-hidden": "true" }, "speed ", kbd("1"), "–", kbd("5")), ...speeds, speedName));
  const chips = h("ul", { class: "chips", "aria-label": "what runs stop at" });
  const aims = h("div", { class: "bar aims", role: "toolbar", "aria-label": "places to go to and to stop at" },
    h("div", { class: "g" }, h("label", null, h("span", null, "go to"), goTo, kbd("g"))),
    h("div", { class: "g" }, h("label", null, h("span", null, "stop at"), stopAt, kbd("s")),
      button("previous_stop", "stop before", "[", "["), button("next_stop", "next stop", "]", "]")),
    chips);
  const otherText = h("span");
  const other = h("div", { class: "msg", role: "status", "aria-live": "polite", hidden: "" }, h("b", null, "two histories"), otherText,
    button("switch", "show the other", "f", "f", { class: "r" }));
  const message = h("div", { class: "msg", role: "status", "aria-live": "polite", hidden: "" }, h("b"), h("span"));
  const lost = h("div", { class: "msg error", role: "status", hidden: "" }, h("b", null, "no answer"),
    h("span", null, "The kernel is busy, or was restarted: what you see is the last view. After a restart, run the cell again."));
  const keys = h("ul", { class: "keys", hidden: "", "aria-label": "all keys" },
    ...KEYS.map(([key, what]) => h("li", null, h("span", null, h("kbd", null, key)), h("span", null, what))));

  const labels = h("ul", { class: "lab", "aria-hidden": "true" });
  const lanes = svg("svg", { viewBox: "0 0 1000 42", preserveAspectRatio: "none", role: "img" });
  const cursorText = h("span", { "aria-hidden": "true" });
  const cursor = h("div", { class: "cur", role: "slider", tabindex: "0", "aria-label": "position in the history" }, cursorText);
  const endLabel = h("span"), startLabel = h("span");
  const phases = h("ol", { class: "ph", "aria-label": "parts of the history" });
  const track = h("div", { class: "trk" }, lanes, h("div", { class: "ends s", "aria-hidden": "true" }, startLabel, endLabel), cursor, phases);

  const where = h("span", { class: "s m" }), listing = h("ol", { class: "code m", "aria-label": "instructions" }), noCode = h("p", { class: "s", hidden: "" });
  const since = h("span", { class: "s" }), general = h("tbody"), system = h("tbody"), flags = h("p", { class: "s", style: "margin-top:8px" });
  const memoryWhere = h("span", { class: "s where" }), bytes = h("ol", { class: "mem m", "aria-label": "bytes" }), answer = h("p", { class: "s ans", role: "status", "aria-live": "polite" });
  const address = h("input", { class: "m", "aria-label": "memory at: hexadecimal address, register or symbol; empty follows what is accessed", "aria-keyshortcuts": "m", placeholder: "address", spellcheck: "false", autocomplete: "off" });
  const stack = h("tbody"), noStack = h("p", { class: "s", hidden: "" });
  const total = h("span", { class: "s" }), log = h("ol", { class: "ev m" });
  const filter = h("select", { "aria-label": "kind of event to step to", "aria-keyshortcuts": "/" });
  const stopEvent = h("button", { type: "button", class: "s", "data-do": "stop_event", "aria-pressed": "false", "aria-keyshortcuts": "Shift+B", title: "runs stop at events of this kind, or not (⇧B)" }, "stop at it ", kbd("⇧B"));
  const consoleName = h("span", { class: "s" }), screen = h("div", { class: "con m", role: "group", "aria-label": "what the guest has printed" });
  const typed = h("input", { "aria-label": "type to the guest's serial console", "aria-keyshortcuts": "t", spellcheck: "false", autocomplete: "off" });
  const pane = (name, head, ...body) => h("section", { class: "pane", "aria-label": name.toLowerCase() }, h("div", { class: "hd" }, h("h4", null, name), ...head), ...body);
  const table = (label, body) => h("table", { class: "m", "aria-label": label }, body);
  const stopThere = h("button", { type: "button", "data-do": "watch", "aria-keyshortcuts": "Shift+W", title: "runs stop when it is written again, or not (⇧W)" }, "stop when written ", kbd("⇧W"));
  const grid = h("div", { class: "grid" },
    pane("Code", [where, h("span", { class: "s r" }, "● breakpoint: click, or ", kbd("b"))], listing, noCode),
    pane("Registers", [since], h("div", { class: "rg m" }, table("general registers", general), table("system registers", system)), flags),
    pane("Memory", [h("label", { class: "s" }, address, kbd("m")), memoryWhere, h("span", { class: "s r" }, h("span", { class: "rd" }, "read"), " or ", h("span", { class: "wr" }, "\u00a0written\u00a0"), " by the last step")], bytes, answer),
    pane("Stack", [], h("table", { class: "stk m", "aria-label": "stack words" }, stack), noStack),
    pane("Events", [total, h("label", { class: "s r" }, "kind", filter, kbd("/")), stopEvent], log),
    pane("Console", [consoleName, h("button", { type: "button", class: "s r", "data-do": "screen", "aria-keyshortcuts": "v", title: "serial console or VGA screen (v)" }, "serial or screen ", kbd("v"))], screen,
      h("label", { class: "typ m" }, h("span", { class: "s" }, "type"), typed, kbd("t"))));
  const foot = h("div", { class: "foot s" },
    h("span", { class: "theirs" }, "click, or tab into it: keys then work here"), h("span", { class: "mine" }, "keys go to this debugger"),
    h("button", { type: "button", "data-do": "help", "aria-expanded": "false", "aria-keyshortcuts": "?" }, "all keys ", kbd("?")),
    h("span", { class: "r" }, "copy as ", h("button", { type: "button", "data-do": "copy", "data-name": "text" }, "text"), " · ",
      h("button", { type: "button", "data-do": "copy", "data-name": "html" }, "HTML")));
  const root = h("div", { class: "lk lkd", role: "application", tabindex: "0", "data-lm-suppress-shortcuts": "true", "aria-roledescription": "debugger" },
    h("div", { class: "title" }, title, subtitle, status), toolbar, aims, message, other, lost, keys,
    h("div", { class: "scr" }, labels, track), grid, foot);
  el.append(root);

  // --- drawing
  function drawScrubber({ lanes: list, phases: parts, start, end, at, width }) {
    const drawn = JSON.stringify([list, start, end]);
    if (lanes.lkDrawn !== drawn) {
      lanes.lkDrawn = drawn;
      const height = Math.max(14 * list.length, 14);
      attr(lanes, "viewBox", `0 0 ${width} ${height}`);
      lanes.style.height = `${height}px`;
      attr(lanes, "aria-label", `events: ${list.map((lane) => `${lane.count} ${lane.name}`).join(", ") || "none yet"}`);
      lanes.replaceChildren(...list.flatMap((lane, i) => [
        svg("path", { class: "hair", d: `M0 ${14 * i + 14}H${width}` }),
        svg("path", { class: lane.colour, d: lane.marks.map((x) => `M${x + 0.5} ${14 * i + 3}v9`).join("") })]));
      labels.replaceChildren(...list.map((lane) => h("li", null, lane.name)));
      text(startLabel, grouped(start));
      text(endLabel, grouped(end));
    }
    place(at);
    attr(cursor, "aria-valuemin", start);
    attr(cursor, "aria-valuemax", end);
    attr(cursor, "aria-valuenow", view.clock);
    const here = parts.find((part) => part.here);
    attr(cursor, "aria-valuetext", `${view.point}${here ? `, in ${here.name}` : ""}`);
    text(cursorText, view.point);
    keyed(phases, parts, (part) => part.name, () => {
      const go = h("button", { type: "button", "data-do": "seek" });
      return { el: h("li", null, go), go };
    }, (row, part) => {
      row.el.style.left = `${part.at * 100}%`;
      row.el.classList.toggle("here", part.here);
      text(row.go, part.name);
      attr(row.go, "data-to", part.clock);
      attr(row.go, "title", `go to ${part.name}, ${grouped(part.clock)}`);
      attr(row.go, "aria-current", part.here ? "step" : null);
    });
    const laid = JSON.stringify(parts.map((part) => [part.name, part.at]));
    if (phases.lkDrawn !== laid) { phases.lkDrawn = laid; layPhases(); }
  }
  /** Names under the line never overlap: two rows, to the left of the tick at the right end, hidden if all is full. */
  function layPhases() {
    const whole = track.clientWidth, rows = [-1, -1];
    let two = false;
    if (!whole) return;
    for (const { el } of phases.lkRows?.values() ?? []) {
      const from = (parseFloat(el.style.left) / 100) * whole, width = el.firstChild.lkText.length * 6.2 + 14;
      const left = from + width > whole;
      const begin = left ? from - width : from;
      const row = rows.findIndex((end) => begin >= end);
      el.classList.toggle("left", left);
      el.classList.toggle("no", row < 0);
      el.classList.toggle("row1", row === 1);
      if (row >= 0) rows[row] = begin + width;
      two ||= row === 1;
    }
    phases.classList.toggle("two", two);
    track.style.setProperty("--below", two ? "38px" : "22px");
  }
  const resized = new ResizeObserver(() => layPhases());
  resized.observe(track);
  function place(at) {
    cursor.style.left = `${at * 100}%`;
    cursor.style.setProperty("--at", at);
    track.classList.toggle("near0", at < 0.14);
    track.classList.toggle("near1", at > 0.8);
  }
  const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u00a0");

  function makeCode() {
    const bp = h("button", { type: "button", class: "bp", "data-do": "breakpoint" });
    const [mark, ad, by, ins, note] = ["b", "span", "span", "span", "span"].map((tag) => h(tag));
    ad.className = "ad"; by.className = "by"; ins.className = "in"; note.className = "nt";
    return { el: h("li", null, bp, mark, ad, by, ins, note), bp, mark, ad, by, ins, note };
  }
  function patchCode(row, line) {
    attr(row.el, "class", line.mark || null);
    attr(row.el, "aria-current", line.mark === "next" || line.mark === "again" ? "step" : null);
    attr(row.bp, "aria-pressed", String(line.breakpoint));
    attr(row.bp, "aria-label", `breakpoint at ${line.address}`);
    attr(row.bp, "data-to", line.linear);
    text(row.mark, line.mark === "again" ? "again" : line.mark);
    text(row.ad, line.address);
    text(row.by, line.bytes);
    text(row.ins, `${line.mnemonic.padEnd(5)} ${line.operands}`);
    attr(row.ins, "title", line.label || null);
    text(row.note, line.note ? `${line.kind ? "◂ " : ""}${line.note}` : line.label);
    attr(row.note, "class", `nt ${line.note ? line.kind || "dim" : "dim"}`);
  }
  function makeRegister() {
    const vl = h("button", { type: "button", class: "vl", "data-do": "register_writer" });
    const name = h("th", { scope: "row" }), sg = h("td", { class: "sg" }), cell = h("td", null, vl), was = h("td", { class: "was" });
    return { el: h("tr", null, name, sg, cell, was), name, sg, vl, was, cell };
  }
  function patchRegister(row, register) {
    attr(row.el, "class", register.was ? "ch" : null);
    text(row.name, register.name);
    text(row.sg, register.was ? "±" : "");
    text(row.vl, register.value);
    attr(row.vl, "data-name", register.name);
    attr(row.vl, "aria-label", `${register.name} ${register.value}${register.was ? `, changed, was ${register.was}` : ""}`);
    attr(row.vl, "title", `who wrote ${register.name}: click; e edits it`);
    text(row.was, register.was ? `was ${register.was}` : "");
  }
  function makeSystem() {
    const row = makeRegister();
    row.sg.remove();
    return row;
  }
  function patchSystem(row, register) {
    patchRegister(row, register);
    row.vl.disabled = true; // no history is kept of these, and no edit is taken
    attr(row.was, "class", "s");
    text(row.was, register.was ? `± was ${register.was}` : register.note);
    attr(row.was, "title", row.was.lkText || null);
  }
  function makeBytes() {
    const cells = Array.from({ length: 16 }, () => h("i", { "data-do": "writer" }));
    const ad = h("span", { class: "ad" });
    const half = (from) => h("span", { class: `h${from}` }, ...cells.slice(from, from + 8).flatMap((cell, i) => [cell, i === 7 ? "" : " "]));
    const as = [h("span", { class: "as a0" }), h("span", { class: "as a8" })];
    return { el: h("li", null, ad, half(0), half(8), ...as), ad, as, cells };
  }
  function patchBytes(row, line) {
    text(row.ad, line.address);
    const whole = line.text.length === 16;
    text(row.as[0], whole ? line.text.slice(0, 8) : line.text);
    text(row.as[1], whole ? line.text.slice(8) : "");
    line.bytes.forEach((byte, i) => {
      text(row.cells[i], byte);
      const mark = line.marks[i];
      const at = line.linear + i === view.memory.selected ? "at" : "";
      attr(row.cells[i], "class", `${{ r: "rd", w: "wr" }[mark] ?? ""} ${at}`.trim() || null);
      attr(row.cells[i], "data-to", line.linear + i);
    });
  }
  function makeWord() {
    const pointer = h("th", { scope: "row" }), ad = h("td", { class: "dim" }), note = h("td", { class: "s" });
    const vl = h("button", { type: "button", "data-do": "memory" });
    return { el: h("tr", null, pointer, ad, h("td", null, vl), note), pointer, ad, vl, note };
  }
  function patchWord(row, word) {
    text(row.pointer, word.pointer);
    text(row.ad, word.address);
    text(row.vl, word.value);
    attr(row.vl, "data-text", word.value);
    attr(row.vl, "title", `memory at ${word.value}`);
    text(row.note, word.note);
    attr(row.note, "title", word.note || null);
  }
  function makeEvent() {
    const mark = h("b", { class: "s" }), go = h("button", { type: "button", "data-do": "seek" }), kind = h("span"), what = h("span");
    return { el: h("li", null, mark, h("span", null, go), kind, what), mark, go, kind, what };
  }
  function patchEvent(row, event) {
    attr(row.el, "class", event.mark || null);
    attr(row.el, "aria-current", event.mark === "here" ? "step" : null);
    text(row.mark, event.mark);
    text(row.go, event.point);
    attr(row.go, "data-to", event.clock);
    attr(row.go, "title", `go to ${event.point}`);
    text(row.kind, event.kind);
    attr(row.kind, "class", event.colour);
    text(row.what, event.what);
    attr(row.what, "title", event.what);
  }

  function draw() {
    view = model.get("view");
    if (!view.code) return;
    lost.hidden = true;
    if (view.seq >= sent) clearTimeout(waiting);
    else wait(); // it is at work, and has told how far
    text(title, view.title);
    text(subtitle, view.subtitle);
    text(status, view.status);
    attr(root, "aria-label", `debugger, ${view.title}`);
    root.classList.toggle("fast", view.running);
    text(runLabel, view.running ? "pause" : "run");
    attr(runPath, "d", view.running ? ICONS.pause : ICONS.run);
    attr(run, "data-do", view.running ? "pause" : "run");
    speeds.forEach((one, i) => {
      attr(one, "aria-checked", String(i + 1 === view.speed));
      one.tabIndex = i + 1 === view.speed ? 0 : -1;
    });
    text(speedName, SPEEDS[view.speed - 1]);
    if (goTo !== document.activeElement) goTo.value = view.point;
    message.hidden = !view.message;
    attr(message, "class", `msg ${view.message_kind}`);
    text(message.firstChild, view.message_kind === "error" ? "not done" : "");
    text(message.lastChild, view.message);
    other.hidden = !view.other;
    text(otherText, view.other);
    drawStops(view.stops);
    drawScrubber(view.scrubber);

    text(where, view.code.where);
    text(noCode, view.code.problem);
    noCode.hidden = !view.code.problem;
    keyed(listing, view.code.rows, (line) => line.address, makeCode, patchCode);

    text(since, view.registers.since ? `± ${view.registers.since}` : "");
    keyed(general, view.registers.general, (register) => register.name, makeRegister, patchRegister);
    keyed(system, view.registers.system, (register) => register.name, makeSystem, patchSystem);
    const shown = JSON.stringify([view.registers.flags, view.registers.flags_note]);
    if (flags.lkDrawn !== shown) {
      flags.lkDrawn = shown;
      flags.replaceChildren("flags: ", view.registers.flags.length ? "" : "none set ", ...view.registers.flags.flatMap(([name, sign]) =>
        [sign ? h("span", { class: "new b" }, sign + name) : name, " "]), "· ", view.registers.flags_note);
    }

    text(memoryWhere, view.memory.where);
    keyed(bytes, view.memory.rows, (line) => line.address, makeBytes, patchBytes);
    drawAnswer(view.answer);
    keyed(stack, view.stack.rows, (word) => word.address, makeWord, patchWord);
    text(noStack, view.stack.problem);
    noStack.hidden = !view.stack.problem;

    text(total, `${view.events.total} in this history`);
    keyed(log, view.events.rows, (event) => String(event.clock), makeEvent, patchEvent);
    drawFilter(view.events);

    text(consoleName, view.console.name);
    screen.classList.toggle("vga", view.console.lines.length > 12);
    keyed(screen, view.console.lines, (_, i) => String(i), () => ({ el: h("div") }), (row, line) => text(row.el, line));
    attr(typed, "placeholder", view.console.hint);
  }
  function drawStops({ rows, more }) {
    const shown = rows.length ? [...rows, ...(more ? [{ key: "", words: more }] : [])] : [{ key: "", words: "no stops yet" }];
    keyed(chips, shown, (stop) => stop.key, () => {
      const sign = h("i", { "aria-hidden": "true" }), words = h("span"), gone = h("button", { type: "button", "data-do": "unstop" }, "×");
      return { el: h("li", null, sign, words, gone), sign, words, gone };
    }, (row, stop) => {
      attr(row.el, "class", stop.key ? stop.kind : "none");
      text(row.sign, { break: "●", watch: "◆", event: "▲" }[stop.kind] ?? "");
      text(row.words, stop.where ? `${stop.words} · ${stop.where}` : stop.words);
      row.gone.hidden = !stop.key;
      attr(row.gone, "data-text", stop.key);
      attr(row.gone, "aria-label", `do not stop ${stop.words}`);
      attr(row.gone, "title", `do not stop ${stop.words}`);
    });
  }
  function drawAnswer(found) {
    const shown = JSON.stringify(found);
    if (answer.lkDrawn === shown) return;
    answer.lkDrawn = shown;
    answer.replaceChildren(...(found
      ? [found.text, found.clock === null ? "" : " at ", ...(found.clock === null ? [] : [
          h("button", { type: "button", "data-do": "seek", "data-to": found.clock + 1, title: "go there" }, found.point), ` by ${found.where}`]), " ", stopThere]
      : ["click a byte or a register to ask who wrote it ", kbd("w"), "; double-click to change it ", kbd("e")]));
  }
  function drawFilter({ kinds, filter: chosen }) {
    const shown = kinds.join();
    if (filter.lkDrawn !== shown) {
      filter.lkDrawn = shown;
      filter.replaceChildren(h("option", { value: "" }, "any"), ...kinds.map((kind) => h("option", { value: kind }, kind)));
    }
    if (filter.value !== chosen && filter !== document.activeElement) filter.value = chosen;
    stopEvent.disabled = !chosen;
    attr(stopEvent, "aria-pressed", String(view.stops.rows.some((stop) => stop.kind === "event" && stop.words === `at ${chosen}`)));
  }

  // --- commands
  function toggleHelp() {
    help = !help;
    keys.hidden = !help;
    attr(foot.querySelector("[data-do=help]"), "aria-expanded", String(help));
  }
  function perform(target) {
    const { do: what, to, name, text: words } = target.dataset;
    if (what === "help") toggleHelp();
    else if (what) send(what, { ...(to && { to: Number(to) }), ...(name && { name }), ...(words && { text: words }) });
  }
  function edit(row, name) {
    const value = row.querySelector(".vl");
    editing(value, h("input", { "aria-label": `new value of ${name}`, value: value.textContent }), (typed) => ({ name, text: typed }));
  }
  function editBytes(to) {
    const cell = [...bytes.querySelectorAll("i")].find((one) => Number(one.dataset.to) === to);
    if (!cell || cell.textContent === "--") return;
    const label = `new bytes from ${to.toString(16)} on, in hexadecimal`;
    editing(cell, h("input", { class: "m", "aria-label": label, title: label, value: cell.textContent, size: 8 }), (typed) => ({ to, text: typed }));
  }
  function editing(value, input, command) {
    let open = true; // taking a focused field away blurs it, and that closes it again
    const close = () => {
      if (!open) return;
      open = false;
      const focused = input === document.activeElement;
      input.remove();
      why.remove();
      value.hidden = false;
      if (focused) (value.tabIndex < 0 ? root : value).focus({ preventScroll: true });
    };
    const why = h("span", { class: "why s", role: "alert", hidden: "" });
    input.lkDone = (accept) => {
      if (!accept) return close();
      send("edit", command(input.value));
      edited = { seq: sent, answered: () => { // what was refused stays to be corrected
        if (view.message_kind !== "error") return close();
        text(why, view.message);
        why.hidden = false;
        attr(input, "aria-invalid", "true");
      } };
    };
    value.hidden = true;
    value.after(input, why);
    input.addEventListener("blur", close);
    input.select();
    input.focus();
  }
  const focusedData = (selector, key) => document.activeElement?.closest(selector)?.querySelector(`[data-${key}]`)?.dataset[key];
  function breakpoint() {
    const to = root.contains(document.activeElement) ? focusedData(".code li", "to") : undefined;
    send("breakpoint", to ? { to: Number(to) } : {});
  }
  function writer() {
    const name = document.activeElement?.dataset?.name;
    if (name && document.activeElement.classList.contains("vl")) send("register_writer", { name });
    else send("writer", { to: view.memory.selected });
  }
  const press = {
    ArrowLeft: () => send("back"), ArrowRight: () => send("step"),
    "Shift+ArrowLeft": () => send("previous_event"), "Shift+ArrowRight": () => send("event"),
    n: () => send("over"), p: () => send("back_over"), f: () => send("switch"), s: () => stopAt.focus(), B: () => send("stop_event"),
    W: () => {
      const name = document.activeElement?.classList.contains("vl") && document.activeElement.dataset.name;
      send("watch", name ? { name } : {});
    },
    " ": () => send(view.running ? "pause" : "run"), Home: () => send("start"), End: () => send("end"),
    g: () => goTo.focus(), b: breakpoint, "[": () => send("previous_stop"), "]": () => send("next_stop"),
    m: () => address.focus(), w: writer, t: () => typed.focus(), v: () => send("screen"), "/": () => filter.focus(), "?": toggleHelp,
    Escape: () => { if (help) toggleHelp(); },
    e: () => {
      const row = document.activeElement?.closest(".rg tr");
      const name = row?.querySelector(".vl")?.dataset.name;
      if (name && !row.querySelector(".vl").disabled) edit(row, name);
      else if (!name) editBytes(view.memory.selected);
    },
    ...Object.fromEntries([1, 2, 3, 4, 5].map((n) => [String(n), () => send("speed", { to: n })])),
  };
  function inField(event) {
    const field = event.target;
    if (event.key === "Escape") { field.lkDone ? field.lkDone(false) : root.focus({ preventScroll: true }); return true; }
    if (event.key !== "Enter") return false;
    if (field === goTo) send("go", { text: field.value });
    else if (field === stopAt) { send("stop", { text: field.value }); field.value = ""; }
    else if (field === address) send("memory", { text: field.value });
    else if (field === typed) { send("type", { text: `${field.value}\n` }); field.value = ""; return true; }
    else if (field.lkDone) { field.lkDone(true); return true; }
    root.focus({ preventScroll: true });
    return true;
  }
  function inSpeeds(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by) return false;
    const next = ((Number(event.target.dataset.speed) - 1 + by + 5) % 5) + 1;
    speeds[next - 1].focus();
    send("speed", { to: next });
    return true;
  }
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // keys never leak into the notebook
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    let taken;
    if (target.tagName === "INPUT") taken = inField(event);
    else if (target.tagName === "SELECT") { if (key === "Escape") { root.focus(); taken = true; } }
    else if (target.dataset.speed && inSpeeds(event)) taken = true;
    else if (target.tagName === "BUTTON" && (key === " " || key === "Enter")) return; // the button itself
    else {
      const named = event.shiftKey && key.startsWith("Arrow") ? `Shift+${key}` : key;
      if (press[named]) { press[named](); taken = true; }
    }
    if (taken) event.preventDefault();
  });
  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do],[data-speed]");
    if (!target || !root.contains(target)) return;
    if (target.dataset.speed) send("speed", { to: Number(target.dataset.speed) });
    else perform(target);
    // A mouse click leaves the keys with the debugger, not with the button that was clicked.
    // Else space, meant to run, would take the breakpoint away again that was just set.
    if (event.detail > 0 && !target.closest(".rg")) root.focus({ preventScroll: true });
  });
  root.addEventListener("dblclick", (event) => {
    const row = event.target.closest(".rg tr");
    const cell = event.target.closest(".mem i");
    if (row && !row.querySelector(".vl").disabled) edit(row, row.querySelector(".vl").dataset.name);
    else if (cell) editBytes(Number(cell.dataset.to));
  });
  filter.addEventListener("change", () => { send("filter", { name: filter.value }); root.focus({ preventScroll: true }); });
  for (const field of [address, stopAt]) field.addEventListener("focus", () => field.select());
  goTo.addEventListener("focus", () => { goTo.value = ""; }); // the placeholder says what can be written
  goTo.addEventListener("blur", () => { goTo.value = view.point; });

  // --- scrubbing: one seek at a time, always to where the pointer is now
  let wanted = null;
  const clockAt = (event) => {
    const box = lanes.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    place(share);
    return Math.round(view.scrubber.start + share * (view.scrubber.end - view.scrubber.start));
  };
  function scrub(to) {
    if (view.seq < sent) wanted = to;
    else send("seek", { to });
  }
  track.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".ph") || event.button) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    track.setPointerCapture(event.pointerId);
    track.classList.add("dragging");
    scrub(clockAt(event));
  });
  track.addEventListener("pointermove", (event) => { if (track.classList.contains("dragging")) scrub(clockAt(event)); });
  const drop = () => track.classList.remove("dragging");
  track.addEventListener("pointerup", drop);
  track.addEventListener("pointercancel", drop);

  // --- answers
  function changed() {
    draw();
    if (edited && view.seq >= edited.seq) {
      const { answered: done } = edited;
      edited = null;
      done();
    }
    if (wanted !== null && view.seq >= sent) {
      const to = wanted;
      wanted = null;
      send("seek", { to });
    }
  }
  function answered(content) {
    if (typeof content?.copy === "string") navigator.clipboard?.writeText(content.copy).then(
      () => { text(status, "copied"); }, () => { text(status, "the browser did not allow copying"); });
  }
  model.on("change:view", changed);
  model.on("msg:custom", answered);
  draw();
  return () => {
    clearTimeout(waiting);
    resized.disconnect();
    model.off("change:view", changed);
    model.off("msg:custom", answered);
  };
}

export default { render };
