// A Bokeh figure without a server and without other hosts. BokehJS comes from the kernel, once per page.
const PATIENCE = 60000; // ms: the static picture stands there meanwhile; after Run All the kernel may be busy for long

// The page's BokehJS of this version, asked for by the first figure that needs it.
function bokehjs(model) {
  const shared = (window.labkitBokeh ??= {});
  const version = model.get("version");
  if (shared[version]) return shared[version];
  const asked = new Promise((done, fail) => {
    const answer = (message, buffers) => {
      if (message !== "bokehjs") return;
      model.off("msg:custom", answer);
      const tag = document.createElement("script");
      tag.dataset.labkit = "bokehjs";
      tag.textContent = new TextDecoder().decode(buffers[0]);
      document.head.append(tag);
      done(window.Bokeh[version] ?? window.Bokeh);
    };
    model.on("msg:custom", answer);
    model.send("bokehjs");
    setTimeout(() => fail(new Error("the kernel did not answer")), PATIENCE);
  });
  shared[version] = asked;
  asked.catch(() => delete shared[version]); // the next figure may ask again
  return asked;
}

// Colours travel as the light theme's; here they become the page's.
function themed(model, root) {
  const style = getComputedStyle(root);
  const colours = model.get("colours");
  const own = { ink: "text", paper: "ground" };
  return model.get("item").replace(/"(#[0-9a-f]{6})"/g, (whole, colour) => {
    const name = colours[colour];
    const value = name && style.getPropertyValue(`--lk-${own[name] ?? name}`).trim();
    return value ? JSON.stringify(value) : whole;
  });
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lk lk-picture";
  const figure = document.createElement("div");
  figure.className = "lk-figure";
  figure.setAttribute("role", "figure");
  figure.setAttribute("aria-label", model.get("label"));
  const said = document.createElement("div");
  said.className = "lk-figure-said";
  said.setAttribute("role", "status");
  root.append(figure, said, copyBar(model));
  el.append(root);
  const standIn = new DOMParser().parseFromString(model.get("svg"), "image/svg+xml").documentElement;
  figure.append(document.importNode(standIn, true));

  let turn = 0;
  let views = null;
  const draw = async () => {
    const mine = ++turn;
    try {
      const bokeh = await bokehjs(model);
      if (mine !== turn || !root.isConnected) return;
      const target = document.createElement("div");
      const old = views;
      figure.replaceChildren(target);
      views = await bokeh.embed.embed_item(JSON.parse(themed(model, root)), target);
      old?.clear?.();
      said.textContent = "drag to move, wheel over an axis to zoom, point at a mark to read it";
    } catch (error) {
      said.textContent = `static picture: the figure cannot be drawn, ${error.message}`;
    }
  };
  const start = requestAnimationFrame(draw); // not before it is in the page: colours are read from it
  const watcher = new MutationObserver(draw);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  model.on("change:item", draw);
  return () => {
    turn++;
    cancelAnimationFrame(start);
    watcher.disconnect();
    model.off("change:item", draw);
    views?.clear?.();
  };
}

export default { render };
