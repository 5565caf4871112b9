/* Cartcast: tells a page the score of the visitor's own session, and what to do about it.
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

  function post(path, body) {
    return ask(path + "?" + new URLSearchParams({ key: set.key }),
      { method: "POST", body: JSON.stringify(body), keepalive: true });
  }

  /* Whatever goes wrong, the page goes on: nothing is known. */
  async function quietly(work) {
    try { var who = await visitor(); return who ? await work(who) : null; } catch (_) { return null; }
  }

  var api = {
    /* visitor: the id by which your tracker knows the device, or a function (or promise) of it.
     * consent: true, or a function (or promise) that says so; anything else is a no. */
    start: function (given) { Object.assign(set, given); return api; },

    /* The score of this visitor's session: {p_buy, segment, click}, or null. */
    score: function () {
      return quietly(async function (who) {
        return known(await ask("/v1/own?" + new URLSearchParams({ visitor_id: who, key: set.key })));
      });
    },

    /* Sends an event of the page itself; for shops without another tracker. Answers with the score. */
    track: function (event) {
      return quietly(async function (who) {
        return known(await post("/v1/events", Object.assign({}, event, { visitor_id: who })));
      });
    },

    /* What the shop's activations say now: {name: {arm, reason, page, values}}; act where reason is
     * "contact". agreed: the columns of consent, as {agreed: "yes"}. */
    decide: async function (agreed) {
      return await quietly(async function (who) {
        return (await post("/v1/decide", { visitor_id: who, columns: agreed || {} })).decisions;
      }) || {};
    },

    /* The arms of running experiments, {name: arm}; they count as seen. */
    arms: async function () {
      return await quietly(async function (who) {
        var told = (await post("/v1/assign", { visitor_id: who })).arms;
        return Object.fromEntries(Object.entries(told).map(function (e) { return [e[0], e[1].arm]; }));
      }) || {};
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
