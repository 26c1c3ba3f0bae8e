// Small helpers of the views that are made once and then patched.
function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) attr(node, name, value);
  node.append(...children.filter((child) => child != null));
  return node;
}
function svgElement(tag, attributes, ...children) {
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

/** Keep a list's elements in step with its items: one element per key, moved and patched, never rebuilt. */
function keyed(parent, items, keyOf, { make, patch }) {
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
const kbd = (key) => h("kbd", { "aria-hidden": "true" }, key);
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
const PATIENCE = 4000; // ms without an answer before we say so
const SILENT = "The kernel is busy, or was restarted: what you see is the last view. After a restart, run the cell again.";
const GONE = "The kernel was restarted, or has ended: what you see is the last view. Run the cell again.";
const lostLine = () => h("p", { class: "msg error", role: "status", hidden: "" });

const OVER = ["restarting", "autorestarting", "starting", "terminating", "dead"];
const SETTLE = 300; // ms that the page may take for a view that has arrived

/** Says in `lost` that the kernel does not answer in time; that it is gone, at once, where the front end tells. */
function listening(model, lost) {
  let waiting = null, over = false;
  const kernel = model.widget_manager?.kernel; // JupyterLab's; elsewhere there may be none
  const gone = () => over || lost.closest(".jupyter-widgets-disconnected") !== null;
  function say() {
    text(lost, gone() ? GONE : SILENT);
    lost.hidden = false;
  }
  /** A view has come, or the connection is back. */
  function heard() {
    clearTimeout(waiting);
    over = false;
    lost.hidden = !gone();
  }
  function ended() {
    over = true;
    say();
  }
  const cut = () => (gone() ? say() : heard());
  const status = (_, now) => { if (OVER.includes(now)) ended(); };
  model.on("comm_live_update", cut);
  kernel?.statusChanged?.connect(status);
  return {
    heard,
    ended,
    wait() {
      clearTimeout(waiting);
      if (gone()) say();
      else waiting = setTimeout(say, PATIENCE);
    },
    stop() {
      clearTimeout(waiting);
      model.off("comm_live_update", cut);
      kernel?.statusChanged?.disconnect(status);
    },
  };
}

/** Commands to the kernel, numbered; each is answered by a view that has its number, or a later one. */
function commander(model, lost) {
  let sent = model.get("view").seq ?? 0;
  const { heard, ended, wait, stop } = listening(model, lost);
  const answeredUpTo = () => model.get("view").seq ?? 0;
  const all = () => answeredUpTo() >= sent;
  return {
    send(what, more) {
      const mine = sent = Math.max(sent, answeredUpTo()) + 1; // another front end may have sent, too
      // Done with it, and no view: a kernel that does not know us, restarted by somebody else.
      const status = ({ content }) => {
        if (content.execution_state === "idle") setTimeout(() => { if (answeredUpTo() < mine) ended(); }, SETTLE);
      };
      try {
        model.send({ do: what, seq: mine, ...more }, { iopub: { status } });
        wait();
      } catch {
        ended(); // its connection was taken away
      }
      return mine;
    },
    /** Has everything that was sent been answered? */
    all,
    /** The same, of a view that has just come: if not, the kernel is at work, and has told how far. */
    answered() {
      heard();
      if (!all()) wait();
      return all();
    },
    stop,
  };
}

function copied(content, said) {
  if (typeof content?.copy !== "string") return;
  const done = (words) => text(said, words);
  if (!navigator.clipboard) done("the browser does not let this page use the clipboard");
  else navigator.clipboard.writeText(content.copy).then(
    () => done(`copied as ${content.name}`), () => done("the browser does not let this page use the clipboard"));
}
