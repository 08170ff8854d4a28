"""Signs in with paho-mqtt, publishes one scan, and prints its result once it is acknowledged as well.

Usage: paho_scan.py 3|5 tcp|tls|websockets PORT CA DEVICE SECRET PAYLOAD
"""

import queue
import sys

import paho.mqtt.client as mqtt

PATIENCE = 20

version, transport, port, ca, device, secret, payload = sys.argv[1:]
protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
heard = queue.Queue()
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    protocol=protocol,
    transport="websockets" if transport == "websockets" else "tcp",
)
client.username_pw_set(device, secret)
if transport == "tls":
    client.tls_set(ca_certs=ca)
client.ws_set_options(path="/mqtt")
client.on_connect = lambda _c, _u, _f, reason, _p: heard.put(("connect", reason.is_failure))
client.on_subscribe = lambda _c, _u, _m, reasons, _p: heard.put(("subscribe", reasons[0].is_failure))
client.on_message = lambda _c, _u, message: heard.put(("message", message.payload.decode()))


def wait(what):
    kind, value = heard.get(timeout=PATIENCE)
    assert kind == what, (kind, value)
    return value


client.connect("localhost", int(port))
client.loop_start()
assert not wait("connect"), "not let in"
client.subscribe(f"rollcall/v1/{device}/result", 1)
assert not wait("subscribe"), "not subscribed"
published = client.publish(f"rollcall/v1/{device}/scan", payload, 1)
result = wait("message")
published.wait_for_publish(PATIENCE)
assert published.is_published(), "not acknowledged"
client.disconnect()
client.loop_stop()
print(result)
