// The whole history on one line: events as marks, named parts below, and a cursor that can be dragged.

/** `face` has the `view` that is shown, the `kernel` that is told, and the debugger's `root`. */
function scrubber(face) {
  const labels = h("ul", { class: "lab", "aria-hidden": "true" });
  const lanes = svgElement("svg", { viewBox: "0 0 1000 42", preserveAspectRatio: "none", role: "img" });
  const cursorText = h("span", { "aria-hidden": "true" });
  const cursor = h("div", { class: "cur", role: "slider", tabindex: "0", "aria-label": "position in the history" }, cursorText);
  const endLabel = h("span"), startLabel = h("span");
  const phases = h("ol", { class: "ph", "aria-label": "parts of the history" });
  const ends = h("div", { class: "ends s", "aria-hidden": "true" }, startLabel, endLabel);
  const track = h("div", { class: "trk" }, lanes, ends, cursor, phases);

  function draw({ lanes: list, phases: parts, start, end, at, width }) {
    const drawn = JSON.stringify([list, start, end]);
    if (lanes.lkDrawn !== drawn) {
      lanes.lkDrawn = drawn;
      const height = Math.max(14 * list.length, 14);
      attr(lanes, "viewBox", `0 0 ${width} ${height}`);
      lanes.style.height = `${height}px`;
      attr(lanes, "aria-label", `events: ${list.map((lane) => `${lane.count} ${lane.name}`).join(", ") || "none yet"}`);
      lanes.replaceChildren(...list.flatMap((lane, i) => [
        svgElement("path", { class: "hair", d: `M0 ${14 * i + 14}H${width}` }),
        svgElement("path", { class: lane.colour, d: lane.marks.map((x) => `M${x + 0.5} ${14 * i + 3}v9`).join("") })]));
      labels.replaceChildren(...list.map((lane) => h("li", null, lane.name)));
      text(startLabel, grouped(start));
      text(endLabel, grouped(end));
    }
    place(at);
    attr(cursor, "aria-valuemin", start);
    attr(cursor, "aria-valuemax", end);
    attr(cursor, "aria-valuenow", face.view.clock);
    const here = parts.find((part) => part.here);
    attr(cursor, "aria-valuetext", `${face.view.point}${here ? `, in ${here.name}` : ""}`);
    text(cursorText, face.view.point);
    keyed(phases, parts, (part) => part.name, PHASE);
    const laid = JSON.stringify(parts.map((part) => [part.name, part.at]));
    if (phases.lkDrawn !== laid) { phases.lkDrawn = laid; layPhases(); }
  }
  /** Names under the line never overlap: two rows, to the left of the tick at the right end, hidden if all is full. */
  function layPhases() {
    const whole = track.clientWidth, rows = [-1, -1];
    let two = false;
    if (!whole) return;
    for (const { el } of phases.lkRows?.values() ?? []) {
      const from = (parseFloat(el.style.left) / 100) * whole, width = el.firstChild.lkText.length * 6.2 + 14;
      const left = from + width > whole;
      const begin = left ? from - width : from;
      const row = rows.findIndex((end) => begin >= end);
      el.classList.toggle("left", left);
      el.classList.toggle("no", row < 0);
      el.classList.toggle("row1", row === 1);
      if (row >= 0) rows[row] = begin + width;
      two ||= row === 1;
    }
    phases.classList.toggle("two", two);
    track.style.setProperty("--below", two ? "38px" : "22px");
  }
  const resized = new ResizeObserver(() => layPhases());
  resized.observe(track);
  function place(at) {
    cursor.style.left = `${at * 100}%`;
    cursor.style.setProperty("--at", at);
    track.classList.toggle("near0", at < 0.14);
    track.classList.toggle("near1", at > 0.8);
  }

  // --- by hand: one seek at a time, always to where the pointer is now
  let wanted = null;
  const clockAt = (event) => {
    const box = lanes.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    place(share);
    const { start, end } = face.view.scrubber;
    return Math.round(start + share * (end - start));
  };
  function seek(to) {
    if (face.kernel.all()) face.kernel.send("seek", { to });
    else wanted = to;
  }
  /** All has been answered: on to where the pointer has gone meanwhile. */
  function free() {
    if (wanted === null) return;
    const to = wanted;
    wanted = null;
    face.kernel.send("seek", { to });
  }
  track.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".ph") || event.button) return;
    event.preventDefault();
    face.root.focus({ preventScroll: true });
    track.setPointerCapture(event.pointerId);
    track.classList.add("dragging");
    seek(clockAt(event));
  });
  track.addEventListener("pointermove", (event) => { if (track.classList.contains("dragging")) seek(clockAt(event)); });
  const drop = () => track.classList.remove("dragging");
  track.addEventListener("pointerup", drop);
  track.addEventListener("pointercancel", drop);

  return { el: h("div", { class: "scr" }, labels, track), draw, free, stop: () => resized.disconnect() };
}
