// Drives one library of npm, unchanged, with its own calls: node drive.cjs PACKAGE URL KEY SHOP.
// SHOP is the visitor's events as JSON. What a library says went wrong ends this with status 1.
"use strict";

const [, , name, url, key, told] = process.argv;
const shop = JSON.parse(told);
const order = shop.filter(([event]) => event === "Order Completed");
const ANN = "ann@shop.example";

function fail(error) {
  console.error(error);
  process.exit(1);
}

const drive = {
  async "@segment/analytics-node"(library) {
    const client = new library.Analytics({ writeKey: key, host: url, maxRetries: 0 });
    client.on("error", fail);
    client.page({ anonymousId: "v-1", name: "Home", properties: { url: "https://shop.example/" } });
    for (const [event, properties] of shop) client.track({ anonymousId: "v-1", event, properties });
    client.identify({ userId: ANN, anonymousId: "v-1", traits: { plan: "gold" } });
    client.group({ userId: ANN, groupId: "g" });
    client.alias({ userId: ANN, previousId: "v-1" });
    client.track({ userId: ANN, event: "Order Completed", properties: { order_id: "o-2", revenue: 5 } });
    await client.closeAndFlush();
  },

  async "@rudderstack/rudder-sdk-node"(library) {
    const Client = library.default ?? library;
    const client = new Client(key, { dataPlaneUrl: url, retryCount: 0, errorHandler: fail });
    client.page({ anonymousId: "v-1", name: "Home", properties: { url: "https://shop.example/" } });
    for (const [event, properties] of shop) client.track({ anonymousId: "v-1", event, properties });
    client.identify({ userId: ANN, anonymousId: "v-1", traits: { plan: "gold" } });
    client.group({ userId: ANN, groupId: "g" });
    client.alias({ userId: ANN, previousId: "v-1" });
    client.track({ userId: ANN, event: "Order Completed", properties: { order_id: "o-2", revenue: 5 } });
    await client.flush();
  },

  async "posthog-node"(library) {
    const client = new library.PostHog(key, { host: url, fetchRetryCount: 0 });
    client.on("error", fail);
    for (const [event, properties] of shop) {
      const own = { $session_id: "s-1", $device_id: "v-1", $current_url: "https://shop.example/" };
      client.capture({ distinctId: "v-1", event, properties: { ...properties, ...own } });
    }
    client.identify({ distinctId: ANN, properties: { plan: "gold" } });
    client.alias({ distinctId: ANN, alias: "v-1" });
    client.capture({ distinctId: ANN, event: "Order Completed", properties: order[0][1] });
    await client.shutdown();
  },

  async "@amplitude/analytics-node"(library) {
    const client = library.createInstance();
    const serverUrl = `${url}/2/httpapi`;
    await client.init(key, { serverUrl, flushMaxRetries: 0 }).promise;
    const own = { device_id: "v-1", session_id: 1777888800000 };
    const sent = shop.map(([event, properties]) => client.track(event, properties, own).promise);
    const who = { device_id: "v-1", user_id: ANN };
    sent.push(client.identify(new library.Identify().set("plan", "gold"), who).promise);
    const money = new library.Revenue().setPrice(5).setQuantity(2).setProductId("sku-7");
    sent.push(client.revenue(money, who).promise);
    await client.flush().promise;
    const wrong = (await Promise.all(sent)).filter(({ code }) => code !== 200);
    if (wrong.length) fail(wrong);
  },

  async mixpanel(library) {
    const { hostname, port } = new URL(url);
    const client = library.init(key, { host: hostname, port, protocol: "http", key });
    const said = (call) => new Promise((done) => call((error) => (error ? fail(error) : done())));
    for (const [event, properties] of shop) {
      await said((f) => client.track(event, { ...properties, $device_id: "v-1" }, f));
    }
    await said((f) => client.people.set(ANN, { plan: "gold" }, f));
    await said((f) => client.import("Order Completed", 1777888800, { ...order[0][1], distinct_id: ANN }, f));
    const batch = shop.slice(1, 4).map(([event, properties]) => (
      { event, properties: { ...properties, distinct_id: ANN } }));
    await said((f) => client.track_batch(batch, f));
  },

  async "matomo-tracker"(Library) {
    const client = new Library(key, `${url}/matomo.php`);
    client.on("error", fail);
    const page = "https://shop.example/p";
    const goods = (list) => JSON.stringify(list);
    const hits = [
      { action_name: "Home" },
      { _pks: "sku-7", _pkn: "Hat", _pkc: "hats", _pkp: "12.50" },
      { e_c: "hats", e_a: "shared", e_n: "sku-7" },
      { idgoal: 0, revenue: 25, ec_items: goods([["sku-7", "Hat", "hats", 12.5, 2]]) },
      { idgoal: 0, ec_id: "o-1", revenue: 25, uid: ANN,
        ec_items: goods([["sku-7", "Hat", ["hats"], 12.5, 1], ["b", "B", "", "12.50", 1]]) },
    ].map((hit) => ({ url: page, _id: "0123456789abcdef", ...hit }));
    const time = Math.floor(Date.now() / 1000) - 60;
    await new Promise((done) => client.trackBulk(
      hits.map((hit, place) => ({ ...hit, cdt: time + place })), done));
    for (const hit of hits) client.track({ ...hit });
    while (client.agent.globalAgent.totalSocketCount > 0) {
      await new Promise((done) => setTimeout(done, 20));
    }
  },

  async "@snowplow/node-tracker"(library) {
    const own = "iglu:com.snowplowanalytics.snowplow.ecommerce";
    for (const eventMethod of ["post", "get"]) {
      const client = library.newTracker(
        { namespace: "shop", appId: key, encodeBase64: eventMethod === "get" },
        { endpoint: url, eventMethod, bufferSize: 50, onRequestFailure: fail });
      client.setDomainUserId("v-1");
      client.setSessionId("s-1");
      const pageUrl = "https://shop.example/p?utm_campaign=spring&utm_medium=cpc";
      client.track(library.buildPageView({ pageUrl, pageTitle: "A page" }));
      client.track(library.buildStructEvent(
        { category: "hats", action: "add_to_cart", label: "sku-7", value: 3 }));
      for (const type of ["product_view", "add_to_cart", "checkout_step", "transaction"]) {
        const schema = `${own}/snowplow_ecommerce_action/jsonschema/1-0-2`;
        const entities = ["a", "b"].map((id) => ({
          schema: `${own}/product/jsonschema/1-0-0`,
          data: { id, category: "hats", price: 12.5, currency: "EUR", quantity: 2 } }));
        if (type === "transaction") entities.push({
          schema: `${own}/transaction/jsonschema/1-0-0`,
          data: { transaction_id: `o-${eventMethod}`, revenue: 50, currency: "EUR" } });
        client.track(library.buildSelfDescribingEvent({ event: { schema, data: { type } } }), entities);
      }
      await client.flush();
    }
  },
};

process.on("unhandledRejection", fail);
drive[name](require(name)).then(() => process.exit(0), fail);
