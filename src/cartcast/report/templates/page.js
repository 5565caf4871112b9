(function () {
  "use strict";
  var pairs = JSON.parse(document.getElementById("recolour").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var narrow = window.matchMedia("(max-width: 640px)");
  var pattern = new RegExp(
    Object.keys(pairs)
      .map(function (k) { return k.replace(/[()]/g, "\\$&"); })
      .join("|"),
    "g"
  );
  function figure(source) {
    var text = source.textContent;
    if (dark.matches) {
      text = text.replace(pattern, function (found) { return pairs[found]; });
    }
    var made = JSON.parse(text);
    made.layout.autosize = true;
    if (narrow.matches) {
      made.layout.font.size = 11;
      if (made.layout.margin) { made.layout.margin.r = Math.min(made.layout.margin.r || 8, 92); }
    }
    return made;
  }
  function picture(source, format) {
    return {
      name: format, title: "Save as " + format.toUpperCase(),
      icon: format === "png" ? Plotly.Icons.camera : Plotly.Icons.disk,
      click: function (box) {
        Plotly.downloadImage(box, { format: format, filename: source.dataset.chart, scale: 2 });
      },
    };
  }
  function draw() {
    document.querySelectorAll("script[data-chart]").forEach(function (source) {
      var made = figure(source);
      var box = document.getElementById(source.dataset.chart);
      box.style.height = made.layout.height + "px";
      Plotly.react(box, made.data, made.layout, {
        displayModeBar: "hover", displaylogo: false, responsive: true,
        modeBarButtons: [[picture(source, "png"), picture(source, "svg")]],
      });
    });
  }
  draw();
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
})();
