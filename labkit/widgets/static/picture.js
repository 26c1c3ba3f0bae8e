// A static picture in the page's theme, to be copied as text or as SVG.
function copied(text) {
  return navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lk lk-picture";
  const drawing = document.createElement("div");
  const bar = document.createElement("div");
  bar.className = "lk-copy";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  const button = (name, of) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = name;
    made.setAttribute("aria-label", `copy picture as ${name}`);
    made.onclick = () =>
      copied(model.get(of)).then(
        () => (said.textContent = `copied as ${name}`),
        () => (said.textContent = "the browser does not let this page use the clipboard"),
      );
    return made;
  };
  bar.append("copy as", button("text", "text"), button("SVG", "svg"), said);
  const draw = () => {
    const parsed = new DOMParser().parseFromString(model.get("svg"), "image/svg+xml").documentElement;
    drawing.replaceChildren(document.importNode(parsed, true));
  };
  model.on("change:svg", draw);
  draw();
  root.append(drawing, bar);
  el.append(root);
  return () => model.off("change:svg", draw);
}

export default { render };
