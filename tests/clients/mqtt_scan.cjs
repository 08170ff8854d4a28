// Signs in with npm's mqtt, publishes one scan, and prints its result once it is acknowledged as well.
//
// Usage: mqtt_scan.cjs 3|5 tcp|tls|websockets PORT CA DEVICE SECRET PAYLOAD

const fs = require("node:fs");
const mqtt = require("mqtt");

const PATIENCE = 20000;

const [version, transport, port, ca, device, secret, payload] = process.argv.slice(2);
const urls = {
  tcp: `mqtt://localhost:${port}`,
  tls: `mqtts://localhost:${port}`,
  websockets: `ws://localhost:${port}/mqtt`,
};

async function main() {
  const client = await mqtt.connectAsync(urls[transport], {
    protocolVersion: version === "5" ? 5 : 4,
    username: device,
    password: secret,
    ca: transport === "tls" ? fs.readFileSync(ca) : undefined,
    reconnectPeriod: 0,
  });
  const result = new Promise((resolve) => client.on("message", (_topic, message) => resolve(message.toString())));
  await client.subscribeAsync(`rollcall/v1/${device}/result`, { qos: 1 });
  // Resolves with the PUBACK.
  await client.publishAsync(`rollcall/v1/${device}/scan`, payload, { qos: 1 });
  console.log(await result);
  await client.endAsync();
}

setTimeout(() => {
  console.error("nothing came in time");
  process.exit(1);
}, PATIENCE).unref();
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
