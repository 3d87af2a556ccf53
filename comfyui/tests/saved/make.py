"""Writes the pictures beside it, as ComfyUI writes its own (nodes.py: SaveImage; comfy_extras/nodes_images.py:
SaveAnimatedWEBP, SaveAnimatedPNG): `pip install pillow==13.0.0 && python make.py`.
"""

import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
PROMPT = {
    "3": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 16711680},
          "is_changed": [float("nan")]},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "Größe 猫", "images": ["3", 0]}},
}
WORKFLOW = {"version": 0.4, "last_node_id": 9, "nodes": [{"id": 3, "type": "EmptyImage", "title": "Größe 猫"}], "links": []}
DOCUMENTS = {"prompt": PROMPT, "workflow": WORKFLOW}


def picture(color="red"):
    return Image.new("RGB", (8, 8), color)


def save_png(name, metadata, **options):
    picture().save(HERE / name, pnginfo=metadata, compress_level=4, **options)


def as_save_image(documents):
    metadata = PngInfo()
    for keyword, document in documents.items():
        metadata.add_text(keyword, json.dumps(document))
    return metadata


save_png("save_image.png", as_save_image(DOCUMENTS))
save_png("prompt_alone.png", as_save_image({"prompt": PROMPT}))
save_png("stripped.png", None)

# What does not fit Latin-1 becomes iTXt.
international = PngInfo()
for keyword, document in DOCUMENTS.items():
    international.add_text(keyword, json.dumps(document, ensure_ascii=False))
save_png("international.png", international)

compressed = PngInfo()
compressed.add_text("prompt", json.dumps(PROMPT), zip=True)
compressed.add_itxt("workflow", json.dumps(WORKFLOW, ensure_ascii=False), lang="en", tkey="w", zip=True)
save_png("compressed.png", compressed)

animated = PngInfo()
for keyword, document in DOCUMENTS.items():
    animated.add(b"comf", keyword.encode("latin-1") + b"\0" + json.dumps(document).encode("latin-1"), after_idat=True)
save_png("save_animated.png", animated, save_all=True, append_images=[picture("blue")], duration=100)


def exif(documents):
    metadata = picture().getexif()
    for tag, (keyword, document) in zip((0x0110, 0x010F), documents.items()):
        metadata[tag] = f"{keyword}:{json.dumps(document)}"
    return metadata


picture().save(HERE / "save_animated.webp", exif=exif(DOCUMENTS), save_all=True, append_images=[picture("blue")],
               duration=100, lossless=True)
picture().save(HERE / "still.webp", exif=exif(DOCUMENTS), quality=80)
picture().save(HERE / "stripped.webp", quality=80)
