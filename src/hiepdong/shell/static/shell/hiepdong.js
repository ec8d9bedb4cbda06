// Small comforts; every page works without them.
// Errors of htmx requests (409, 403, 404) are shown in the alert area instead of being swallowed.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status === 422) { event.detail.shouldSwap = true; event.detail.isError = false; }
  if ([403, 404, 409].includes(status)) {
    const area = document.getElementById("alerts");
    if (area) { event.detail.shouldSwap = true; event.detail.isError = false; event.detail.target = area; event.detail.swapOverride = "innerHTML"; }
  }
});
// Half-written work: warn before leaving a form with unsaved changes that the autosave has not confirmed.
let unsaved = false;
for (const form of document.querySelectorAll("form[data-draft]")) {
  form.addEventListener("input", () => { unsaved = true; });
  form.addEventListener("submit", () => { unsaved = false; });
  form.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) unsaved = false; });
  // A lost connection is told, and what was typed is saved as soon as it is back.
  const lost = document.getElementById("draft-lost");
  let waiting = 0;
  const again = () => {
    clearTimeout(waiting);
    if (unsaved) for (const name of ["input", "change"]) form.dispatchEvent(new Event(name));
  };
  const missed = () => { if (lost) lost.hidden = false; clearTimeout(waiting); waiting = setTimeout(again, 15000); };
  form.addEventListener("htmx:sendError", missed);
  form.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status >= 500) missed(); });
  form.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful && lost) lost.hidden = true; });
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
