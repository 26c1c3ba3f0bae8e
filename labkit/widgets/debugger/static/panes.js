// The six panes, all in one view: code, registers, memory, stack, events, console.

function panes() {
  const where = h("span", { class: "s m" }), listing = h("ol", { class: "code m", "aria-label": "instructions" }), noCode = h("p", { class: "s", hidden: "" });
  const since = h("span", { class: "s" }), general = h("tbody"), system = h("tbody"), flags = h("p", { class: "s flags" });
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
  const el = h("div", { class: "grid" },
    pane("Code", [where, h("span", { class: "s r" }, "● breakpoint: click, or ", kbd("b"))], listing, noCode),
    pane("Registers", [since], h("div", { class: "rg m" }, table("general registers", general), table("system registers", system)), flags),
    pane("Memory", [h("label", { class: "s" }, address, kbd("m")), memoryWhere, h("span", { class: "s r" }, h("span", { class: "rd" }, "read"), " or ", h("span", { class: "wr" }, "\u00a0written\u00a0"), " by the last step")], bytes, answer),
    pane("Stack", [], h("table", { class: "stk m", "aria-label": "stack words" }, stack), noStack),
    pane("Events", [total, h("label", { class: "s r" }, "kind", filter, kbd("/")), stopEvent], log),
    pane("Console", [consoleName, h("button", { type: "button", class: "s r", "data-do": "screen", "aria-keyshortcuts": "v", title: "serial console or VGA screen (v)" }, "serial or screen ", kbd("v"))], screen,
      h("label", { class: "typ m" }, h("span", { class: "s" }, "type"), typed, kbd("t"))));

  function draw(view) {
    text(where, view.code.where);
    text(noCode, view.code.problem);
    noCode.hidden = !view.code.problem;
    keyed(listing, view.code.rows, (line) => line.address, CODE);

    text(since, view.registers.since ? `± ${view.registers.since}` : "");
    keyed(general, view.registers.general, (register) => register.name, REGISTER);
    keyed(system, view.registers.system, (register) => register.name, SYSTEM);
    drawFlags(view.registers);

    text(memoryWhere, view.memory.where);
    keyed(bytes, view.memory.rows, (line) => line.address, bytesRow(view.memory.selected));
    drawAnswer(view.answer);
    keyed(stack, view.stack.rows, (word) => word.address, WORD);
    text(noStack, view.stack.problem);
    noStack.hidden = !view.stack.problem;

    text(total, `${view.events.total} in this history`);
    keyed(log, view.events.rows, (event) => String(event.clock), EVENT);
    drawFilter(view.events, view.stops.rows);

    text(consoleName, view.console.name);
    screen.classList.toggle("vga", view.console.lines.length > 12);
    keyed(screen, view.console.lines, (_, i) => String(i), LINE);
    attr(typed, "placeholder", view.console.hint);
  }
  function drawFlags({ flags: set, flags_note: note }) {
    const shown = JSON.stringify([set, note]);
    if (flags.lkDrawn === shown) return;
    flags.lkDrawn = shown;
    flags.replaceChildren("flags: ", set.length ? "" : "none set ", ...set.flatMap(([name, sign]) =>
      [sign ? h("span", { class: "new b" }, sign + name) : name, " "]), "· ", note);
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
  function drawFilter({ kinds, filter: chosen }, stops) {
    const shown = kinds.join();
    if (filter.lkDrawn !== shown) {
      filter.lkDrawn = shown;
      filter.replaceChildren(h("option", { value: "" }, "any"), ...kinds.map((kind) => h("option", { value: kind }, kind)));
    }
    if (filter.value !== chosen && filter !== document.activeElement) filter.value = chosen;
    stopEvent.disabled = !chosen;
    attr(stopEvent, "aria-pressed", String(stops.some((stop) => stop.kind === "event" && stop.words === `at ${chosen}`)));
  }

  return { el, draw, address, filter, typed };
}
