"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const show = () => {
    for (const box of form.elements) {
      if (box.type !== "checkbox") continue;
      for (const figure of document.querySelectorAll(`[data-policy="${box.value}"]`)) figure.hidden = !box.checked;
    }
  };
  form.addEventListener("change", show);
  form.hidden = false;
  show();
})();
