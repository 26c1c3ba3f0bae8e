// A static picture in the page's theme. copyBar comes from copy.js, which stands before this file.
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lk lk-picture";
  const drawing = document.createElement("div");
  const draw = () => {
    const parsed = new DOMParser().parseFromString(model.get("svg"), "image/svg+xml").documentElement;
    drawing.replaceChildren(document.importNode(parsed, true));
  };
  model.on("change:svg", draw);
  draw();
  root.append(drawing, copyBar(model));
  el.append(root);
  return () => model.off("change:svg", draw);
}

export default { render };
