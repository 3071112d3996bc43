// Builds the browser parts of `cfzoo page` into one file: `npm ci && npm run build`.
//
// The file has marks {{...}} where the verb puts title, models and facts. Everything else is fixed
// here, so that the same sources and lock file give the same bytes.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const labelling = join(here, "../runtime/labelling/page");
const target = join(here, "../workflows/try_page/built/page.html");

// What the page shares with that of `cfzoo label`, whose files are plain scripts in a row.
const SHARED = {
  "data.js": { exports: ["decodeBytes"], imports: "" },
  "planes.js": { exports: ["Planes"], imports: 'import { decodeBytes } from "labelling:data.js";' },
  "chart.js": { exports: ["drawHistogram"], imports: "" },
};
const shared = {
  name: "labelling",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^labelling:/ }, ({ path }) => ({
      path: path.slice("labelling:".length),
      namespace: "labelling",
    }));
    onLoad({ filter: /.*/, namespace: "labelling" }, async ({ path }) => {
      const { exports, imports } = SHARED[path];
      const text = await readFile(join(labelling, path), "utf8");
      return { contents: `${imports}\n${text}\nexport { ${exports.join(", ")} };\n` };
    });
  },
};

async function bundle(name) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [`src/${name}`],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    // There is no file beside the page: onnxruntime gets its WebAssembly as bytes.
    define: { "import.meta.url": '"page:"' },
    external: ["module", "worker_threads", "node:*"],
    plugins: [shared],
    write: false,
    logLevel: "warning",
  });
  return result.outputFiles[0].text;
}

const read = (...path) => readFile(join(here, ...path), "utf8");
const hash = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;
const [script, worker] = [await bundle("page.js"), await bundle("worker.js")];
const style = (await readFile(join(labelling, "page.css"), "utf8")) + (await read("src/page.css"));
const wasm = await readFile(
  join(here, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"),
);
const { dependencies } = JSON.parse(await read("package.json"));
const parts = {
  script,
  script_hash: hash(script),
  style,
  style_hash: hash(style),
  worker: Buffer.from(worker).toString("base64"),
  wasm: gzipSync(wasm, { level: 9 }).toString("base64"), // zlib writes no time into the head
  parts: Object.entries(dependencies).map(([name, version]) => `${name} ${version}`).join(", "),
};
const html = (await read("src/page.html")).replace(/\[\[(\w+)\]\]/g, (_, name) => parts[name]);
await mkdir(dirname(target), { recursive: true });
await writeFile(target, html);
console.log(`${target}: ${(html.length / 1e6).toFixed(2)} MB`);
