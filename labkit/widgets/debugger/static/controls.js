// The controls above the panes: moving in time, running, places to go to and to stop at.

function controls() {
  const runPath = svgElement("path", { d: ICONS.run }), runLabel = h("span", null, "run");
  const run = h("button", { type: "button", class: "run", "data-do": "run", "aria-keyshortcuts": "Space", title: "run or pause (space)" },
    svgElement("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, runPath), runLabel, kbd("space"));
  const speeds = SPEEDS.map((name, i) => h("button", {
    type: "button", role: "radio", "data-speed": i + 1, "aria-label": `speed ${i + 1}: ${name}`, title: `${i + 1}: ${name}`,
  }, h("i", { style: `height:${3 * (i + 1)}px` })));
  const goTo = h("input", { class: "m", "aria-label": "go to a point, address, symbol, event or name", "aria-keyshortcuts": "g", placeholder: "12 345 or code c126 4d49", title: "decimal digits: a point; hexadecimal with a letter, a final h, or in four and four: code; 50%, a symbol, an event or a name", spellcheck: "false", autocomplete: "off" });
  const stopAt = h("input", { class: "m", "aria-label": "stop at: an address, a register, write ADDRESS, or an event", "aria-keyshortcuts": "s", placeholder: "eax, interrupt, write esp", spellcheck: "false", autocomplete: "off" });
  const speedName = h("span", { class: "s spn" });
  const toolbar = h("div", { class: "bar", role: "toolbar", "aria-label": "moving in time" },
    h("div", { class: "g" },
      keyButton("previous_event", "back event", "⇧←", "Shift+ArrowLeft"), keyButton("back", "back", "←", "ArrowLeft"),
      keyButton("step", "step", "→", "ArrowRight"), keyButton("over", "over", "n", "n", { title: "step over a call (n); back over one (p)" }),
      keyButton("out", "out", "o", "o", { title: "on to where the function returns (o), back to its call (⇧O), by the return addresses on the stack" }), keyButton("event", "next event", "⇧→", "Shift+ArrowRight")),
    h("div", { class: "g" }, run),
    h("div", { class: "g sp", role: "radiogroup", "aria-label": "speed" },
      h("span", { class: "s", style: "margin-right:6px", "aria-hidden": "true" }, "speed ", kbd("1"), "–", kbd("5")), ...speeds, speedName));
  const chips = h("ul", { class: "chips", "aria-label": "what runs stop at" });
  const aims = h("div", { class: "bar aims", role: "toolbar", "aria-label": "places to go to and to stop at" },
    h("div", { class: "g" }, h("label", null, h("span", null, "go to"), goTo, kbd("g"))),
    h("div", { class: "g" }, h("label", null, h("span", null, "stop at"), stopAt, kbd("s")),
      keyButton("previous_stop", "stop before", "[", "["), keyButton("next_stop", "next stop", "]", "]")),
    chips);

  function draw(view) {
    text(runLabel, view.running ? "pause" : "run");
    attr(runPath, "d", view.running ? ICONS.pause : ICONS.run);
    attr(run, "data-do", view.running ? "pause" : "run");
    speeds.forEach((one, i) => {
      attr(one, "aria-checked", String(i + 1 === view.speed));
      one.tabIndex = i + 1 === view.speed ? 0 : -1;
    });
    text(speedName, SPEEDS[view.speed - 1]);
    if (goTo !== document.activeElement) goTo.value = view.point;
    drawStops(view.stops);
  }
  function drawStops({ rows, more }) {
    const shown = rows.length ? [...rows, ...(more ? [{ key: "", words: more }] : [])] : [{ key: "", words: "no stops yet" }];
    keyed(chips, shown, (stop) => stop.key, STOP);
  }

  return { toolbar, aims, draw, goTo, stopAt, speeds };
}
