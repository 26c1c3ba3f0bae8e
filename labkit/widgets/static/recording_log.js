// The event log on a line. elements.js stands before this file. Nothing is computed here: the kernel says where marks are.
const KEYS = [["[", "previous entry"], ["]", "next entry"], ["+", "zoom in"], ["−", "zoom out"], ["←", "move left"],
  ["→", "move right"], ["0", "whole run"], ["/", "kind of entry to step to"]];
const ROW = 26;

function render({ model, el }) {
  const lost = lostLine(), kernel = commander(model, lost);
  const button = (what, label, key, keyName) => h("button", { type: "button", "data-do": what, title: `${label} (${key})`,
    "aria-keyshortcuts": keyName ?? key }, h("span", null, label), kbd(key));
  const name = h("h3"), title = h("span", { class: "s" });
  const said = h("span", { class: "s r", role: "status", "aria-live": "polite" });
  const kinds = h("select", { "aria-label": "kind of entry to step to", "aria-keyshortcuts": "/" });
  const bar = h("div", { class: "bar", role: "toolbar", "aria-label": "moving in the log" },
    h("div", { class: "g" }, button("previous", "previous", "["), button("next", "next", "]"),
      h("label", { class: "s" }, "of kind", kinds, kbd("/"))),
    h("div", { class: "g" }, button("in", "zoom in", "+", "+"), button("out", "zoom out", "−", "-"), button("whole", "whole run", "0")),
    h("div", { class: "g" }, button("left", "left", "←", "ArrowLeft"), button("right", "right", "→", "ArrowRight")));
  const names = h("ul", { class: "lab" });
  const drawing = svgElement("svg", { preserveAspectRatio: "none", role: "img" });
  const band = h("div", { class: "band", hidden: "" }), here = h("div", { class: "here", hidden: "" });
  const from = h("span"), to = h("span");
  const track = h("div", { class: "trk" }, drawing, band, here,
    h("div", { class: "ends s" }, from, h("span", null, "instructions"), to));
  const told = h("dl", { class: "told", "aria-live": "polite", "aria-label": "the selected entry" });
  const message = h("p", { class: "msg", role: "status", hidden: "" });
  const root = h("div", { class: "lk lkr", role: "application", tabindex: "0", "data-lm-suppress-shortcuts": "true",
      "aria-roledescription": "event log" },
    h("div", { class: "title" }, name, title, said), bar, message, lost,
    h("div", { class: "scr" }, names, track), told,
    h("div", { class: "foot s" }, h("span", null, "click a mark to read it, drag over a stretch to zoom in"),
      h("span", { class: "r" }, "copy as ", h("button", { type: "button", "data-do": "copy", "data-name": "text" }, "text"), " · ",
        h("button", { type: "button", "data-do": "copy", "data-name": "SVG" }, "SVG"))));
  el.append(root);

  function draw() {
    const view = model.get("view");
    if (!view.lanes) return;
    kernel.answered();
    text(name, view.name ? `Event log of ${view.name}` : "Event log");
    text(title, view.title);
    attr(root, "aria-label", `event log, ${view.title}`);
    message.hidden = !(view.message || view.damage);
    text(message, view.message || view.damage);
    if (!kinds.options.length) kinds.replaceChildren(h("option", { value: "-1" }, "any"),
      ...view.lanes.map((lane, i) => h("option", { value: String(i) }, lane.name)));
    if (kinds !== document.activeElement) kinds.value = String(view.lane);
    const height = ROW * view.lanes.length;
    attr(drawing, "viewBox", `0 0 ${view.columns} ${height}`);
    drawing.style.height = `${height}px`;
    attr(drawing, "aria-label", `from ${grouped(view.start)} to ${grouped(view.end)} instructions: ` +
      view.lanes.map((lane) => `${lane.inside} ${lane.name}`).join(", "));
    names.replaceChildren(...view.lanes.map((lane) => h("li", { title: lane.given ? "given to the replay" : "compared with the replay" },
      h("b", { class: lane.ink }, lane.name), h("span", { class: "m dim" }, lane.inside))));
    drawing.replaceChildren(...view.lanes.flatMap((lane, i) => {
      const most = Math.log2(1 + Math.max(1, ...lane.marks.map(([, count]) => count)));
      const base = ROW * (i + 1) - 4;
      const d = lane.marks.map(([x, count]) => `M${x + 0.5} ${base}V${base - 6 - 14 * (Math.log2(1 + count) / most)}`).join("");
      return [svgElement("path", { class: "hair", d: `M0 ${ROW * (i + 1) - 0.5}H${view.columns}` }), svgElement("path", { class: lane.ink, d })];
    }));
    text(from, grouped(view.start));
    text(to, grouped(view.end));
    const chosen = view.selected;
    here.hidden = chosen === null || chosen.at === null;
    if (!here.hidden) { here.style.left = `${chosen.at * 100}%`; here.style.top = `${ROW * chosen.lane}px`; }
    const shown = JSON.stringify(chosen?.told ?? null);
    if (told.lkDrawn !== shown) {
      told.lkDrawn = shown;
      told.replaceChildren(...(chosen ? chosen.told.flatMap(([key, value]) => [h("dt", null, key),
        h("dd", { class: key === "kind" ? view.lanes[chosen.lane].ink : ["in the log", "there"].includes(key) ? "m" : null }, value)])
        : [h("dt", null, "entry"), h("dd", null, "none selected")]));
    }
  }

  const press = { "[": "previous", "]": "next", "+": "in", "=": "in", "-": "out", "0": "whole", ArrowLeft: "left", ArrowRight: "right" };
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // keys never leak into the notebook
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    if (event.key === "/") kinds.focus();
    else if (press[event.key]) kernel.send(press[event.key]);
    else return;
    event.preventDefault();
  });
  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do]");
    if (!target) return;
    kernel.send(target.dataset.do, target.dataset.name ? { name: target.dataset.name } : {});
    if (event.detail > 0) root.focus({ preventScroll: true });
  });
  kinds.addEventListener("change", () => { kernel.send("lane", { lane: Number(kinds.value) }); root.focus({ preventScroll: true }); });

  // --- a click picks, a drag zooms
  let began = null;
  const share = (event) => {
    const box = drawing.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  track.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".ends")) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    track.setPointerCapture(event.pointerId);
    const box = drawing.getBoundingClientRect();
    began = { at: share(event), x: event.clientX, lane: Math.floor((event.clientY - box.top) / ROW) };
  });
  track.addEventListener("pointermove", (event) => {
    if (!began || Math.abs(event.clientX - began.x) < 4) return;
    const ends = [began.at, share(event)].sort((a, b) => a - b);
    band.hidden = false;
    band.style.left = `${ends[0] * 100}%`;
    band.style.width = `${(ends[1] - ends[0]) * 100}%`;
  });
  track.addEventListener("pointerup", (event) => {
    if (!began) return;
    if (band.hidden) { if (began.lane >= 0 && began.lane < model.get("view").lanes.length) kernel.send("pick", { lane: began.lane, low: share(event) }); }
    else {
      const [low, high] = [began.at, share(event)].sort((a, b) => a - b);
      kernel.send("range", { low, high });
    }
    began = null;
    band.hidden = true;
  });
  track.addEventListener("pointercancel", () => { began = null; band.hidden = true; });
  const onMessage = (content) => copied(content, said);
  model.on("change:view", draw);
  model.on("msg:custom", onMessage);
  draw();
  return () => { kernel.stop(); model.off("change:view", draw); model.off("msg:custom", onMessage); };
}

export default { render };
