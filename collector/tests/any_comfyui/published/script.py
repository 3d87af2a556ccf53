"""What most scripts do, with nothing but the standard library and websocket-client: post a prompt, listen until it is
over, read its history, fetch its pictures.

    python script.py HOST:PORT PROMPT.json

Prints one JSON document: the prompt's id, the types of all messages in their order, how many previews came, and every
picture that was made, in base64.
"""

import base64
import json
import sys
import urllib.parse
import urllib.request
import uuid

import websocket

server, prompt_file = sys.argv[1:]
client_id = str(uuid.uuid4())


def get(route, **query):
    url = f"http://{server}/{route}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def submit(prompt):
    body = json.dumps({"prompt": prompt, "client_id": client_id}).encode()
    with urllib.request.urlopen(f"http://{server}/prompt", body) as answer:
        return json.load(answer)["prompt_id"]


def listen(socket, prompt_id):
    kinds, previews = [], 0
    while True:
        frame = socket.recv()
        if isinstance(frame, bytes):
            previews += 1
            continue
        message = json.loads(frame)
        kinds.append(message["type"])
        data = message["data"]
        if message["type"] == "executing" and data["node"] is None and data["prompt_id"] == prompt_id:
            return kinds, previews


def pictures(prompt_id):
    outputs = json.loads(get(f"history/{prompt_id}"))[prompt_id]["outputs"]
    for output in outputs.values():
        for image in output.get("images", []):
            yield get("view", filename=image["filename"], subfolder=image["subfolder"], type=image["type"])


socket = websocket.WebSocket()
socket.connect(f"ws://{server}/ws?clientId={client_id}")
with open(prompt_file, encoding="utf-8") as file:
    prompt_id = submit(json.load(file))
kinds, previews = listen(socket, prompt_id)
socket.close()
made = [base64.b64encode(picture).decode() for picture in pictures(prompt_id)]
print(json.dumps({"prompt_id": prompt_id, "kinds": kinds, "previews": previews, "pictures": made}))
