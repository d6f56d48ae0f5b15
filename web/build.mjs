// Builds the dashboard into build/web/dist: index.html and assets/<name>-<hash>.*, which is all that
// the control plane serves. Prints what it weighs over the wire and fails when that is too much.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUT = process.env.IREKO_WEB_OUT ?? path.join(HERE, '../build/web/dist');
const BUDGET = 150_000; // bytes, compressed, all of it

async function bundle() {
	const result = await build({
		absWorkingDir: HERE,
		entryPoints: { app: 'src/main.tsx' },
		outdir: path.join(OUT, 'assets'),
		entryNames: '[name]-[hash]',
		assetNames: '[name]-[hash]',
		bundle: true,
		minify: true,
		format: 'esm',
		target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
		legalComments: 'none',
		metafile: true,
		write: false,
		logLevel: 'warning',
	});

	return result.outputFiles.map((f) => ({ name: path.basename(f.path), bytes: Buffer.from(f.contents) }));
}

async function icon() {
	const bytes = await readFile(path.join(HERE, 'src/icon.svg'));
	const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();

	return { name: `icon-${hash}.svg`, bytes };
}

function named(files, suffix) {
	const found = files.filter((f) => f.name.endsWith(suffix));

	if (found.length !== 1)
		throw new Error(`expected one file *${suffix}, found ${found.length}`);
	return `/assets/${found[0].name}`;
}

async function page(files) {
	const html = await readFile(path.join(HERE, 'src/index.html'), 'utf8');

	return Buffer.from(
		html
			.replace('@ICON@', named(files, '.svg'))
			.replace('@STYLE@', named(files, '.css'))
			.replace('@SCRIPT@', named(files, '.js')),
	);
}

const assets = [...(await bundle()), await icon()];
const all = [
	{ path: 'index.html', bytes: await page(assets) },
	...assets.map((f) => ({ path: `assets/${f.name}`, bytes: f.bytes })),
];
let wire = 0;

await rm(OUT, { recursive: true, force: true });
await mkdir(path.join(OUT, 'assets'), { recursive: true });
for (const file of all) {
	const packed = gzipSync(file.bytes, { level: 9 }).length;

	wire += packed;
	await writeFile(path.join(OUT, file.path), file.bytes);
	console.log(`${String(packed).padStart(8)}  ${file.path}`);
}
await writeFile(path.join(OUT, 'manifest.json'), `${JSON.stringify(all.map((f) => f.path), null, '\t')}\n`);
console.log(`${String(wire).padStart(8)}  bytes over the wire, at most ${BUDGET}`);
if (wire > BUDGET) {
	console.error('web: the dashboard is too heavy');
	process.exitCode = 1;
}
