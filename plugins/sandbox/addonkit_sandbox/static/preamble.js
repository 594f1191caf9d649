// What connect-host.js looks for in its window before it starts; loaded before it. With the providers of this host
// registered the library draws nothing itself and uses jQuery's name for a handful of measurements only.
(function () {
  "use strict";

  function sizeOf(node) {
    if (node === window) {
      return { width: innerWidth, height: innerHeight };
    }
    return node ? { width: node.offsetWidth, height: node.offsetHeight } : { width: 0, height: 0 };
  }

  function measure(target) {
    if (typeof target === "function") {
      return undefined; // "when ready": would wire links to dialogs, of which our pages have none
    }
    // ":visible" is jQuery's own selector
    const nodes = typeof target === "string" ? [...document.querySelectorAll(target.replaceAll(":visible", ""))] : [target].filter(Boolean);
    return Object.assign(nodes, {
      width: () => sizeOf(nodes[0]).width,
      height: () => sizeOf(nodes[0]).height,
      offset: () => {
        const box = nodes[0] ? nodes[0].getBoundingClientRect() : { left: 0, top: 0 };
        return { left: box.left + scrollX, top: box.top + scrollY };
      },
      scrollTop: () => scrollY,
      scrollLeft: () => scrollX,
      css: (styles) => {
        nodes.forEach((node) => Object.assign(node.style, styles));
        return nodes;
      },
    });
  }

  window.AJS = { $: measure, LayerManager: { global: { getTopLayer: () => null } } };
  // a feature-gate client that is there already keeps the bundled one from starting and asking a server
  window.__FEATUREGATES_JS__ = {
    initializeCompleted: () => true,
    checkGate: () => false,
    getPackageVersion: () => "4.23.4",
  };
  window.require = (name) => {
    if (name === "ac/analytics") {
      return { emitGasV3: () => {} };
    }
    throw new Error(`no module '${name}'`);
  };
})();
