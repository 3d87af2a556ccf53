"""Nodes for tests: jobs that behave like diffusion jobs on a ComfyUI without models or a GPU.

SimLoader "loads" a named model, which takes its time unless the model is still in memory, where there is room for one, and
says so; SimSampler takes steps with progress and previews, can be interrupted between them, and paints a picture that tells
its seed, the same as simulated servers do; SimFail fails, for good or until memory was freed since.
"""

import time

import numpy as np
import torch
from PIL import Image

import comfy.model_management as memory
import comfy.utils

MODELS = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors", "wan.safetensors"]

loaded = set()
frees = 0
unload_all_models = memory.unload_all_models


def unload_ours_too(*arguments, **named):
    global frees
    frees += 1
    loaded.clear()
    return unload_all_models(*arguments, **named)


memory.unload_all_models = unload_ours_too  # what POST /free comes to


def picture_of(seed, width, height):
    """A colour of its own, brighter to the right and the bottom: height x width x 3, 0 to 255 (sim/src/picture.rs)."""
    mask = 2**64 - 1
    mixed = (seed + 0x9E3779B97F4A7C15) & mask
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & mask
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & mask
    red, green, blue = (mixed ^ (mixed >> 31)).to_bytes(8, "little")[:3]
    right = np.arange(width)[None, :] * 127 // width
    down = np.arange(height)[:, None] * 127 // height
    channels = red // 2 + right, green // 2 + down, blue // 2 + right // 2 + down // 2
    return np.stack([channel + np.zeros((height, width), int) for channel in channels], axis=2).astype(np.uint8)


class SimModel:
    def __init__(self, name, load_seconds):
        self.name, self.load_seconds = name, load_seconds

    def load(self):
        if self.name not in loaded:
            print("sim: loads", self.name)
            loaded.clear()
            time.sleep(self.load_seconds)  # like a real load, it cannot be interrupted
            loaded.add(self.name)


class SimLoader:
    CATEGORY, FUNCTION, RETURN_TYPES = "sim", "run", ("SIM_MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "ckpt_name": (MODELS,),
                "load_seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0}),
                "size_mb": ("INT", {"default": 6000, "min": 0, "max": 1000000}),
            }
        }

    def run(self, ckpt_name, load_seconds, size_mb):
        model = SimModel(ckpt_name, load_seconds)
        model.load()
        return (model,)


class SimSampler:
    CATEGORY, FUNCTION, RETURN_TYPES = "sim", "run", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("SIM_MODEL",),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}),
                "steps": ("INT", {"default": 8, "min": 1, "max": 1000}),
                "step_seconds": ("FLOAT", {"default": 0.05, "min": 0.0, "max": 60.0}),
                "width": ("INT", {"default": 64}),
                "height": ("INT", {"default": 64}),
                "preview": ("BOOLEAN", {"default": True}),
            }
        }

    def run(self, model, seed, steps, step_seconds, width, height, preview):
        model.load()  # unless the executor kept the loader's result and the memory was freed since, it is there
        made = picture_of(seed, width, height)
        progress = comfy.utils.ProgressBar(steps)
        for step in range(1, steps + 1):
            memory.throw_exception_if_processing_interrupted()
            time.sleep(step_seconds)
            picture = ("JPEG", Image.fromarray(made), 512) if preview else None
            progress.update_absolute(step, steps, picture)
        return (torch.from_numpy(made).float().div(255.0).unsqueeze(0),)


class SimFail:
    CATEGORY, FUNCTION, RETURN_TYPES = "sim", "run", ("IMAGE",)
    failed_after = None  # so many frees

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "kind": (["oom", "oom until freed", "value"],)}}

    def run(self, image, kind):
        if kind == "oom until freed":
            before, SimFail.failed_after = SimFail.failed_after, frees
            if before not in (None, frees):
                SimFail.failed_after = None
                return (image,)
        if kind.startswith("oom"):
            raise torch.cuda.OutOfMemoryError("Allocation on device: out of memory, as asked for")
        raise ValueError("this node always fails")


NODE_CLASS_MAPPINGS = {"SimLoader": SimLoader, "SimSampler": SimSampler, "SimFail": SimFail}
