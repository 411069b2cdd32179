// No dependency; works from file://. The head of a column of a table is a button that sorts by that column.
document.addEventListener("DOMContentLoaded", () => {
  const number = text => {
    const value = parseFloat(text.replace(/[,%\u2009 ]/g, "").replace("\u2212", "-"));
    return Number.isNaN(value) ? null : value;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    return x !== null && y !== null ? x - y : a.localeCompare(b);
  };
  const sort = (table, column) => {
    const heads = [...table.tHead.rows[0].cells], head = heads[column], body = table.tBodies[0];
    const down = head.dataset.sort === "asc";
    heads.forEach(cell => {
      if (cell.dataset.sort) cell.dataset.sort = "";
      cell.removeAttribute("aria-sort");
    });
    head.dataset.sort = down ? "desc" : "asc";
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = row => row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) => compare(text(a), text(b)));
    (down ? rows.reverse() : rows).forEach(row => body.appendChild(row));
  };
  document.querySelectorAll(".bd-article table").forEach(table => {
    const body = table.tBodies[0];
    if (!table.tHead || !body || body.rows.length < 3) return;
    if ([...body.rows].some(row => [...row.cells].some(cell => cell.rowSpan > 1 || cell.colSpan > 1))) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.dataset.sort = "";
      button.addEventListener("click", () => sort(table, column));
    });
  });
});

// On a phone each row of the front page's tables is a card: a cell says what its column is (book.css).
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".front table").forEach(table => {
    const heads = [...table.tHead.rows[0].cells].map(head => head.textContent.trim());
    [...table.tBodies[0].rows].forEach(row => {
      [...row.cells].forEach((cell, column) => { cell.dataset.label = heads[column]; });
    });
    table.classList.add("cards");
  });
});

// Paper shows what is folded, in light colours; afterwards the page is as it was.
let screen = null;
addEventListener("beforeprint", () => {
  const root = document.documentElement, folded = [...document.querySelectorAll("details:not([open])")];
  screen = { theme: root.dataset.theme, folded };
  root.dataset.theme = "light";
  folded.forEach(part => { part.open = true; });
});
addEventListener("afterprint", () => {
  if (!screen) return;
  document.documentElement.dataset.theme = screen.theme;
  screen.folded.forEach(part => { part.open = false; });
  screen = null;
});
