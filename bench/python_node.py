"""The Python node that the agent replaces, as a server of its own: its figures are asked for by each request.

Usage: python python_node.py PORT
"""

import sys

import psutil
from aiohttp import web

try:
    import pynvml

    pynvml.nvmlInit()
    HAS_NVIDIA = True
except Exception:
    HAS_NVIDIA = False


def get_metrics() -> dict:
    metrics = {
        "cpu_utilization": psutil.cpu_percent(),
        "ram_total": psutil.virtual_memory().total // (1024 * 1024),
        "ram_used": psutil.virtual_memory().used // (1024 * 1024),
    }

    if HAS_NVIDIA:
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)

        metrics["gpu_name"] = pynvml.nvmlDeviceGetName(handle)

        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        metrics["gpu_memory_total"] = memory.total // (1024 * 1024)
        metrics["gpu_memory_used"] = memory.used // (1024 * 1024)

        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle)
        metrics["gpu_utilization"] = utilization.gpu

        metrics["gpu_temperature"] = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)

    return metrics


async def metrics_handler(request):
    return web.json_response(get_metrics())


app = web.Application()
app.router.add_get("/orchestrator/metrics", metrics_handler)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
