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
  if (node.textContent !== String(value)) node.textContent = value;
}
const kbd = (key) => h("kbd", { "aria-hidden": "true" }, key);
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
const PATIENCE = 4000; // ms without an answer before we say so

// Commands to the kernel, numbered; `lost` shows itself where no answer comes.
function commander(model, lost) {
  let sent = model.get("view").seq ?? 0, waiting = null;
  return {
    send(what, more) {
      sent += 1;
      model.send({ do: what, seq: sent, ...more });
      clearTimeout(waiting);
      waiting = setTimeout(() => { lost.hidden = false; }, PATIENCE);
    },
    /** Is this view the answer to all that was sent? */
    answered() {
      const all = (model.get("view").seq ?? 0) >= sent;
      if (all) { clearTimeout(waiting); lost.hidden = true; }
      return all;
    },
    stop() { clearTimeout(waiting); },
  };
}
const lostLine = () => h("p", { class: "msg error", role: "status", hidden: "" },
  "The kernel is busy, or was restarted: what you see is the last view. After a restart, run the cell again.");
function copied(content, said) {
  if (typeof content?.copy !== "string") return;
  const done = (words) => text(said, words);
  if (!navigator.clipboard) done("the browser does not let this page use the clipboard");
  else navigator.clipboard.writeText(content.copy).then(
    () => done(`copied as ${content.name}`), () => done("the browser does not let this page use the clipboard"));
}
