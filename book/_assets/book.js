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

// On a phone each row of the front page's tables, and of those of verdicts, is a card: a cell says what its column is (book.css).
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".front table, .carded table").forEach(table => {
    const heads = [...table.tHead.rows[0].cells].map(head => head.textContent.trim());
    [...table.tBodies[0].rows].forEach(row => {
      [...row.cells].forEach((cell, column) => { cell.dataset.label = heads[column]; });
    });
    table.classList.add("cards");
  });
});

// Rows of long tables are found by words; those of languages by a language, through all tasks and scales.
document.addEventListener("DOMContentLoaded", () => {
  const rowsOf = part => [...part.querySelectorAll("tbody tr")];
  const control = (before, text, input) => {
    const label = document.createElement("label"), count = document.createElement("output");
    label.className = "finder";
    label.append(`${text} `, input, " ", count);
    before.before(label);
    return count;
  };
  const keep = (rows, wanted, count) => {
    const kept = rows.filter(row => { row.hidden = !wanted(row); return !row.hidden; });
    count.textContent = kept.length < rows.length ? `${kept.length} of ${rows.length}` : "";
  };
  document.querySelectorAll(".find").forEach(part => {
    const input = Object.assign(document.createElement("input"), { type: "search" });
    const count = control(part, "Rows with these words (a path, a seed, a commit):", input);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      keep(rowsOf(part), row => words.every(word => row.textContent.toLowerCase().includes(word)), count);
    });
  });
  const picked = [...document.querySelectorAll(".pick")], rows = picked.flatMap(rowsOf);
  if (!rows.length) return;
  const language = row => row.cells[0].textContent.trim(), key = "#language=";
  const select = document.createElement("select");
  select.append(new Option("all", ""), ...[...new Set(rows.map(language))].map(name => new Option(name, name)));
  const count = control(document.querySelector(".bd-article h2") || picked[0], "Language:", select);
  const show = () => keep(rows, row => !select.value || language(row) === select.value, count);
  select.addEventListener("change", () => {
    history.replaceState(null, "", select.value ? key + encodeURIComponent(select.value) : location.pathname);
    show();
  });
  if (location.hash.startsWith(key)) {
    select.value = decodeURIComponent(location.hash.slice(key.length));
    show();
  }
});

// A link to something folded opens it.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && target.closest("details:not([open])");
  if (folded) { folded.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
document.addEventListener("DOMContentLoaded", unfold);

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
