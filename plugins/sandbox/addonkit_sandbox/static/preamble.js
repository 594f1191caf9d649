// Globals that connect-host.js expects; loaded before it. Because this host registers its own providers, the library draws
// nothing itself and needs only a few measurement functions of jQuery.
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
      return undefined; // The "document ready" callback would connect links to dialogs; the sandbox's pages have none.
    }
    // ":visible" exists only in jQuery.
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
  // An existing feature-gate client keeps the library's own from starting and calling its server.
  window.__FEATUREGATES_JS__ = {
    initializeCompleted: () => true,
    checkGate: () => false,
    getPackageVersion: () => "4.23.4",
  };
  window.require = (name) => {
    if (name === "ac/analytics") {
      return { emitGasV3: () => {} };
    }
    throw new Error(`there is no module '${name}'`);
  };
})();
