// Tables in a .sortable element are sorted by the column whose heading is clicked: numbers as numbers, words as words.
"use strict";

const valueOf = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = /^[-+]?[\d.,]+(e[-+]?\d+)?/.exec(text);
  return number ? parseFloat(number[0].replaceAll(",", "")) : text;
};

const compare = (one, other) => {
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return typeof one === "number" ? one - other : one.localeCompare(other);
};

const sort = (table, column, heading) => {
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((one, other) => sign * compare(valueOf(one, column), valueOf(other, column))));
};

document.querySelectorAll(".sortable table").forEach((table) => {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, column, heading));
    heading.append(button);
  });
});
