// What makes the pages livelier; every page can be read without it.
"use strict";

(() => {
  const language = document.documentElement.lang || "en";

  // Points in time in the reader's own time zone.
  const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      time.dataset.local = "";
      if ("age" in time.dataset) time.title = moments.format(moment);
      else time.textContent = moments.format(moment);
    }
  };

  // A second click on a button that is being worked on does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.ask && !window.confirm(form.dataset.ask)) {
      event.preventDefault();
      return;
    }
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  document.addEventListener("htmx:after:swap", () => localize(document));
  document.addEventListener("htmx:after:settle", () => localize(document));
  localize(document);
})();
