// Runs the sample of the provider's page as a page would, against an emulator at MOCKSERVER_URL.
// pytest starts it, see tests/e2e/test_page_in_node.py; fixtures are read from MOCKSERVER_FIXTURES.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

import { WebSocket } from "ws";

const base = process.env.MOCKSERVER_URL.replace(/\/$/, "");
const headers = { "Authorization": "Bearer sk-axbx5xcx9xAxbZyx", "Content-Type": "application/json" };
const sample = readFileSync(new URL("page-sample.js", import.meta.url), "utf8");
const request = JSON.parse(readFileSync(`${process.env.MOCKSERVER_FIXTURES}/text-to-image.request.json`, "utf8"));
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const post = (path, body) =>
  fetch(`${base}/api/maas/comfy_task_api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });

async function submit() {
  const answer = await (await post("prompt", request)).json();
  assert.equal(answer.code, 0, JSON.stringify(answer));
  return answer.data;
}

// The little of a browser that the sample uses; what it shows is kept for the tests to look at.
function page() {
  const shown = { progress: [], images: [], errors: [] };
  const progress = { set innerHTML(html) { shown.progress.push(html); } };
  const results = {
    set innerHTML(_) { shown.images = []; },
    appendChild(img) { shown.images.push(img.src); },
  };
  const document = {
    getElementById: (id) => ({ "task-progress": progress, "final-results": results })[id],
    createElement: () => ({ style: {} }),
  };
  const console = { log() {}, warn() {}, error: (...words) => shown.errors.push(words.join(" ")) };
  return { shown, context: vm.createContext({ WebSocket, document, console }) };
}

// Evaluates the sample with the token and the address put in, and gives what it declares.
function run(context, token) {
  const source = sample
    .replace("your_prompt_token_here", token)
    .replace("wss://cloud.infini-ai.com", base.replace(/^http/, "ws"));
  return vm.runInContext(`${source}; ({ socket, decodeAndCleanUrl })`, context);
}

async function assertPng(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, `${url}: ${answer.status}`);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()).subarray(0, 8), PNG);
}

test("the page follows a task to its end and shows images that download", { timeout: 30_000 }, async () => {
  const { prompt_id, prompt_token } = await submit();
  const { shown, context } = page();

  const { socket } = run(context, prompt_token);
  await once(socket, "close");

  assert.deepEqual(shown.errors, []);
  const last = shown.progress.at(-1);
  assert.match(last, new RegExp(`任务ID: ${prompt_id}`));
  assert.match(last, /状态: 生成成功/);
  assert.match(last, /进度: 100%/);
  assert.ok(shown.progress.some((html) => html.includes("状态: 生成中")));
  assert.equal(shown.images.length, 1);
  await assertPng(shown.images[0]);
});

test("links as they stand in the text of an answer download after the page's decoding", { timeout: 30_000 }, async () => {
  const { prompt_id, prompt_token } = await submit();
  const { context } = page();
  const { socket, decodeAndCleanUrl } = run(context, prompt_token);
  await once(socket, "close");

  const text = await (await post("get_task_info", { comfy_task_ids: [prompt_id] })).text();

  const links = text.match(/http[^"]+/g);
  assert.equal(links.length, 2, "one in files, one in final_files");
  for (const link of links) {
    assert.match(link, /\\u0026/);
    await assertPng(decodeAndCleanUrl(link));
  }
});
