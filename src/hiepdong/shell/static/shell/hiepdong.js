// Small comforts; every page works without them.
// Errors of htmx requests (401, 403, 404, 409) are shown in the alert area instead of being swallowed.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status === 422) { event.detail.shouldSwap = true; event.detail.isError = false; }
  if ([401, 403, 404, 409].includes(status)) {
    const area = document.getElementById("alerts");
    if (area) { event.detail.shouldSwap = true; event.detail.isError = false; event.detail.target = area; event.detail.swapOverride = "innerHTML"; }
  }
});
// Half-written work. The server keeps it while one types; until it has answered, this tab keeps it too (sessionStorage), so that
// a reload, a crash or a lost connection loses nothing. Once it is saved, refused, sent or left, or at the sign-out, the tab forgets it.
const KEPT = "draft:";
const here = KEPT + location.pathname;
const before = document.referrer.startsWith(`${location.origin}/`) ? KEPT + new URL(document.referrer).pathname : "";
if (before !== here) sessionStorage.removeItem(before);  // its form was sent, or left on purpose
if (document.querySelector("[data-code='exchange.classified_content']")) sessionStorage.removeItem(here);
for (const form of document.querySelectorAll("form[data-forget]")) form.addEventListener("submit", () => sessionStorage.clear());
let unsaved = false;
for (const form of document.querySelectorAll("form[data-draft]")) {
  const own = (name) => !["csrfmiddlewaretoken", "files"].includes(name);
  const typed = () => [...new FormData(form)].filter(([name, value]) => own(name) && typeof value === "string");
  const text = (values) => JSON.stringify(values.filter(([name]) => name !== "revision"));
  const save = () => { for (const name of ["input", "change"]) form.dispatchEvent(new Event(name)); };
  const left = JSON.parse(sessionStorage.getItem(here) ?? "null");
  if (left && text(left) !== text(typed())) {
    for (const field of form.elements) {
      const values = left.filter(([name]) => name === field.name).map(([, value]) => value);
      if (["checkbox", "radio"].includes(field.type)) field.checked = values.includes(field.value);
      else if (own(field.name) && values.length) [field.value] = values;
    }
    document.getElementById("draft-again").hidden = false;
    unsaved = true;
    window.addEventListener("load", () => setTimeout(save));
  } else sessionStorage.removeItem(here);
  form.addEventListener("input", () => { unsaved = true; sessionStorage.setItem(here, JSON.stringify(typed())); });
  form.addEventListener("submit", () => { unsaved = false; });
  // A lost connection is told, and what was typed is saved as soon as it is back.
  const lost = document.getElementById("draft-lost");
  let waiting = 0;
  let asked = "";
  const again = () => {
    clearTimeout(waiting);
    if (unsaved) save();
  };
  const missed = () => { lost.hidden = false; clearTimeout(waiting); waiting = setTimeout(again, 5000); };
  form.addEventListener("htmx:beforeRequest", () => { asked = text(typed()); });
  form.addEventListener("htmx:sendError", missed);
  form.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status >= 500) missed(); });
  form.addEventListener("htmx:afterRequest", (event) => {
    const { status } = event.detail.xhr;  // `successful` is also true of refusals that are shown
    if (status === 0 || (status >= 400 && status !== 409)) return;
    lost.hidden = true;
    const caughtUp = asked === text(typed());
    if (caughtUp || status === 409) sessionStorage.removeItem(here);  // 409: refused content is kept nowhere
    if (caughtUp && status < 400) unsaved = false;
  });
  window.addEventListener("online", again);
}
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
// On small screens the current page is scrolled into view in the navigation.
document.querySelector(".hd-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
// A menu of the header closes when something else is opened, clicked or Escape is pressed.
const drops = [...document.querySelectorAll("details[data-drop]")];
document.addEventListener("click", (event) => { for (const drop of drops) if (!drop.contains(event.target)) drop.open = false; });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const drop of drops) if (drop.open) { drop.open = false; drop.querySelector("summary").focus(); }
});
// Printed pages show what is folded away.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("main details:not([open]):not([data-noprint])")) { part.open = true; part.dataset.folded = "1"; }
});
window.addEventListener("afterprint", () => {
  for (const part of document.querySelectorAll("main details[data-folded]")) { part.open = false; delete part.dataset.folded; }
});
// A long list to choose from gets a field that narrows it, with or without marks; what is chosen stays in sight.
const folded = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").replaceAll("đ", "d");
for (const box of document.querySelectorAll("[data-choose]")) {
  const field = document.createElement("input");
  Object.assign(field, { type: "search", className: "form-control mb-1", placeholder: box.dataset.choose, autocomplete: "off" });
  field.setAttribute("aria-label", box.dataset.choose);
  field.addEventListener("input", (event) => {
    event.stopPropagation();
    const wanted = folded(field.value.trim());
    for (const line of box.children) line.hidden = !folded(line.textContent).includes(wanted) && !line.querySelector("input").checked;
  });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  box.before(field);
}
