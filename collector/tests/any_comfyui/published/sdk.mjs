// A prompt by way of @saintno/comfyui-sdk, with previews.
//
//     node sdk.mjs http://HOST:PORT PROMPT.json
//
// Prints one JSON document: the prompt's id, how many previews and steps came, and every preview and picture in base64.

import { readFileSync } from "node:fs";

import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const [server, promptFile] = process.argv.slice(2);
const base64 = async (blob) => Buffer.from(await blob.arrayBuffer()).toString("base64");

const api = new ComfyApi(server);
await api.init().waitForReady();
const prompt = new PromptBuilder(JSON.parse(readFileSync(promptFile)), [], ["pictures"]).setOutputNode("pictures", "9");

const previews = [];
let id, steps = 0, failure;
const result = await new CallWrapper(api, prompt)
  .onPending((promptId) => (id = promptId))
  .onProgress(() => (steps += 1))
  .onPreview((blob) => previews.push(base64(blob)))
  .onFailed((error) => (failure = String(error)))
  .run();
if (!result) throw new Error(`the prompt failed: ${failure}`);

const pictures = await Promise.all(result.pictures.images.map(async (image) => base64(await api.getImage(image))));
const told = JSON.stringify({ prompt_id: id, steps, previews: await Promise.all(previews), pictures });
process.stdout.write(`${told}\n`, () => process.exit());
