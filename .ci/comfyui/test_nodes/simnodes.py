"""Nodes for tests: jobs that behave like diffusion jobs on a ComfyUI without models or a GPU.

SimLoader "loads" a named model, which takes its time unless the model is still in memory; SimSampler takes steps with
progress and previews, can be interrupted between them, and paints one colour that tells its seed; SimFail fails.
"""

import time

import torch
from PIL import Image

import comfy.model_management as memory
import comfy.utils

MODELS = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors", "wan.safetensors"]

loaded = set()
unload_all_models = memory.unload_all_models


def unload_ours_too(*arguments, **named):
    loaded.clear()
    return unload_all_models(*arguments, **named)


memory.unload_all_models = unload_ours_too  # what POST /free comes to


def colour_of(seed):
    """Red, green and blue, 0 to 255."""
    return seed * 37 % 256, seed * 59 % 256, seed * 83 % 256


class SimModel:
    def __init__(self, name, load_seconds):
        self.name, self.load_seconds = name, load_seconds

    def load(self):
        if self.name not in loaded:
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
        colour = colour_of(seed)
        progress = comfy.utils.ProgressBar(steps)
        for step in range(1, steps + 1):
            memory.throw_exception_if_processing_interrupted()
            time.sleep(step_seconds)
            picture = ("JPEG", Image.new("RGB", (width, height), colour), 512) if preview else None
            progress.update_absolute(step, steps, picture)
        return (torch.tensor(colour).div(255.0).expand(1, height, width, 3).contiguous(),)


class SimFail:
    CATEGORY, FUNCTION, RETURN_TYPES = "sim", "run", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "kind": (["oom", "value"],)}}

    def run(self, image, kind):
        if kind == "oom":
            raise torch.cuda.OutOfMemoryError("Allocation on device: out of memory, as asked for")
        raise ValueError("this node always fails")


NODE_CLASS_MAPPINGS = {"SimLoader": SimLoader, "SimSampler": SimSampler, "SimFail": SimFail}
