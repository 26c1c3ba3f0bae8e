// Changing a register or bytes: a field in the place of what is shown. What was refused stays to be corrected.

function editor(face) {
  let waiting = null; // the field whose edit waits for its answer

  function open(value, input, command) {
    let isOpen = true; // taking a focused field away blurs it, and that closes it again
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      const focused = input === document.activeElement;
      input.remove();
      why.remove();
      delete value.dataset.edited;
      if (focused) (value.tabIndex < 0 ? face.root : value).focus({ preventScroll: true });
    };
    const why = h("span", { class: "why s", role: "alert", hidden: "" });
    input.lkDone = (accept) => {
      if (!accept) return close();
      const seq = face.kernel.send("edit", command(input.value));
      waiting = { seq, answered() {
        if (face.view.message_kind !== "error") return close();
        text(why, face.view.message);
        why.hidden = false;
        attr(input, "aria-invalid", "true");
      } };
    };
    value.dataset.edited = "";
    value.after(input, why);
    input.addEventListener("blur", close);
    input.select();
    input.focus();
  }

  return {
    /** In a row of the registers; of those that take no edit, nothing. */
    register(row) {
      const value = row.querySelector(".vl"), { name } = value.dataset;
      if (value.disabled) return;
      open(value, h("input", { "aria-label": `new value of ${name}`, value: value.textContent }), (typed) => ({ name, text: typed }));
    },
    bytes(to) {
      const cell = [...face.root.querySelectorAll(".mem i")].find((one) => Number(one.dataset.to) === to);
      if (!cell || cell.textContent === "--") return;
      const label = `new bytes from ${to.toString(16)} on, in hexadecimal`;
      open(cell, h("input", { class: "m", "aria-label": label, title: label, value: cell.textContent, size: 8 }), (typed) => ({ to, text: typed }));
    },
    /** A view has come: is it the answer to the edit? */
    answered() {
      if (!waiting || face.view.seq < waiting.seq) return;
      const { answered } = waiting;
      waiting = null;
      answered();
    },
  };
}
