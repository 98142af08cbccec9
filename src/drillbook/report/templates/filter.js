"use strict";
/* Search and filters above a table. Without this script the whole table is shown, and the controls stay hidden. */
for (const bar of document.querySelectorAll(".filter")) {
  const rows = [...document.querySelectorAll("#" + bar.dataset.table + " > tbody > tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const search = bar.querySelector("input");
  const selects = [...bar.querySelectorAll("select")];
  const count = bar.querySelector("output");
  const total = rows.filter((row) => !row.classList.contains("child")).length;
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((one) => one.value);
    const fits = rows.map((row, at) => ({
      words: words.every((word) => texts[at].includes(word)),
      fields: wanted.every((one) => row.dataset[one.name] === one.value),
    }));
    let parent = 0;
    rows.forEach((row, at) => {
      if (!row.classList.contains("child")) parent = at;
      const own = fits[at].words && fits[at].fields;
      row.hidden = !(own || (at !== parent && fits[parent].words && fits[at].fields));
      if (at !== parent && !row.hidden) rows[parent].hidden = false;
    });
    const seen = rows.filter((row) => !row.hidden && !row.classList.contains("child")).length;
    count.value = seen === total ? "" : seen + " of " + total + " shown";
  };
  search.addEventListener("input", apply);
  selects.forEach((one) => one.addEventListener("change", apply));
  bar.hidden = false;
  apply();
}
