// The rows of the panes: how one is made, and what of it changes with its item. Each is made once, then patched.

/** An instruction. */
const CODE = {
  make() {
    const bp = h("button", { type: "button", class: "bp", "data-do": "breakpoint" });
    const [mark, ad, by, ins, note] = ["b", "span", "span", "span", "span"].map((tag) => h(tag));
    ad.className = "ad"; by.className = "by"; ins.className = "in"; note.className = "nt";
    return { el: h("li", null, bp, mark, ad, by, ins, note), bp, mark, ad, by, ins, note };
  },
  patch(row, line) {
    attr(row.el, "class", line.mark || null);
    attr(row.el, "aria-current", line.mark === "next" || line.mark === "again" ? "step" : null);
    attr(row.bp, "aria-pressed", String(line.breakpoint));
    attr(row.bp, "aria-label", `breakpoint at ${line.address}`);
    attr(row.bp, "data-to", line.linear);
    text(row.mark, line.mark === "again" ? "again" : line.mark);
    text(row.ad, line.address);
    text(row.by, line.bytes);
    attr(row.by, "title", line.bytes.length > 21 ? line.bytes : null); // more than there is room for
    text(row.ins, `${line.mnemonic.padEnd(5)} ${line.operands}`);
    attr(row.ins, "title", line.label || null);
    text(row.note, line.note ? `${line.kind ? "◂ " : ""}${line.note}` : line.label);
    attr(row.note, "class", `nt ${line.note ? line.kind || "dim" : "dim"}`);
  },
};

/** A register whose history is kept. */
const REGISTER = {
  make() {
    const vl = h("button", { type: "button", class: "vl", "data-do": "register_writer" });
    const name = h("th", { scope: "row" }), sg = h("td", { class: "sg" }), cell = h("td", null, vl), was = h("td", { class: "was" });
    return { el: h("tr", null, name, sg, cell, was), name, sg, vl, was, cell };
  },
  patch(row, register) {
    attr(row.el, "class", register.was ? "ch" : null);
    text(row.name, register.name);
    text(row.sg, register.was ? "±" : "");
    text(row.vl, register.value);
    attr(row.vl, "data-name", register.name);
    attr(row.vl, "aria-label", `${register.name} ${register.value}${register.was ? `, changed, was ${register.was}` : ""}`);
    attr(row.vl, "title", `who wrote ${register.name}: click; e edits it`);
    text(row.was, register.was ? `was ${register.was}` : "");
  },
};

/** Another one: no history is kept of these, and no edit is taken. */
const SYSTEM = {
  make() {
    const row = REGISTER.make();
    row.sg.remove();
    return row;
  },
  patch(row, register) {
    REGISTER.patch(row, register);
    row.vl.disabled = true;
    attr(row.was, "class", "s");
    text(row.was, register.was ? `± was ${register.was}` : register.note);
    attr(row.was, "title", row.was.lkText || null);
  },
};

/** Sixteen bytes of memory; `selected` is the address that is asked about. */
const bytesRow = (selected) => ({
  make() {
    const cells = Array.from({ length: 16 }, () => h("i", { "data-do": "writer" }));
    const ad = h("span", { class: "ad" });
    const half = (from) => h("span", { class: `h${from}` }, ...cells.slice(from, from + 8).flatMap((cell, i) => [cell, i === 7 ? "" : " "]));
    const as = [h("span", { class: "as a0" }), h("span", { class: "as a8" })];
    return { el: h("li", null, ad, half(0), half(8), ...as), ad, as, cells };
  },
  patch(row, line) {
    text(row.ad, line.address);
    const whole = line.text.length === 16;
    text(row.as[0], whole ? line.text.slice(0, 8) : line.text);
    text(row.as[1], whole ? line.text.slice(8) : "");
    line.bytes.forEach((byte, i) => {
      text(row.cells[i], byte);
      const mark = line.marks[i];
      const at = line.linear + i === selected ? "at" : "";
      attr(row.cells[i], "class", `${{ r: "rd", w: "wr" }[mark] ?? ""} ${at}`.trim() || null);
      attr(row.cells[i], "data-to", line.linear + i);
    });
  },
});

/** A word of the stack. */
const WORD = {
  make() {
    const pointer = h("th", { scope: "row" }), ad = h("td", { class: "dim" }), note = h("td", { class: "s" });
    const vl = h("button", { type: "button", "data-do": "memory" });
    return { el: h("tr", null, pointer, ad, h("td", null, vl), note), pointer, ad, vl, note };
  },
  patch(row, word) {
    text(row.pointer, word.pointer);
    text(row.ad, word.address);
    text(row.vl, word.value);
    attr(row.vl, "data-text", word.value);
    attr(row.vl, "title", `memory at ${word.value}`);
    text(row.note, word.note);
    attr(row.note, "title", word.note || null);
  },
};

/** An event. */
const EVENT = {
  make() {
    const mark = h("b", { class: "s" }), go = h("button", { type: "button", "data-do": "seek" }), kind = h("span"), what = h("span");
    return { el: h("li", null, mark, h("span", null, go), kind, what), mark, go, kind, what };
  },
  patch(row, event) {
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
  },
};

/** A line of the console. */
const LINE = { make: () => ({ el: h("div") }), patch: (row, line) => text(row.el, line) };

/** What runs stop at, with a button that takes it away. */
const STOP = {
  make() {
    const sign = h("i", { "aria-hidden": "true" }), words = h("span"), gone = h("button", { type: "button", "data-do": "unstop" }, "×");
    return { el: h("li", null, sign, words, gone), sign, words, gone };
  },
  patch(row, stop) {
    attr(row.el, "class", stop.key ? stop.kind : "none");
    text(row.sign, { break: "●", watch: "◆", event: "▲" }[stop.kind] ?? "");
    text(row.words, stop.where ? `${stop.words} · ${stop.where}` : stop.words);
    row.gone.hidden = !stop.key;
    attr(row.gone, "data-text", stop.key);
    attr(row.gone, "aria-label", `do not stop ${stop.words}`);
    attr(row.gone, "title", `do not stop ${stop.words}`);
  },
};

/** A part of the history, under the line. */
const PHASE = {
  make() {
    const go = h("button", { type: "button", "data-do": "seek" });
    return { el: h("li", null, go), go };
  },
  patch(row, part) {
    row.el.style.left = `${part.at * 100}%`;
    row.el.classList.toggle("here", part.here);
    text(row.go, part.name);
    attr(row.go, "data-to", part.clock);
    attr(row.go, "title", `go to ${part.name}, ${grouped(part.clock)}`);
    attr(row.go, "aria-current", part.here ? "step" : null);
  },
};
