// Copies a picture's text or SVG; says in words whether it did.
function copyBar(model) {
  const bar = document.createElement("div");
  bar.className = "lk-copy";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  const copied = (text) =>
    navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
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
  return bar;
}

