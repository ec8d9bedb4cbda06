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
}
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
// On small screens the current page is scrolled into view in the navigation.
document.querySelector(".hd-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
