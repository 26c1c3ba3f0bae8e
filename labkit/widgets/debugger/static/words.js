// What the debugger's controls are called and how they look: icons, speeds, and the list of all keys.

const ICONS = {
  out: "M2 11V9.4h4.2V4.6L4.4 6.4 3.2 5.3 7 1.5l3.8 3.8-1.2 1.1-1.8-1.8V11z",
  over: "M1 8h1.5c0-3 1.5-4.5 3.5-4.5S9 5 9.2 7H7.5l2.2 3 2.2-3h-1.4C10.3 4 8.6 2 6 2S1.2 4 1 8z",
  previous_event: "M1 1h1.6v10H1zM7 1v10L2.8 6zM11.5 1v10L7.3 6z", back: "M9 1v10L2 6z", step: "M3 1v10l7-5z",
  event: "M.5 1v10l4.2-5zM5 1v10l4.2-5zM9.4 1H11v10H9.4z", run: "M3 1v10l7-5z", pause: "M2 1h3v10H2zM7 1h3v10H7z",
};
const SPEEDS = ["1 a second", "10 a second", "every event", "1 million a second", "as fast as it goes"];
const KEYS = [
  ["←", "step back"], ["→", "step"], ["⇧←", "back to the event before"], ["⇧→", "on to the next event"],
  ["n", "step over a call"], ["p", "back over a call that has returned"],
  ["o", "out: on to where the function returns"], ["⇧O", "back to the call of the function"], ["space", "run or pause"], ["1–5", "speed"], ["Home", "to the start"], ["End", "to the end of the history"],
  ["g", "go to a point, address, symbol, event or name"], ["b", "breakpoint on or off: focused row, or next"],
  ["⇧B", "stop at events of the chosen kind, or not"], ["s", "stop at: address, register, write ADDRESS, event"],
  ["⇧W", "stop when the register or byte asked about is written, or not"],
  ["[", "back to the stop before"], ["]", "on to the next stop"], ["m", "memory at an address"],
  ["w", "who wrote the selected byte or register"], ["e", "edit the focused register, or the selected bytes (forks)"],
  ["t", "type to the console"], ["f", "the other history, after a fork"], ["v", "serial console or VGA screen"], ["/", "choose the kind of event"],
  ["?", "this list; Esc closes it, too"],
];

const icon = (name) => svgElement("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svgElement("path", { d: ICONS[name] }));
const keyButton = (what, label, key, keyName, extra) => h("button", {
  type: "button", "data-do": what, "aria-keyshortcuts": keyName, title: `${label} (${key})`, ...extra,
}, ICONS[what] ? icon(what) : null, h("span", null, label), kbd(key));
const keyList = () => h("ul", { class: "keys", hidden: "", "aria-label": "all keys" },
  ...KEYS.map(([key, what]) => h("li", null, h("span", null, h("kbd", null, key)), h("span", null, what))));
