"use strict";
// The page says everything without this. With it, what a mark says appears at once, and a legend switches its lines.
(() => {
  const box = document.createElement("div");
  box.className = "tip";
  box.hidden = true;
  document.body.append(box);
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.said = title.textContent;
    title.remove();
  }
  const show = (event) => {
    const words = event.target.said;
    box.hidden = !words;
    if (!words) return;
    box.textContent = words;
    const { offsetWidth: width, offsetHeight: height } = box;
    const right = event.clientX + 16 + width > innerWidth;
    const x = right ? Math.max(4, event.clientX - width - 12) : event.clientX + 16;
    const y = Math.max(4, Math.min(event.clientY + 16, innerHeight - height - 4));
    box.style.transform = `translate(${x}px, ${y}px)`;
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { box.hidden = true; }, { passive: true });
  for (const key of document.querySelectorAll(".key")) {
    const marks = key.closest("figure").querySelectorAll(`[data-series="${key.dataset.key}"]`);
    if (!marks.length) continue;
    key.setAttribute("role", "switch");
    key.setAttribute("aria-checked", "true");
    key.tabIndex = 0;
    const turn = () => {
      const off = key.classList.toggle("off");
      key.setAttribute("aria-checked", String(!off));
      for (const mark of marks) mark.classList.toggle("off", off);
    };
    key.addEventListener("click", turn);
    key.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      turn();
    });
  }
  document.documentElement.classList.add("scripted");
})();
