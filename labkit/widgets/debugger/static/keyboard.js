// Keys and clicks: each becomes a command to the kernel. No key leaks into the notebook.

const TWICE = 250; // ms between the two clicks of a double click

function listenTo(face, { goTo, stopAt, speeds }, { address, filter, typed }, edits, help) {
  const { root, kernel: { send } } = face;

  function perform({ do: what, to, name, text: words }) {
    if (what === "help") help.toggle();
    else if (what) send(what, { ...(to && { to: Number(to) }), ...(name && { name }), ...(words && { text: words }) });
  }
  let asking = null;
  /** Who wrote it, unless it becomes a double click, which edits: the answer may take the kernel long. */
  function ask(data, clicks) {
    clearTimeout(asking);
    if (clicks === 1) asking = setTimeout(perform, TWICE, { ...data });
  }
  const focusedData = (selector, key) => document.activeElement?.closest(selector)?.querySelector(`[data-${key}]`)?.dataset[key];
  function breakpoint() {
    const to = root.contains(document.activeElement) ? focusedData(".code li", "to") : undefined;
    send("breakpoint", to ? { to: Number(to) } : {});
  }
  function writer() {
    const name = document.activeElement?.dataset?.name;
    if (name && document.activeElement.classList.contains("vl")) send("register_writer", { name });
    else send("writer", { to: face.view.memory.selected });
  }
  const press = {
    ArrowLeft: () => send("back"), ArrowRight: () => send("step"),
    "Shift+ArrowLeft": () => send("previous_event"), "Shift+ArrowRight": () => send("event"),
    n: () => send("over"), p: () => send("back_over"), o: () => send("out"), O: () => send("back_out"), f: () => send("switch"), s: () => stopAt.focus(), B: () => send("stop_event"),
    W: () => {
      const name = document.activeElement?.classList.contains("vl") && document.activeElement.dataset.name;
      send("watch", name ? { name } : {});
    },
    " ": () => send(face.view.running ? "pause" : "run"), Home: () => send("start"), End: () => send("end"),
    g: () => goTo.focus(), b: breakpoint, "[": () => send("previous_stop"), "]": () => send("next_stop"),
    m: () => address.focus(), w: writer, t: () => typed.focus(), v: () => send("screen"), "/": () => filter.focus(), "?": help.toggle,
    Escape: () => { if (help.shown()) help.toggle(); },
    e: () => {
      const row = document.activeElement?.closest(".rg tr");
      if (row) edits.register(row);
      else edits.bytes(face.view.memory.selected);
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
    else if (event.detail > 0 && target.matches(".mem i, .rg .vl")) ask(target.dataset, event.detail);
    else perform(target.dataset);
    // A mouse click leaves the keys with the debugger, not with the button that was clicked.
    // Else space, meant to run, would take the breakpoint away again that was just set.
    if (event.detail > 0 && !target.closest(".rg")) root.focus({ preventScroll: true });
  });
  root.addEventListener("dblclick", (event) => {
    const row = event.target.closest(".rg tr");
    const cell = event.target.closest(".mem i");
    if (row) edits.register(row);
    else if (cell) edits.bytes(Number(cell.dataset.to));
  });
  filter.addEventListener("change", () => { send("filter", { name: filter.value }); root.focus({ preventScroll: true }); });
  for (const field of [address, stopAt]) field.addEventListener("focus", () => field.select());
  goTo.addEventListener("focus", () => { goTo.value = ""; }); // the placeholder says what can be written
  goTo.addEventListener("blur", () => { goTo.value = face.view.point; });
}
