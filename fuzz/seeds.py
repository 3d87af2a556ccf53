"""Writes what the fuzz targets begin with: `python3 fuzz/seeds.py TARGET FOLDER`, one file a seed.

All of it is taken from the library's own test documents, so that nothing is kept twice.
"""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "comfyui" / "tests"


def load(path):
    return json.loads(path.read_text())


def dump(document):
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def cases():
    return [load(path) for path in sorted((TESTS / "conversion").glob("*/*.json"))]


def judged():
    return [case for path in sorted((TESTS / "prompt-validation").glob("*.json")) for case in load(path)]


def runs():
    return [run for path in sorted((TESTS / "transcripts").glob("*.json")) for run in load(path)["ws"].values()]


def workflows():
    return [dump(case["workflow"]) for case in cases()]


def prompts():
    of_workflows = [case["prompt"] for case in cases() if "prompt" in case]
    of_judged = [case["prompt"] for case in judged() if "prompt" in case]
    bodies = [{"prompt": run["prompt"], "client_id": run["client_id"]} for run in runs()]
    return [dump(document) for document in of_workflows + of_judged + bodies]


def frames():
    sent = [frame for run in runs() for frame in run["frames"]]
    texts = [dump(frame["text"]) for frame in sent if "text" in frame]
    heads = [bytes.fromhex(frame["binary"]["head_hex"]) for frame in sent if "binary" in frame]
    metadata = dump({"node_id": "2", "prompt_id": "p", "image_type": "image/png", "real_node_id": "2"})
    preview = b"\0\0\0\4" + len(metadata).to_bytes(4, "big") + metadata + b"\x89PNG"
    return texts + heads + [preview, b"\0\0\0\3\0\0\0\1" + b"7" + "Größe".encode()]


def pictures():
    files = [path.read_bytes() for path in sorted((TESTS / "saved").glob("*")) if path.suffix in (".png", ".webp")]
    return files + [seed for seed in prompts() if len(seed) < 1000]


SEEDS = {"workflow": workflows, "prompt": prompts, "frame": frames, "saved": pictures}


def main(target, folder):
    seeds = sorted(set(SEEDS[target]()))
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (Path(folder) / f"seed-{number:04}").write_bytes(seed)
    print(f"{target}: {len(seeds)} seeds")


main(*sys.argv[1:])
