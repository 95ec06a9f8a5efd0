"use strict";
const data = (id) => JSON.parse(document.getElementById(id).textContent);
const make = (tag, text, name) =>
  Object.assign(document.createElement(tag), { textContent: text ?? "", className: name ?? "" });
const percent = (share) => (share === null ? "n/a" : (100 * share).toFixed(1));
const count = (number) => number.toLocaleString("en");

// Buttons that turn the pages of `total()` things, `size` a page.
function pager(place, what, size, total, show) {
  const [back, next] = [make("button", "‹ previous"), make("button", "next ›")];
  const where = make("span");
  where.setAttribute("aria-live", "polite");
  let page = 0;
  const turn = (to) => {
    const last = Math.max(Math.ceil(total() / size) - 1, 0);
    page = Math.min(Math.max(to, 0), last);
    const [from, end] = [page * size, Math.min((page + 1) * size, total())];
    back.disabled = page === 0;
    next.disabled = page === last;
    where.textContent = `${what} ${count(Math.min(from + 1, end))} to ${count(end)} of ${count(total())}`;
    show(from, end);
  };
  back.type = next.type = "button";
  back.addEventListener("click", () => turn(page - 1));
  next.addEventListener("click", () => turn(page + 1));
  place.append(back, where, next);
  return turn;
}

function picture(source, alt, name) {
  return Object.assign(make("img", "", name), { src: source, alt });
}

function panel(caption, ...layers) {
  const figure = make("figure");
  const stack = make("div", "", "stack");
  stack.append(...layers);
  figure.append(stack, make("figcaption", caption));
  return figure;
}

// Before on the left of the cut, after on its right; the range input takes mouse, finger and keys.
function comparison(card, name) {
  const { image, before, after } = card.pictures;
  const photo = picture(image, "", "");
  const last = picture(after, `${name}: label after correction`, "pixels label");
  const figure = panel("", photo, last);
  figure.className = "compare";
  if (!("accuracy_before" in card.figures)) {
    figure.lastChild.textContent = "label";
    return figure;
  }
  const first = picture(before, `${name}: label before correction`, "pixels label before");
  const range = Object.assign(make("input"), { type: "range", min: 0, max: 100, value: 50 });
  range.setAttribute("aria-label", `${name}: share of the picture that shows the label before`);
  const stack = figure.firstChild;
  const move = () => stack.style.setProperty("--cut", `${range.value}%`);
  range.addEventListener("input", move);
  move();
  const under = picture(image, "", "before");
  stack.append(under, first, make("div", "", "cut"), range);
  const caption = figure.lastChild;
  caption.className = "sides";
  caption.append(make("span", "◀ before"), make("span", "drag, or arrow keys"), make("span", "after ▶"));
  return figure;
}

function told(f) {
  const corrected = "accuracy_before" in f;
  const [was, is] = corrected ? [f.accuracy_before, f.accuracy_after] : [f.accuracy, f.accuracy];
  if (is === null) return "all void";
  if (!corrected) return `${percent(is)}% of the pixels right`;
  const gain = (100 * (is - was)).toFixed(1).replace(/^-0\.0$/, "0.0");
  return `${percent(was)}% → ${percent(is)}% of the pixels right (${gain < 0 ? "" : "+"}${gain}); ` +
    `${count(f.fixed)} fixed, ${count(f.broken)} broken, ${count(f.still_wrong)} still wrong`;
}

function example(card) {
  const { figures: f, pictures: p } = card;
  const article = make("article", "", "example card");
  const header = make("header");
  header.append(make("h3", f.image), make("span", told(f)));
  const corrected = "accuracy_before" in f;
  const changes = panel("changed pixels", picture(p.image, "", "faded"),
    picture(p.changes, `${f.image}: pixels that correction changed`, "pixels"));
  article.append(header, comparison(card, f.image),
    panel("image", picture(p.image, `${f.image}: photograph`)),
    panel(f.void ? `truth (${percent(f.void)}% void)` : "truth",
      picture(p.truth, `${f.image}: true label`, "pixels")),
    ...(corrected ? [changes] : []),
    panel(`confidence (mean ${f.confidence.toFixed(2)})`,
      picture(p.confidence, `${f.image}: confidence of the label`, "pixels")));
  for (const [name, source] of [["before", p.before], ["after", p.after]]) {
    if (!corrected && name === "before") continue;
    const printed = panel(corrected ? `label ${name}` : "label",
      picture(source, `${f.image}: label ${name}`, "pixels"));
    printed.className = "printed";
    article.append(printed);
  }
  article.tabIndex = -1;
  return article;
}

function showGallery() {
  const { cards, ...rest } = data("gallery-data");
  const orders = new Map(rest.orders);
  const place = document.getElementById("gallery");
  const select = document.getElementById("order");
  select.append(...[...orders.keys()].map((name) => new Option(name)));
  const size = 6;
  const turn = pager(document.getElementById("gallery-pager"), "images", size,
    () => cards.length, (from, end) =>
      place.replaceChildren(...orders.get(select.value).slice(from, end).map((i) => example(cards[i]))));
  select.addEventListener("change", () => turn(0));
  document.getElementById("over").addEventListener("change", (event) =>
    place.classList.toggle("over", event.target.checked));
  turn(0);
  return {
    has: new Set(cards.map((card) => card.number)),
    open(number) {
      const index = orders.get(select.value).findIndex((i) => cards[i].number === number);
      turn(Math.floor(index / size));
      place.children[index % size].scrollIntoView({ block: "start" });
      place.children[index % size].focus({ preventScroll: true });
    },
  };
}

function showTable(gallery) {
  const { columns, rows } = data("images-data");
  const body = document.getElementById("images").tBodies[0];
  const heads = [...document.querySelectorAll("#images th")];
  const find = document.getElementById("find");
  let shown = rows.map((row, number) => number);
  let [by, up] = [Math.max(columns.findIndex((c) => /^accuracy(_after)?$/.test(c.name)), 0), true];
  const cell = (value, kind) =>
    value === null ? "n/a" : kind === "share" ? percent(value) : kind === "count" ? count(value) : value;
  const line = (number) => {
    const tr = make("tr");
    rows[number].forEach((value, i) => {
      const td = make("td");
      if (i === 0 && gallery.has.has(number)) {
        const button = Object.assign(make("button", value), { type: "button", title: "show it above" });
        button.addEventListener("click", () => gallery.open(number));
        td.append(button);
      } else td.textContent = cell(value, columns[i].kind);
      tr.append(td);
    });
    return tr;
  };
  const turn = pager(document.getElementById("images-pager"), "images", 50, () => shown.length,
    (from, end) => body.replaceChildren(...shown.slice(from, end).map(line)));
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const sort = () => {
    const wanted = find.value.toLowerCase();
    shown = [...rows.keys()].filter((n) => rows[n][0].toLowerCase().includes(wanted));
    shown.sort((a, b) => {
      const [x, y] = [rows[a][by], rows[b][by]];
      if (x === null || y === null) return (x === null) - (y === null);  // at the end both ways
      return (by === 0 ? compare(x, y) : x - y) * (up ? 1 : -1);
    });
    heads.forEach((th, i) =>
      th.setAttribute("aria-sort", i !== by ? "none" : up ? "ascending" : "descending"));
    turn(0);
  };
  heads.forEach((th, i) => th.firstChild.addEventListener("click", () => {
    [by, up] = [i, i === by ? !up : true];
    sort();
  }));
  find.addEventListener("input", sort);
  sort();
}

if (document.getElementById("gallery-data")) showTable(showGallery());
