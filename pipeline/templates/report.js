"use strict";
(function () {
  var root = document.documentElement;
  var data = JSON.parse(document.getElementById("data").textContent);
  var PAGE = 10;
  var byId = function (id) { return document.getElementById(id); };
  var list = byId("cards"), search = byId("search"), form = byId("find"), help = byId("help");
  var shown = [], page = 0;

  // Everything of the web goes through here: attributes are set, text becomes text nodes.
  function el(name, attributes) {
    var node = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) {
      if (attributes[key] !== null && attributes[key] !== undefined && attributes[key] !== false) {
        node.setAttribute(key, attributes[key]);
      }
    });
    add(node, Array.prototype.slice.call(arguments, 2));
    return node;
  }
  function add(node, children) {
    children.forEach(function (child) {
      if (Array.isArray(child)) { add(node, child); }
      else if (child || child === 0) { node.append(child); }
    });
  }
  function svg(name, attributes) {
    var node = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.keys(attributes).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    add(node, Array.prototype.slice.call(arguments, 2));
    return node;
  }
  function link(href, text, kind) {
    return href
      ? el("a", { href: href, rel: "noopener noreferrer nofollow", class: kind }, text)
      : el("span", { class: kind }, text);
  }
  function hue(i) { return "h" + (i % data.hues + 1); }
  function two(number) { return number.toFixed(2); }

  // --- one document ---------------------------------------------------------------------------

  function parts(side, some, name) {
    return some.map(function (part) {
      if (typeof part === "string") { return part; }
      return [
        el("mark", { class: hue(part[1][0]) }, part[0]),
        part[1].map(function (i) {
          var like = two(side.images[i].similarity);
          return el("a", {
            class: "chip " + hue(i), href: "#" + name + "-" + (i + 1),
            title: "goes with image " + (i + 1) + ", similarity " + like
          }, i + 1, el("small", {}, " " + like));
        })
      ];
    });
  }
  function veil(image, veiled) {
    if (!veiled) { return image; }
    return el("button", {
      class: "veil", type: "button", "aria-pressed": String(root.dataset.veils === "off"),
      "aria-label": "Picture that may be unsafe"
    }, image);
  }
  function spark(image) {
    var n = image.cosines.length, about = "similarity with each of " + n + " sentences, in order";
    return svg("svg", {
      class: "spark", viewBox: "0 0 " + n + " 100", preserveAspectRatio: "none", role: "img",
      "aria-label": about
    }, svg("title", {}, about), image.cosines.map(function (height, j) {
      return svg("rect", {
        class: j === image.at ? "on" : "", x: j, width: 0.8, y: 100 - height, height: height
      });
    }));
  }
  function figure(side, i, name) {
    var image = side.images[i], small = data.thumbnails[image.id];
    var picture = small
      ? veil(el("img", {
          src: "data:image/webp;base64," + small, loading: "lazy", decoding: "async",
          alt: image.alt || image.caption || "image " + (i + 1)
        }), image.veiled)
      : el("div", { class: "absent" }, el("b", {}, image.absent), el("span", { dir: "auto" }, image.url));
    return el("figure", { class: "picture " + hue(i), id: name + "-" + (i + 1) },
      picture,
      el("figcaption", {},
        el("p", { class: "which" }, el("span", { class: "chip " + hue(i) }, i + 1),
          image.facts.map(function (fact) { return el("span", {}, fact); })),
        image.caption && el("p", { dir: "auto" }, image.caption),
        image.alt && image.alt !== image.caption &&
          el("p", { class: "alt", dir: "auto" }, el("span", {}, "alt"), " " + image.alt),
        image.title && el("p", { class: "alt", dir: "auto" }, el("span", {}, "title"), " " + image.title),
        image.at !== null
          ? el("p", { class: "goes" }, el("b", {}, two(image.similarity)), " ",
              el("span", { dir: "auto" }, "“" + image.sentence + "”"))
          : image.cosines.length > 0 && el("p", { class: "alt" }, "no sentence matched"),
        image.cosines.length > 1 && spark(image),
        el("p", { class: "from" }, link(image.link, image.url))));
  }
  var TAGS = {
    heading: ["h4"], quote: ["blockquote"], code: ["pre"], list_item: ["p", "item"], table_row: ["p", "row"]
  };
  function side(some, name) {
    return [
      el("header", {},
        el("h3", { dir: "auto" }, parts(some, some.title, name)),
        el("p", {}, link(some.link, some.url)),
        el("p", { class: "facts" }, some.facts.map(function (fact) { return el("span", {}, fact); }))),
      el("div", { class: "text" }, some.nodes.map(function (node) {
        if (node[0] === "image") { return figure(some, node[1], name); }
        var tag = TAGS[node[0]] || ["p"];
        return el(tag[0], { class: tag[1], dir: "auto" }, parts(some, node[1], name));
      })),
      el("details", {},
        el("summary", {}, "Scores and provenance"),
        el("dl", {}, some.scores.map(function (score) {
          return el("div", {}, el("dt", {}, score[0]), el("dd", {}, score[1]));
        })),
        el("p", { class: "code" }, name.replace(/^[AB]-/, "")),
        el("p", { class: "code" }, some.read),
        some.licence && el("p", {}, "Licence: ", link(some.licence_link, some.licence)),
        some.cluster > 0 && el("p", {}, "Kept of " + some.cluster + " near-duplicates."))
    ];
  }
  function card(entry) {
    var paired = entry.sides.length > 1;
    var fate = entry.fate && el("p", { class: "fate" },
      el("b", {}, entry.fate.status), entry.fate.why && " " + entry.fate.why);
    var bodies = entry.sides.map(function (some, i) {
      if (!some) { return null; }
      return el("div", { class: "side" },
        paired && el("p", { class: "letter" }, data.sides[i]),
        side(some, (paired ? data.sides[i] + "-" : "") + entry.id));
    }).filter(Boolean);
    return el("article", { class: bodies.length > 1 ? "card pair" : "card", id: entry.id, tabindex: -1 },
      fate, bodies);
  }

  // --- search, filter, sort -------------------------------------------------------------------

  data.entries.forEach(function (entry) {
    var face = entry.face = entry.sides.filter(Boolean).pop();
    var all = face.images.filter(function (image) { return image.at !== null; })
      .map(function (image) { return image.similarity; });
    entry.best = all.length ? Math.max.apply(null, all) : null;
    entry.worst = all.length ? Math.min.apply(null, all) : null;
  });
  function words(entry) {
    if (entry.words === undefined) {
      entry.words = entry.id + " " + entry.sides.filter(Boolean).map(function (some) {
        return [some.url, some.facts.join(" ")].concat(
          [some.title].concat(some.nodes.map(function (node) { return node[1]; })).map(function (body) {
            return Array.isArray(body)
              ? body.map(function (part) { return typeof part === "string" ? part : part[0]; }).join("")
              : "";
          }),
          some.images.map(function (image) {
            return [image.url, image.alt, image.title, image.caption].join(" ");
          })).join(" ");
      }).join(" ").toLowerCase();
    }
    return entry.words;
  }
  var ORDERS = {
    images: function (a, b) { return b.face.images.length - a.face.images.length; },
    sentences: function (a, b) { return b.face.sentences - a.face.sentences; },
    likest: function (a, b) { return (b.best === null ? -2 : b.best) - (a.best === null ? -2 : a.best); },
    unlikest: function (a, b) { return (a.worst === null ? 2 : a.worst) - (b.worst === null ? 2 : b.worst); },
    id: function () { return 0; }
  };
  function value(name) { return form.elements[name] ? form.elements[name].value : ""; }
  function asked() {
    return search.value.toLowerCase().split(/\s+/).filter(Boolean);
  }
  function within(number, name) {
    var low = value("min_" + name), high = value("max_" + name);
    return (low === "" || (number !== null && number >= +low)) &&
      (high === "" || (number !== null && number <= +high));
  }
  function filter() {
    var all = asked(), host = value("host"), language = value("language"), status = value("status");
    shown = data.entries.filter(function (entry) {
      return (!host || entry.face.host === host) &&
        (!language || entry.face.language === language) &&
        (!status || entry.fate.status === status) &&
        within(entry.face.images.length, "images") && within(entry.best, "similarity") &&
        all.every(function (word) { return words(entry).indexOf(word) >= 0; });
    });
    // Ties keep the order of ids: the sort is stable.
    shown.sort(ORDERS[value("order")] || ORDERS.id);
    turn(0);
    if (list.getBoundingClientRect().top < 0) { list.scrollIntoView(); }
  }
  function pages() { return Math.max(1, Math.ceil(shown.length / PAGE)); }
  function turn(to) {
    root.style.scrollPaddingTop = form.offsetHeight + 16 + "px";
    page = Math.max(0, Math.min(pages() - 1, to));
    list.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map(card));
    byId("shown").textContent = shown.length.toLocaleString("en");
    byId("none").hidden = shown.length > 0 || !data.entries.length;
    document.querySelectorAll(".pages").forEach(function (bar) { bar.hidden = pages() < 2; });
    document.querySelectorAll(".at").forEach(function (at) {
      at.textContent = "page " + (page + 1) + " of " + pages();
    });
    document.querySelectorAll("[data-turn]").forEach(function (button) {
      var next = page + Number(button.dataset.turn);
      button.disabled = next < 0 || next >= pages();
    });
    light();
  }
  function light() {
    if (!window.Highlight || !CSS.highlights) { return; }
    CSS.highlights.delete("asked");
    var all = asked(), ranges = [];
    if (!all.length) { return; }
    var walk = document.createTreeWalker(list, NodeFilter.SHOW_TEXT), node;
    while ((node = walk.nextNode())) {
      var text = node.data.toLowerCase();
      if (text.length !== node.data.length) { continue; }
      all.forEach(function (word) {
        for (var i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + word.length)) {
          var range = new Range();
          range.setStart(node, i);
          range.setEnd(node, i + word.length);
          ranges.push(range);
        }
      });
    }
    CSS.highlights.set("asked", new Highlight(...ranges));
  }
  function options(name, of) {
    var select = form.elements[name], counts = new Map();
    data.entries.forEach(function (entry) {
      counts.set(of(entry), (counts.get(of(entry)) || 0) + 1);
    });
    Array.from(counts).sort(function (a, b) { return b[1] - a[1] || (a[0] < b[0] ? -1 : 1); })
      .forEach(function (pair) {
        select.append(el("option", { value: pair[0] }, pair[0] + " (" + pair[1] + ")"));
      });
  }

  // --- keys -----------------------------------------------------------------------------------

  function go(to) {
    if (!to) { return; }
    to.focus({ preventScroll: true });
    to.scrollIntoView({ block: "start" });
  }
  function step(by) {
    var some = Array.from(list.children), line = form.offsetHeight + 40;
    var at = some.indexOf(document.activeElement.closest(".card"));
    var box = at < 0 ? null : some[at].getBoundingClientRect();
    if (!box || box.bottom < line || box.top > window.innerHeight) {
      // From where the reader has scrolled to.
      at = some.filter(function (one) { return one.getBoundingClientRect().top < line; }).length - 1;
      if (by < 0 && at >= 0) { at += 1; }
    }
    var next = at + by;
    if (next >= some.length && page + 1 < pages()) { turn(page + 1); next = 0; }
    else if (next < 0 && page > 0) { turn(page - 1); next = PAGE - 1; }
    go(list.children[Math.max(0, Math.min(list.children.length - 1, next))]);
  }
  function flip(by) {
    turn(page + by);
    go(list.firstElementChild);
  }
  function unveil() {
    var off = root.dataset.veils !== "off";
    root.dataset.veils = off ? "off" : "on";
    document.querySelectorAll(".veil").forEach(function (one) {
      one.setAttribute("aria-pressed", String(off));
    });
  }
  function clear() { form.reset(); filter(); }
  var KEYS = {
    j: function () { step(1); }, ArrowRight: function () { step(1); },
    k: function () { step(-1); }, ArrowLeft: function () { step(-1); },
    n: function () { flip(1); }, p: function () { flip(-1); },
    b: unveil,
    "/": function () { search.focus(); search.select(); },
    "?": function () { help.showModal(); },
    Escape: clear
  };
  document.addEventListener("keydown", function (event) {
    if (event.altKey || event.ctrlKey || event.metaKey || help.open) { return; }
    var typing = event.target.closest && event.target.closest("input, select, textarea");
    if (typing) {
      if (event.key === "Escape") { if (typing === search) { search.value = ""; filter(); } typing.blur(); }
      else if (event.key === "Enter") { event.preventDefault(); typing.blur(); step(1); }
      return;
    }
    var does = KEYS[event.key];
    if (does) { event.preventDefault(); does(); }
  });
  document.addEventListener("click", function (event) {
    var one = event.target.closest(".veil, [data-turn], [data-does]");
    if (!one) { return; }
    if (one.matches(".veil")) {
      one.setAttribute("aria-pressed", String(one.getAttribute("aria-pressed") !== "true"));
    } else if (one.dataset.turn) { flip(Number(one.dataset.turn)); }
    else { KEYS[one.dataset.does](); }
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", filter);

  options("host", function (entry) { return entry.face.host; });
  options("language", function (entry) { return entry.face.language; });
  if (form.elements.status) { options("status", function (entry) { return entry.fate.status; }); }
  filter();
  // A link to a document opens its page.
  function arrive() {
    var id = location.hash.slice(1).replace(/^[AB]-/, "").replace(/-\d+$/, "");
    var at = shown.findIndex(function (entry) { return entry.id === id; });
    if (at >= 0 && !byId(id)) { turn(Math.floor(at / PAGE)); go(byId(id)); }
  }
  window.addEventListener("hashchange", arrive);
  arrive();
  root.dataset.ready = data.entries.length;
})();
