/* Cartcast: tells a page the score of the visitor's own session.
 * Keeps nothing: no cookie, no storage. Asks nobody without consent, nor against Do Not Track or
 * Global Privacy Control. See docs/live.md. */
(function (w, d, n) {
  "use strict";
  var me = d.currentScript;
  var set = { host: me.src.split("/v1/cartcast.js")[0], key: me.dataset.key, visitor: null, consent: false };

  function value(of) { return typeof of === "function" ? of() : of; }

  async function visitor() {
    if (n.globalPrivacyControl === true || n.doNotTrack === "1" || w.doNotTrack === "1") return null;
    if ((await value(set.consent)) !== true) return null;
    return (await value(set.visitor)) || null;
  }

  async function ask(path, options) {
    var answer = await fetch(set.host + path, Object.assign({ credentials: "omit", cache: "no-store" }, options));
    return answer.ok ? answer.json() : null;
  }

  function known(told) {
    return told && typeof told.p_buy === "number"
      ? { p_buy: told.p_buy, segment: told.segment || null, click: told.click } : null;
  }

  /* Whatever goes wrong, the page goes on: there is no score. */
  async function quietly(work) {
    try { var who = await visitor(); return who ? known(await work(who)) : null; } catch (_) { return null; }
  }

  var api = {
    /* visitor: the id by which your tracker knows the device, or a function (or promise) of it.
     * consent: true, or a function (or promise) that says so; anything else is a no. */
    start: function (given) { Object.assign(set, given); return api; },

    /* The score of this visitor's session: {p_buy, segment, click}, or null. */
    score: function () {
      return quietly(function (who) {
        return ask("/v1/own?" + new URLSearchParams({ visitor_id: who, key: set.key }));
      });
    },

    /* Sends an event of the page itself; for shops without another tracker. Answers with the score. */
    track: function (event) {
      return quietly(function (who) {
        var body = JSON.stringify(Object.assign({}, event, { visitor_id: who }));
        return ask("/v1/events?" + new URLSearchParams({ key: set.key }), { method: "POST", body: body, keepalive: true });
      });
    },

    /* Calls back whenever the score has changed, while the page is looked at. Returns what ends it. */
    watch: function (call, seconds) {
      var last = null;
      async function look() {
        if (d.visibilityState !== "visible") return;
        var told = await api.score();
        if (told && told.p_buy !== last) { last = told.p_buy; call(told); }
      }
      var timer = setInterval(look, 1000 * Math.max(seconds || 10, 2));
      look();
      return function () { clearInterval(timer); };
    }
  };
  w.cartcast = api;
})(window, document, navigator);
