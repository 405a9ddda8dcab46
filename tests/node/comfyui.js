// Submits a graph to a ComfyUI server, follows it on the socket, and saves its first picture. Plain fetch and ws.
import { readFile, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import WebSocket from "ws";

const server = process.env.COMFYUI_URL;
const { prompt } = JSON.parse(await readFile(process.env.COMFYUI_REQUEST, "utf8"));
const clientId = randomUUID();

const socket = new WebSocket(`${server.replace("http", "ws")}/ws?clientId=${clientId}`);
const frames = [];
let wake = () => {};
socket.on("message", (data, binary) => {
  if (!binary) frames.push(JSON.parse(data));
  wake();
});
await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));

const queued = await fetch(`${server}/prompt`, { method: "POST", body: JSON.stringify({ prompt, client_id: clientId }) });
if (!queued.ok) throw new Error(`refused: ${await queued.text()}`);
const { prompt_id } = await queued.json();

const ended = (frame) => frame.type === "executing" && frame.data.node === null && frame.data.prompt_id === prompt_id;
while (!frames.some(ended)) await new Promise((resolve) => (wake = resolve));
socket.close();

const history = await (await fetch(`${server}/history/${prompt_id}`)).json();
const [picture] = Object.values(history[prompt_id].outputs).flatMap((output) => output.images);
const answer = await fetch(`${server}/view?${new URLSearchParams(picture)}`);
await writeFile(process.env.COMFYUI_SAVE, Buffer.from(await answer.arrayBuffer()));
console.log(`${picture.filename}: ${frames.length} frames`);
