// What the page needs of the browser; written so that old browsers can run it.
(function () {
  "use strict";
  // A function that uses a SIMD instruction.
  var simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65,
    0, 253, 15, 253, 98, 11];
  var needs = {
    "WebAssembly with SIMD": function () { return WebAssembly.validate(new Uint8Array(simd)); },
    "web workers": function () { return !!window.Worker; },
    "DecompressionStream": function () { return !!window.DecompressionStream; },
    "OffscreenCanvas": function () { return !!window.OffscreenCanvas; },
    "createImageBitmap": function () { return !!window.createImageBitmap; },
  };
  var missing = [];
  for (var name in needs) {
    var works = false;
    try { works = needs[name](); } catch (error) { works = false; }
    if (!works) missing.push(name);
  }
  window.unsupported = missing.length > 0;
  if (!window.unsupported) return;
  document.getElementById("unsupported").hidden = false;
  document.getElementById("missing").textContent = missing.join(", ");
})();
