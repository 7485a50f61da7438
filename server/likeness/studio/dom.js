// Elements without markup in strings: the page's policy forbids that, and nothing that users type can become HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element. `on...` are listeners, `data` is its dataset, `vars` are CSS custom properties; null and false leave out.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "vars") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, String(set));
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...kept(children));
  return element;
}

/** @param {Element} parent @param {...(Child | Child[])} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...kept(children));
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function kept(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false).map((child) =>
    child instanceof Node ? child : String(child));
}

/** Words that may be the same as before: then nothing is touched. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** One of the symbols in index.html. @param {string} name @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that cannot be pressed twice: it is busy until what it does has ended. `kind` is main, plain, quiet or danger.
 * It stays focusable, so that the keyboard's place is not lost.
 * @param {{label: Child | Child[], icon?: string, kind?: string, name?: string, test?: string}} look
 * @param {(event: Event) => unknown} act
 */
export function button(look, act) {
  const element = h("button", {
    type: "button", class: `button ${look.kind ?? "plain"}`, "aria-label": look.name, data: look.test ? { testid: look.test } : {},
    async onclick(/** @type {Event} */ event) {
      if (element.getAttribute("aria-disabled") === "true") return;
      setBusy(element, true);
      try {
        await act(event);
      } finally {
        setBusy(element, false);
      }
    },
  }, look.icon && icon(look.icon), h("span", null, look.label));
  return element;
}

/** @param {HTMLElement} element @param {boolean} busy */
export function setBusy(element, busy) {
  element.toggleAttribute("data-busy", busy);
  element.setAttribute("aria-busy", String(busy));
  setEnabled(element, !busy);
}

/** @param {HTMLElement} element @param {boolean} enabled */
export function setEnabled(element, enabled) {
  element.setAttribute("aria-disabled", String(!enabled));
}
