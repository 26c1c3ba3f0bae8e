// The expansion designer. elements.js stands before this file. The kernel reads the fields and knows the cost.
function render({ model, el }) {
  const lost = lostLine(), kernel = commander(model, lost);
  const name = h("h3"), said = h("span", { class: "s r", role: "status", "aria-live": "polite" });
  const form = h("div", { class: "fm" });
  const rows = h("b"), bytes = h("b"), seconds = h("b"), note = h("p", { class: "s", role: "status", "aria-live": "polite" });
  const closer = h("button", { type: "button", class: "s", "data-do": "sample", "aria-keyshortcuts": "e" }, "take samples there ", kbd("e"));
  const estimate = h("div", { class: "est", role: "group", "aria-label": "estimate" },
    h("div", { class: "s" }, rows, "rows"), h("div", { class: "s" }, bytes, "on disk"), h("div", { class: "s" }, seconds, "on one core"));
  const go = h("button", { type: "button", class: "go", "data-do": "run", "aria-keyshortcuts": "x" }, h("span", null, "expand"), kbd("x"));
  const bar = h("progress", { max: "1", "aria-label": "progress of the expansion" }), told = h("span", { role: "status", "aria-live": "polite" });
  const result = h("pre", { class: "said m", tabindex: "0", "aria-label": "what the consumer says" });
  const sizes = h("tbody"), command = h("pre", { class: "code m" }), python = h("pre", { class: "code m" });
  const message = h("p", { class: "msg", role: "status", hidden: "" });
  const copy = (what) => h("button", { type: "button", class: "s", "data-do": "copy", "data-name": what, "aria-label": `copy ${what}` }, "copy");
  const commandHead = h("div", { class: "hd" }, h("h4", null, "Command"), copy("command"));
  const root = h("div", { class: "lk lkr", role: "group", "data-lm-suppress-shortcuts": "true", "aria-label": "expansion designer" },
    h("div", { class: "title" }, name, h("span", { class: "s" }, "any number of times, over the same log"), said),
    message, lost,
    h("div", { class: "two" },
      h("section", { "aria-label": "expansion parameters" }, form, estimate, note, closer, h("div", { class: "run" }, go, bar, told), result),
      h("section", { "aria-label": "sizes and command" },
        h("div", { class: "hd" }, h("h4", null, "Bytes"), h("span", { class: "s" }, "bars logarithmic")), h("table", null, sizes),
        commandHead, command, h("div", { class: "hd" }, h("h4", null, "Python"), copy("Python")), python)));
  el.append(root);
  const inputs = new Map();

  function makeField(field) {
    const label = field.label || field.name;
    if (!field.options.length) {
      const input = h("input", { "aria-label": label, placeholder: field.hint, spellcheck: "false", autocomplete: "off", "data-name": field.name,
        class: field.hint.length > 12 ? "wide" : null });
      inputs.set(field.name, { patch: (now) => {
        if (input !== document.activeElement) input.value = now.value;
        attr(input, "aria-invalid", now.error ? "true" : null);
      } });
      return h("label", null, field.label, input, field.name === "every" ? "instructions" : field.name === "period" ? "instructions" : null);
    }
    const type = field.several ? "checkbox" : "radio", group = `lkr-${Math.random().toString(36).slice(2)}`;
    const choices = field.options.map((option) => h("input", { type, name: group, value: option, "data-name": field.name }));
    inputs.set(field.name, { patch: (now) => choices.forEach((choice) => { choice.checked = now.on.includes(choice.value); }) });
    return h("div", { class: "v", role: field.several ? "group" : "radiogroup", "aria-label": label }, field.label || null,
      ...choices.map((choice) => h("label", null, choice, choice.value)));
  }
  function makeForm(groups) {
    form.replaceChildren(...groups.flatMap((group) => {
      const errors = h("span", { class: "e s", role: "status" });
      inputs.set(`errors of ${group.name}`, { patch: null, errors, names: group.fields.map((field) => field.name) });
      return [h("h4", null, group.name), h("div", { class: "v" }, ...group.fields.map(makeField), errors)];
    }));
  }

  function draw() {
    const view = model.get("view");
    if (!view.groups) return;
    const current = kernel.answered();
    text(name, `Expansion of ${view.name}`);
    message.hidden = !view.message;
    text(message, view.message ?? "");
    if (!inputs.size) makeForm(view.groups);
    const errors = {};
    for (const field of view.groups.flatMap((group) => group.fields)) {
      if (current) inputs.get(field.name).patch(field); // an older view would take back what was just chosen
      errors[field.name] = field.error;
    }
    for (const one of inputs.values()) if (one.errors) {
      const found = [...new Set(one.names.map((each) => errors[each]).filter(Boolean))].join("; ");
      one.errors.hidden = !found;
      text(one.errors, found);
    }
    const cost = view.estimate;
    text(rows, cost ? `≈ ${cost.rows}` : "–");
    text(bytes, cost ? (cost.size === "no file" ? cost.size : `≈ ${cost.size}`) : "–");
    text(seconds, cost ? (cost.seconds.startsWith("under") ? cost.seconds : `≈ ${cost.seconds}`) : "–");
    text(note, view.sampling || (cost ? cost.note : view.wrong ? "mend the field that is marked" : "waiting for samples of the run"));
    closer.hidden = !view.coarse;
    text(go.firstChild, view.running ? "cancel" : "expand");
    attr(go, "data-do", view.running ? "cancel" : "run");
    go.disabled = view.wrong && !view.running;
    bar.hidden = !view.running;
    bar.value = view.done;
    text(told, view.told);
    result.hidden = !view.said;
    text(result, view.said);
    const shown = JSON.stringify(view.sizes);
    if (sizes.lkDrawn !== shown) {
      sizes.lkDrawn = shown;
      sizes.replaceChildren(...view.sizes.map((one) => {
        const bar = h("span");
        bar.style.width = `${Math.round(one.share * 100)}%`;
        return h("tr", null, h("th", { scope: "row" }, one.name), h("td", { class: "n" }, one.bytes),
          h("td", { class: `br ${one.name.startsWith("event") ? "guest" : "hardware"}` }, bar));
      }));
    }
    command.hidden = commandHead.hidden = !view.command;
    text(command, view.command);
    text(python, view.python);
  }

  function set(input) { kernel.send("set", { name: input.dataset.name, text: input.value }); }
  form.addEventListener("input", (event) => { if (event.target.dataset.name) set(event.target); });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // keys never leak into the notebook
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.tagName === "INPUT" && !["checkbox", "radio"].includes(event.target.type);
    const pressed = typing ? null : event.key === "x" && !go.disabled ? go : event.key === "e" && !closer.hidden ? closer : null;
    if (pressed) { pressed.click(); event.preventDefault(); }
  });
  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do]");
    if (target) kernel.send(target.dataset.do, target.dataset.name ? { name: target.dataset.name } : {});
  });
  const onMessage = (content) => copied(content, said);
  model.on("change:view", draw);
  model.on("msg:custom", onMessage);
  draw();
  if (!model.get("view").sampled) kernel.send("sample");
  return () => { kernel.stop(); model.off("change:view", draw); model.off("msg:custom", onMessage); };
}

export default { render };
