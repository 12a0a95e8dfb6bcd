"use strict";
(() => {
  const root = document.documentElement, button = document.getElementById("theme"), key = "hwsdk-theme";
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem(key, theme); } catch { /* a page without storage */ } };
  const dark = () => (root.dataset.theme || (wanted.matches ? "dark" : "light")) === "dark";
  const say = () => {
    button.setAttribute("aria-pressed", String(dark()));
    button.textContent = dark() ? "Dark: on" : "Dark: off";
  };
  const before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    store(root.dataset.theme);
    say();
  });
  wanted.addEventListener("change", say);
  say();
  const scrolls = document.querySelectorAll(".scroll");
  const reach = () => scrolls.forEach((box) => {
    const shown = !box.closest("details:not([open])");
    if (shown && box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0; else box.removeAttribute("tabindex");
  });
  addEventListener("resize", reach);
  document.querySelectorAll("details").forEach((d) => d.addEventListener("toggle", reach));
  reach();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
})();
