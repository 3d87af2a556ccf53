"""Sends who asks ComfyUI's own port for /orchestrator/metrics to the agent beside it: at ComfyUI's port plus 1000, or at
ORCHESTRATOR_AGENT_PORT. For ComfyUI's folder custom_nodes, once the node that answered there itself is out of it."""
import os

from aiohttp import web
from comfy.cli_args import args
from server import PromptServer

PORT = int(os.environ.get("ORCHESTRATOR_AGENT_PORT") or args.port + 1000)
NODE_CLASS_MAPPINGS = {}


@PromptServer.instance.routes.get("/orchestrator/metrics")
async def to_the_agent(request):
    raise web.HTTPTemporaryRedirect(request.url.with_port(PORT))
