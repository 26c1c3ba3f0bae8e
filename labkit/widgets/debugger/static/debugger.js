// The debugger's live face: draws one view (plain data) and sends commands. It computes nothing about the machine.
// Elements are made once; a new view changes only texts, classes and attributes that differ.
// One module with static/elements.js and the files beside this one, which stand before it (see widget.py).

function render({ model, el }) {
  const lost = lostLine();
  const face = { view: model.get("view"), kernel: commander(model, lost), root: null };

  const title = h("h3"), subtitle = h("span", { class: "s" });
  const status = h("span", { class: "status", role: "status", "aria-live": "polite" });
  const bars = controls(), line = scrubber(face), grid = panes(), edits = editor(face);
  const otherText = h("span");
  const other = h("div", { class: "msg", role: "status", "aria-live": "polite", hidden: "" }, h("b", null, "two histories"), otherText,
    keyButton("switch", "show the other", "f", "f", { class: "r" }));
  const message = h("div", { class: "msg", role: "status", "aria-live": "polite", hidden: "" }, h("b"), h("span"));
  const keys = keyList();
  const helpButton = h("button", { type: "button", "data-do": "help", "aria-expanded": "false", "aria-keyshortcuts": "?" }, "all keys ", kbd("?"));
  const foot = h("div", { class: "foot s" },
    h("span", { class: "theirs" }, "click, or tab into it: keys then work here"), h("span", { class: "mine" }, "keys go to this debugger"),
    helpButton,
    h("span", { class: "r" }, "copy as ", h("button", { type: "button", "data-do": "copy", "data-name": "text" }, "text"), " · ",
      h("button", { type: "button", "data-do": "copy", "data-name": "HTML" }, "HTML")));
  face.root = h("div", { class: "lk lkd", role: "application", tabindex: "0", "data-lm-suppress-shortcuts": "true", "aria-roledescription": "debugger" },
    h("div", { class: "title" }, title, subtitle, status), bars.toolbar, bars.aims, message, other, lost, keys, line.el, grid.el, foot);
  el.append(face.root);
  listenTo(face, bars, grid, edits, {
    shown: () => !keys.hidden,
    toggle() {
      keys.hidden = !keys.hidden;
      attr(helpButton, "aria-expanded", String(!keys.hidden));
    },
  });

  function draw() {
    const view = face.view = model.get("view");
    if (!view.code) return;
    text(title, view.title);
    text(subtitle, view.subtitle);
    text(status, view.status);
    attr(face.root, "aria-label", `debugger, ${view.title}`);
    face.root.classList.toggle("fast", view.running);
    message.hidden = !view.message;
    attr(message, "class", `msg ${view.message_kind}`);
    text(message.firstChild, view.message_kind === "error" ? "not done" : "");
    text(message.lastChild, view.message);
    other.hidden = !view.other;
    text(otherText, view.other);
    bars.draw(view);
    line.draw(view.scrubber);
    grid.draw(view);
  }
  function changed() {
    draw();
    const all = face.kernel.answered();
    edits.answered();
    if (all) line.free();
  }
  const said = (content) => copied(content, status);
  model.on("change:view", changed);
  model.on("msg:custom", said);
  draw();
  return () => {
    face.kernel.stop();
    line.stop();
    model.off("change:view", changed);
    model.off("msg:custom", said);
  };
}

export default { render };
