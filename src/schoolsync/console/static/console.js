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

  // Files go one after the other straight to where the preview waits for them; then they are checked.
  const send = (url, file, show, broken) => new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("x-ms-blob-type", "BlockBlob");
    request.upload.onprogress = (event) => show(event.loaded / Math.max(1, event.total));
    request.onload = () => {
      if (request.status === 201) return done();
      const said = /<Message>([^<]*)/.exec(request.responseText);
      return failed(new Error(said ? said[1] : `${request.status} ${request.statusText}`));
    };
    request.onerror = () => failed(new Error(`${file.name}: ${broken}`));
    request.send(file);
  });
  const upload = async (form, files) => {
    if (form.hasAttribute("aria-busy")) return; // others are being sent: a second set would be another preview
    const list = form.querySelector(".sending");
    const problem = form.querySelector(".problem");
    problem.hidden = true;
    list.replaceChildren();
    form.setAttribute("aria-busy", "true");
    try {
      const begun = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) })
        .catch(() => { throw new Error(form.dataset.broken); });
      if (begun.status === 401) throw new Error(form.dataset.gone);
      const told = await begun.json().catch(() => ({ message: `${begun.status} ${begun.statusText}` }));
      if (!begun.ok) throw new Error(told.message);
      const [base, query] = told.url.split("?");
      for (const file of files) {
        const row = document.createElement("li");
        const name = document.createElement("span");
        const bar = document.createElement("progress");
        name.textContent = file.name;
        bar.setAttribute("aria-label", file.name);
        bar.max = 1;
        bar.value = 0;
        row.append(name, bar);
        list.append(row);
        await send(`${base}/${encodeURIComponent(file.name)}?${query}`, file,
          (part) => { bar.value = part; }, form.dataset.broken);
        bar.value = 1;
      }
      const check = document.getElementById(form.dataset.then);
      check.elements.preview.value = told.preview;
      check.requestSubmit();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      form.removeAttribute("aria-busy");
    }
  };
  // What was dropped; of a folder the files that lie in it, but for those that a system hides.
  const within = (entry) => new Promise((done) => {
    if (entry.isFile) return entry.file((file) => done([file]), () => done([]));
    const reader = entry.createReader(), found = [];
    const next = () => reader.readEntries(async (entries) => {
      if (!entries.length) return done((await Promise.all(found.map(within))).flat());
      found.push(...entries.filter((one) => one.isFile && !one.name.startsWith(".")));
      return next(); // a folder is read in parts
    }, () => done([]));
    return next();
  });
  const dropped = async (transfer) => {
    const entries = [...transfer.items].map((one) => one.webkitGetAsEntry && one.webkitGetAsEntry()).filter(Boolean);
    const files = [...transfer.files];
    if (!entries.some((one) => one.isDirectory)) return files;
    return (await Promise.all(entries.map(within))).flat();
  };
  for (const form of document.querySelectorAll("form[data-upload]")) {
    const zone = form.querySelector(".drop");
    const chosen = form.querySelector("input[type=file]");
    form.hidden = false;
    chosen.addEventListener("change", () => {
      const files = [...chosen.files];
      chosen.value = ""; // so that the same files can be chosen again once they are put right
      if (files.length) upload(form, files);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["dragenter", "dragover"]) {
      zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
    }
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      dropped(event.dataTransfer).then((files) => files.length && upload(form, files));
    });
  }

  document.addEventListener("htmx:after:swap", () => localize(document));
  document.addEventListener("htmx:after:settle", () => localize(document));
  localize(document);
})();
