"""The Python node that the agent replaces, as a server of its own: psutil's figures, and NVML's where there is a GPU.

Usage: python python_node.py PORT
"""

import sys

import psutil
from aiohttp import web

try:
    import pynvml

    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
except Exception:
    gpu = None

MIB = 2**20


def gpu_figures():
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    return {
        "gpu_name": pynvml.nvmlDeviceGetName(gpu),
        "gpu_memory_total": memory.total // MIB,
        "gpu_memory_used": memory.used // MIB,
        "gpu_utilization": pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
        "gpu_temperature": pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    }


async def answer(_request):
    figures = {
        "cpu_utilization": psutil.cpu_percent(),
        "ram_total": psutil.virtual_memory().total // MIB,
        "ram_used": psutil.virtual_memory().used // MIB,
    }
    return web.json_response(figures | gpu_figures() if gpu else figures)


app = web.Application()
app.router.add_get("/orchestrator/metrics", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
